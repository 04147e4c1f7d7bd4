"""The grid of a config file: dotted keys, each with a list of values. Every combination is an arm.

A key of several keys zips them, so that they vary together:

    grid: {'data.batch_size,train.optimizer.lr': [[64, 0.1], [16, 0.025]]}
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from bnbench.config.problems import Location, show
from bnbench.errors import ConfigError

KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
MAX_ARMS = 100_000

Setting = tuple[str, Any, str]  # a dotted key, its value, and the place or the option that set it


@dataclass(frozen=True)
class Axis:
    """Keys that vary together, and their rows of values; usually one key. `place` is `file:line: grid`."""

    keys: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    place: str

    def without(self, fixed: Callable[[str], bool]) -> "Axis":
        """The axis without the keys that are `fixed`, each of its remaining rows once."""
        kept = [place for place, key in enumerate(self.keys) if not fixed(key)]
        rows = {_canonical(row): row for row in (tuple(row[place] for place in kept) for row in self.rows)}
        return Axis(tuple(self.keys[place] for place in kept), tuple(rows.values()), self.place)


def points(axes: list[Axis]) -> Iterator[list[Setting]]:
    """The settings of every arm, in order."""
    for rows in product(*(axis.rows for axis in axes)):
        yield [
            (key, value, axis.place)
            for axis, row in zip(axes, rows, strict=True)
            for key, value in zip(axis.keys, row, strict=True)
        ]


def place_of(path: Path, lines: dict[Location, int], key: str = "", option: str | None = None) -> str:
    """`file:line: grid`, `file: grid.key` where the line is unknown, or the option that set the grid."""
    if option is not None:
        return f"{option}: grid"
    line = lines.get(("grid", key)) or lines.get(("grid",))
    return f"{path}{f':{line}' if line else ''}: grid" + (f".{key}" if key and not line else "")


def read_axes(grid: Any, path: Path, lines: dict[Location, int], option: str | None = None) -> list[Axis]:
    """The axes of a grid; `option` has set it, or None where the file did. Raises ConfigError with every problem."""
    if not isinstance(grid, dict):
        raise ConfigError(
            f"{place_of(path, lines, option=option)}: must map dotted keys to lists, as in"
            f" {{train.optimizer.lr: [0.1, 0.5]}}; got {show(grid)}"
        )
    axes, problems, there = [], [], set[str]()
    for key, values in grid.items():
        keys = [part.strip() for part in key.split(",")] if isinstance(key, str) else []
        problem = _problem(keys, values, there)
        if problem:
            problems.append(f"{place_of(path, lines, str(key), option)}: {show(key)}: {problem}")
            continue
        there |= set(keys)
        rows = [(value,) for value in values] if len(keys) == 1 else map(tuple, values)
        axes.append(Axis(tuple(keys), tuple(rows), place_of(path, lines, key, option)))
    if problems:
        raise ConfigError("\n".join(problems))
    arms = math.prod(len(axis.rows) for axis in axes)
    if arms > MAX_ARMS:
        raise ConfigError(
            f"{place_of(path, lines, option=option)}: makes {arms:,} arms; at most {MAX_ARMS:,} are allowed"
        )
    return axes


def _problem(keys: list[str], values: Any, there: set[str]) -> str | None:
    """What is wrong with an axis: a sentence without its subject, or None."""
    if not keys or not all(map(KEY.fullmatch, keys)):
        return "is not a dotted key, as in train.optimizer.lr"
    for key in keys:
        if key in ("seeds", "name", "evaluations", "smoke", "grid"):
            return "cannot vary in a grid" + ("; name them by seeds: 0..9" if key == "seeds" else "")
    if len(set(keys)) < len(keys) or (twice := sorted(there & set(keys))):
        return f"names {keys[0] if len(set(keys)) < len(keys) else twice[0]} a second time in the grid"
    if not isinstance(values, list) or not values:
        return f"must be a list of values, as in [0.1, 0.5]; got {show(values)}"
    if len(keys) > 1:
        for row in values:
            if not isinstance(row, list) or len(row) != len(keys):
                return f"must be a list of lists with {len(keys)} values, one for each key; got {show(row)}"
    if len(set(map(_canonical, values))) < len(values):
        return "names a value twice"
    return None


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
