"""The documentation is complete: generated parts are fresh, everything is documented, every link leads somewhere."""

import doctest
import importlib.util
import json
import re
import sys

import pytest
import torch
from conftest import REPOSITORY

from bnbench import verify
from bnbench.config.base import flat
from bnbench.config.load import load_arms
from bnbench.config.norms import NORMS

sys.path.insert(0, str(REPOSITORY / "docs"))  # where generate.py finds norm_facts.py
_spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "docs" / "generate.py")
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)
CONFIGS = sorted(path for path in (REPOSITORY / "configs").rglob("*.yaml") if path.parent.name != "studies")
WRITTEN = [
    *generate.PAGES,
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "CHANGELOG.md",
]


def page(name):
    return (REPOSITORY / "docs" / f"{name}.md").read_text()


def section(text, heading):
    """What stands below a heading, up to the next one."""
    return re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, flags=re.M | re.S)[1]


@pytest.mark.parametrize("path", generate.PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_generated_parts_are_fresh(path):
    assert generate.fresh(path) == path.read_text(), "run python docs/generate.py"


def test_every_generated_part_has_its_place():
    marked = [
        f"{path.stem} {match[2]}" for path in generate.PAGES for match in generate.MARKED.finditer(path.read_text())
    ]
    assert sorted(marked) == sorted(generate.PARTS)


def test_every_bad_input_names_a_test_that_exists():
    named = re.findall(r"`(tests/\w+\.py)::(\w+)`", page("inputs"))
    assert len(named) > 5
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (REPOSITORY / path).read_text()]
    assert missing == []


def test_check_names_a_stale_page(monkeypatch, tmp_path, capsys):
    stale = tmp_path / "cli.md"
    stale.write_text("<!-- generated: cli -->\nold\n<!-- end -->\n")
    monkeypatch.setattr(generate, "PAGES", [stale])
    monkeypatch.setattr(generate, "REPOSITORY", tmp_path)
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit) as exit_:
        generate.main()
    assert exit_.value.code == 1 and "cli.md" in capsys.readouterr().out
    assert "old" in stale.read_text()
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    generate.main()
    assert generate.fresh(stale) == stale.read_text() and "bnbench run" in stale.read_text()


def test_every_command_and_option_is_documented():
    commands = dict(generate.commands())
    assert {"run", "compare", "data fetch"} <= set(commands)
    for name, command in commands.items():
        text = section(page("cli"), f"bnbench {name}")
        for option in command.params:
            if option.opts[0].startswith("--") and option.name != "help" and not option.hidden:
                assert all(f"`{spelling}`" in text for spelling in (*option.opts, *option.secondary_opts)), option.opts


def test_every_key_of_every_config_is_documented():
    configuration, norms = page("configuration"), page("norms")
    every_norm = section(norms, "Every norm")
    for path in CONFIGS:
        for config in load_arms(path):
            settings = flat(config.model_dump(mode="json"))
            for key in (key for key in settings if not key.endswith(".type")):
                if key.startswith("norm."):
                    assert f"`{key[5:]}`" in every_norm + section(norms, config.norm.type), (path.name, key)
                else:
                    assert f"| `{key}` |" in configuration, (path.name, key)


def test_every_norm_is_documented():
    overview = section(page("norms"), "Overview")
    for norm in NORMS:
        assert f"\n| `{norm}` |" in overview


@pytest.mark.parametrize("norm", verify.names())
def test_every_norm_that_is_verified_has_its_formula_drawing_cost_and_use(norm):
    text = section(page("norms"), norm)
    assert re.search(r"^(Training|Training and evaluation): +[yzwe]", text, flags=re.M), norm
    assert "x" in text and text.count("░") > 4
    assert re.search(r"\*\*Cost\.\*\* Trained numbers: .*\d", text) and re.search(r"\*\*Used for\.\*\* [A-Z]", text)


def test_the_drawings_are_those_of_the_papers():
    """Of a (4, 4, 6) input: the batch of a channel, an image, a channel of an image, half the channels, one value."""
    facts = generate.norm_facts
    for norm, options, images, channels, pixels in (
        ("batch", {}, 4, 1, 6),
        ("layer", {}, 1, 4, 6),
        ("instance", {}, 1, 1, 6),
        ("group", {"num_groups": 2}, 1, 2, 6),
        ("ghost_batch", {"virtual_batch_size": 2}, 2, 1, 6),
        ("evonorm_b0", {}, 4, 1, 6),
        ("dyt", {}, 1, 1, 1),
    ):
        expected = torch.zeros(4, 4, 6, dtype=torch.bool)
        expected[:images, :channels, :pixels] = True
        assert torch.equal(facts.averaged_over(norm, options), expected), norm


def test_every_check_with_a_tolerance_of_its_own_is_documented():
    for check in verify.TOLERANCES:
        assert f"| `{check}` |" in page("verify")


def test_every_file_and_key_of_a_run_is_documented(bnbench, tiny, tmp_path):
    assert bnbench("run", tiny, "--quiet", "--out", tmp_path / "r").exit_code == 0
    (about,) = (tmp_path / "r").rglob("run.json")
    keys = set(json.loads(about.read_text()))
    assert keys <= set(generate.RUN) and {path.name for path in about.parent.iterdir()} <= set(generate.FILES)
    assert set(generate.RUN) - keys == {"resumed_after", "continued_from"}


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_every_page_is_in_the_index():
    index = (REPOSITORY / "docs" / "README.md").read_text()
    for path in generate.PAGES:
        assert path.name == "README.md" or f"({path.name})" in index


def test_the_examples_of_the_api_page_work(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    result = doctest.testfile(str(REPOSITORY / "docs" / "api.md"), module_relative=False)
    assert result.failed == 0 and result.attempted >= 8


def test_nothing_is_left_to_fill_in():
    for path in WRITTEN:
        assert not re.findall(r"\b(?:TODO|FIXME|SAMPLE|TBD)\b|@@", path.read_text()), path
