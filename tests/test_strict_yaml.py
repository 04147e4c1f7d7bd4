"""The YAML reader: numbers are numbers, nothing is guessed, everything is bounded."""

import pytest
import yaml

from bnbench.config.strict_yaml import MAX_NODES, MAX_WRITTEN, YamlError, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("2E5", 200_000.0),
        (".5e1", 5.0),
        ("1.", 1.0),
        ("-3", -3),
        ("0", 0),
        ("true", True),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("off", "off"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("010", "010"),
        ("0.1", 0.1),
        ("'1e-3'", "1e-3"),
        ("1e", "1e"),
        ("1e3abc", "1e3abc"),
        (".inf", float("inf")),
        ("2024-99-99", "2024-99-99"),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    parsed, _ = parse(f"key: {text}")
    assert parsed == {"key": value}
    assert type(parsed["key"]) is type(value)


def test_json_bom_free_text_and_small_anchors_are_read():
    assert parse('{"a": [1, 2.5, null, true]}')[0] == {"a": [1, 2.5, None, True]}
    assert parse("a: &x {b: 1}\nc: *x")[0] == {"a": {"b": 1}, "c": {"b": 1}}
    assert parse("a: 1\r\nb: 2\r\n")[0] == {"a": 1, "b": 2}


def test_lines_of_keys_are_known():
    _, lines = parse("a: 1\nb:\n  c: 2\n  d: {e: 3}\n")
    assert lines[("a",)] == 1
    assert lines[("b", "c")] == 3
    assert lines[("b", "d", "e")] == 4


def _laughs(levels):
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r"'a' is repeated \(first on line 1\)"),
        ("a: [1, 2", "not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]", "tags"),
        ("a: !!int x", "tags"),
        ("a: \x07", "not valid YAML"),
        ("[" * 3000, "nested deeper"),
        ("a: " + "[" * 60 + "]" * 60, "nested deeper"),
        ("a: &a [*a]", "alias of itself"),
        (_laughs(9), f"{MAX_NODES:,} values"),
        (f"a: [{'1, ' * MAX_WRITTEN}]", f"more than {MAX_WRITTEN:,} keys and values"),
        ("? [1]\n: 2", "key must be plain text"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
    ],
)
def test_refused_in_words(text, message):
    with pytest.raises(YamlError, match=message):
        parse(text)


def test_an_error_knows_its_line():
    with pytest.raises(YamlError) as error:
        parse("a: 1\nb: 2\nb: 3\n")
    assert error.value.line == 3


def test_a_number_of_5000_digits_is_text():
    assert parse("a: " + "9" * 5000)[0] == {"a": "9" * 5000}


def test_pyyaml_itself_is_untouched():
    assert yaml.safe_load("a: no") == {"a": False}
