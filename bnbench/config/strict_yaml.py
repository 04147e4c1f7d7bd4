"""A strict reader for YAML. Text that looks like a number is read as a number, and nothing is guessed.

PyYAML follows YAML 1.1: `1e-3` is a string, `no` is False, `12:30` is 750, `010` is 8, and the last of
repeated keys silently wins. This reader follows the core rules of YAML 1.2 (true/false, decimal numbers,
null). It refuses repeated keys, merge keys (`<<`, which YAML 1.2 does not have) and tags, and it limits size and depth.
It records the line of every key, so
that an error can name it. It reads JSON too, because JSON is YAML.
"""

import re
import unicodedata
from typing import Any, ClassVar

import yaml

MAX_NODES = 10_000  # with aliases expanded, so that a "billion laughs" file is refused
MAX_WRITTEN = 3_000  # keys and values; PyYAML takes a second for as many
MAX_DEPTH = 50
MAX_SHOWN = 200  # characters of the text in a message

Location = tuple[str | int, ...]


class YamlError(Exception):
    """The text is not acceptable YAML. `line` is counted from 1, or None where it is not known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
_FLOAT = re.compile(r"[-+]?(?=.*[.eE])([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_INF_NAN = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    if node.style is not None:  # quoted and block scalars are text
        return text
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text)
    # "010" could be decimal or octal, so it stays text.
    if _FLOAT.fullmatch(text) and not re.match(r"[-+]?0[0-9]", text):
        return float(text)
    if _INF_NAN.fullmatch(text):
        return float(text.replace(".", ""))
    return text


class _Reader:
    def __init__(self) -> None:
        self.lines: dict[Location, int] = {}
        self.nodes = 0

    def build(self, node: yaml.Node, path: Location) -> Any:
        line = node.start_mark.line + 1
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise YamlError(f"more than {MAX_NODES:,} values, aliases included", line)
        if len(path) > MAX_DEPTH:
            raise YamlError(f"nested deeper than {MAX_DEPTH} levels, or an alias of itself", line)
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, i)) for i, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Location) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError("a key must be plain text", line)
            key = key_node.value
            if key == "<<" and key_node.style is None:
                raise YamlError("merge keys (<<) are not read; write the keys out", line)
            if key in out:
                first = self.lines[(*path, key)]
                raise YamlError(f"key {key[:MAX_SHOWN]!r} is repeated (first on line {first})", line)
            self.lines[(*path, key)] = line
            out[key] = self.build(value_node, (*path, key))
        return out


class _TagRefusingLoader(yaml.SafeLoader):
    """Only composes nodes. Raises YamlError at an explicit tag such as `!!python/…` or `!!int`."""

    # `_scalar` resolves plain scalars, by YAML 1.2's rules.
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]
    nodes = depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if not isinstance(event, yaml.AliasEvent) and getattr(event, "tag", None) is not None:
            raise YamlError(f"tags such as {event.tag[:MAX_SHOWN]!r} are not read", line)
        self.nodes += 1
        if self.nodes > MAX_WRITTEN:
            raise YamlError(f"more than {MAX_WRITTEN:,} keys and values", line)
        if self.depth > MAX_DEPTH:  # PyYAML's time grows with the square of the depth
            raise YamlError(f"nested deeper than {MAX_DEPTH} levels", line)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_LOOKALIKES = {"“": '"', "”": '"', "‘": "'", "’": "'", "、": ",", "。": ".", "−": "-", "–": "-"}
_TEXT = re.compile(r""""[^"\n]*"|'[^'\n]*'|(?<!\S)#.*""")  # quoted text and comments
_WORD = re.compile(r"[^\W\d_]{2,}")
_SENTENCE = 5  # words in a line: it is text for readers, not keys and values


def refuse_lookalikes(text: str) -> None:
    """Raise YamlError at full-width punctuation, another space, or a digit of another script, which look as if right.

    Comments, quoted text and sentences may have them.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        bare = "" if line.isascii() else _TEXT.sub("", line)
        if len(_WORD.findall(bare)) >= _SENTENCE:
            continue
        for letter in bare:
            plain = _LOOKALIKES.get(letter) or unicodedata.normalize("NFKC", letter)
            looks = letter in _LOOKALIKES or unicodedata.category(letter) == "Nd" or not plain.isalnum()
            if not letter.isascii() and looks and len(plain) == 1 and plain.isascii():
                raise YamlError(f"has {letter!r} where YAML needs {plain!r}; text may have it between quotes", number)


def dump(value: Any) -> str:
    """YAML text that `parse` reads back as `value`: block style, with short mappings on one line."""
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=120)


def parse(text: str) -> tuple[Any, dict[Location, int]]:
    """Parse one YAML document; return the data and the line of every path in it.

    Raises YamlError where the text is not exactly one valid document within the limits and without tags.
    """
    refuse_lookalikes(text)
    loader = None
    try:
        loader = _TagRefusingLoader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "not valid YAML"
        if mark and text[mark.index : mark.index + 1] == "\t":
            what = "a tab; write spaces"
        raise YamlError(
            f"not valid YAML: {' '.join(what[:MAX_SHOWN].split())}", mark.line + 1 if mark else None
        ) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(f"not valid YAML: has the control character {chr(error.character)!r}", line) from None
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        return None, {}
    reader = _Reader()
    return reader.build(node, ()), reader.lines
