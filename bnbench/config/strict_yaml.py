"""A strict reader for YAML: what looks like a number is one, and nothing is guessed.

PyYAML follows YAML 1.1, where `1e-3` is a string, `no` is False, `12:30` is 750, `010` is 8
and a repeated key silently wins. This reader takes YAML 1.2's core rules (true/false, decimal
numbers, null), refuses repeated keys and tags, bounds what it reads, and remembers the line of
every key, so that an error can name it. JSON is read too, being YAML.
"""

import re
from typing import Any, ClassVar

import yaml

MAX_NODES = 10_000  # counted with aliases expanded, so a "billion laughs" file is refused
MAX_DEPTH = 50

Location = tuple[str | int, ...]


class YamlError(Exception):
    """The text is not acceptable YAML; `line` is 1-based, or None where no line is known."""

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
    if node.style is not None:  # quoted or block text is text
        return text
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text)
    # A leading zero ("010") is neither a decimal integer nor clearly octal: leave it text.
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
            if key in out:
                first = self.lines[(*path, key)]
                raise YamlError(f"key {key!r} is repeated (first on line {first})", line)
            self.lines[(*path, key)] = line
            out[key] = self.build(value_node, (*path, key))
        return out


class _TagRefusingLoader(yaml.SafeLoader):
    """Composes nodes only; an explicit tag (`!!python/…`, `!!int`) is an error."""

    # Plain scalars are resolved in `_scalar`, by YAML 1.2's rules.
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if not self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if getattr(event, "tag", None) is not None:
                raise YamlError(f"tags such as {event.tag!r} are not read", event.start_mark.line + 1)
        return super().compose_node(parent, index)


def dump(value: Any) -> str:
    """YAML that `parse` reads as `value`: block style with short mappings in one line."""
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=120)


def parse(text: str) -> tuple[Any, dict[Location, int]]:
    """Parse one YAML document; return the data and the line of every path in it.

    Raises YamlError for anything that is not one well-formed, bounded, untagged document.
    """
    try:
        loader = _TagRefusingLoader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "not valid YAML"
        raise YamlError(f"not valid YAML: {what}", mark.line + 1 if mark else None) from None
    except yaml.YAMLError as error:  # e.g. a control character: the reader gives no mark
        raise YamlError(f"not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise YamlError("nested too deeply") from None
    if node is None:
        return None, {}
    reader = _Reader()
    return reader.build(node, ()), reader.lines
