"""Reads a YAML file as a mapping, with the line of every key. Every mistake is a ConfigError with file and line."""

import re
from pathlib import Path
from typing import Any

from bnbench.config import strict_yaml
from bnbench.config.grid import KEY
from bnbench.config.problems import Location, closest, show
from bnbench.errors import ConfigError
from bnbench.files import read_bounded

MAX_BYTES = 300_000  # PyYAML takes half a second for as much


def read_mapping(path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """The mapping in a YAML file, and the line of every key. Raises ConfigError."""
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder; name a config file in it")
        raw = read_bounded(path, MAX_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_similar_file(path)}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: is not a config: it {error}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from None
    try:
        data, lines = strict_yaml.parse(text)
    except strict_yaml.YamlError as error:
        raise ConfigError(f"{path}{f':{error.line}' if error.line else ''}: {error}") from None
    if data is None:
        raise ConfigError(f"{path}: is empty; a config needs at least model and train")
    if not isinstance(data, dict):
        raise ConfigError(f"{path}:1: must be a mapping of keys to values, not {show(data)}")
    return data, lines


def _similar_file(path: Path) -> str:
    """What to write in place of a file that is not there: a similar name beside it, or a config of this name."""
    try:
        if close := closest(path.name, [there.name for there in path.parent.glob("*.y*ml")]):
            return f"; did you mean {path.parent / close}?"
        for there in sorted(Path("configs").rglob("*.y*ml")) if path.parent == Path() else ():
            if path.name in (there.name, there.stem):
                return f"; did you mean {there}?"
    except OSError:
        return ""
    if re.fullmatch(KEY.pattern + "=.*", str(path)):
        return f"; each KEY=VALUE has its own --set: --set {path}"
    return ""
