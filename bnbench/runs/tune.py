"""tune.json: what a tuning is fixed to before its first run. No torch.

    <out>/
      tune.json     the grid, the rule, the seeds, the held-out images, and the arms with their digests
      tuning/       a run for each arm, value and tuning seed; they never read the test images
      final/        the chosen value of each arm with the final seeds; each run reads the test images once

A later command must ask for the same. It may add values to the grid, if it names every arm, and it may add arms.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bnbench.errors import ConfigError, ResultsError
from bnbench.files import read_bounded, unwritable, write_atomic

FILE, TUNING, FINAL = "tune.json", "tuning", "final"
SCHEMA_VERSION = 1
MAX_BYTES = 10_000_000
RULE = {
    "metric": "valid_accuracy",
    "at": "final",
    "best": "the mean over the tuning seeds",
    "ties": "the smaller value",
    "diverged": "the worst",
}

Value = tuple[float, ...]  # a number for each key of the grid
Grid = Mapping[str, tuple[float, ...]]  # the values of each key, in order


@dataclass(frozen=True)
class Point:
    """An arm at one value: the name and the digest of its tuning runs, and of its final runs."""

    tuning: tuple[str, str]
    final: tuple[str, str]


@dataclass(frozen=True)
class Plan:
    """The contents of tune.json. `arms` maps a name to the arm's points; `widened` has the grids before this one."""

    grid: Grid
    held_out: int
    tuning_seeds: tuple[int, ...]
    final_seeds: tuple[int, ...]
    arms: Mapping[str, Mapping[Value, Point]]
    rule: Mapping[str, str]
    widened: tuple[Grid, ...] = ()


def continued(folder: Path, there: Plan, here: Plan) -> Plan:
    """The plan of a command that asks for `here` where `there` was fixed. Raises ConfigError with every difference."""
    problems = differences(there, here)
    for name in there.arms.keys() & here.arms.keys():
        common = there.arms[name].keys() & here.arms[name].keys()
        if any(there.arms[name][value] != here.arms[name][value] for value in common):
            problems.append(f"the settings of {name} are not those of before")
    missing = [
        f"{key} lacks {texts([value for value in values if value not in here.grid[key]])}"
        for key, values in there.grid.items()
        if not set(values) <= set(here.grid.get(key, values))
    ]
    wider = any(set(here.grid[key]) > set(values) for key, values in there.grid.items() if key in here.grid)
    if not problems and not missing and wider and (left := sorted(there.arms.keys() - here.arms.keys())):
        problems.append(f"a wider grid is for every arm; name the configs of {', '.join(left)} too")
    if problems or missing:
        raise ConfigError(
            f"{folder / FILE} fixes another tuning: {'; '.join([*problems, *missing])}."
            " A grid may only become wider. Repeat the command that made it, or choose another --out"
        )
    arms = {name: {**there.arms.get(name, {}), **points} for name, points in {**there.arms, **here.arms}.items()}
    return replace(here, arms=arms, widened=(*there.widened, *([there.grid] if wider else [])))


def differences(one: Plan, other: Plan) -> list[str]:
    """What two tunings that belong together must share, and do not: the keys, the rule, the seeds, the images."""
    out = []
    if one.grid.keys() != other.grid.keys():
        out.append(f"the grid is over {', '.join(one.grid)}, not {', '.join(other.grid)}")
    if dict(one.rule) != dict(other.rule):
        out.append("the rule is another")
    for what, a, b in (
        ("tuning seeds", one.tuning_seeds, other.tuning_seeds),
        ("final seeds", one.final_seeds, other.final_seeds),
        ("held-out images", (one.held_out,), (other.held_out,)),
    ):
        if a != b:
            out.append(f"the {what} are {texts(a)}, not {texts(b)}")
    return out


def texts(values: Sequence[float]) -> str:
    """Numbers as a command takes them: 0.01,0.1,1."""
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def write(folder: Path, plan: Plan) -> None:
    """Write tune.json. Raises RunError."""
    value = {
        "schema_version": SCHEMA_VERSION,
        "rule": dict(plan.rule),
        "grid": plan.grid,
        "held_out": plan.held_out,
        "tuning_seeds": plan.tuning_seeds,
        "final_seeds": plan.final_seeds,
        "arms": [
            {
                "name": name,
                "points": [
                    {"values": value, "tuning": point.tuning, "final": point.final}
                    for value, point in sorted(points.items())
                ],
            }
            for name, points in plan.arms.items()
        ],
        "widened": plan.widened,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / FILE, (json.dumps(value, indent=1) + "\n").encode())
    except OSError as error:
        raise unwritable(folder / FILE, error) from None


def read(folder: Path) -> Plan | None:
    """The plan in a folder, or None if there is none. Raises ResultsError for a file that is not one."""
    path = folder / FILE
    try:
        value = json.loads(read_bounded(path, MAX_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ResultsError(f"{path}: is not JSON, or too large") from None
    try:
        if value["schema_version"] != SCHEMA_VERSION:
            raise ResultsError(f"{path}: was written by another version of bnbench")
        plan = Plan(
            _grid(value["grid"]),
            int(_number(value["held_out"])),
            tuple(int(_number(seed)) for seed in value["tuning_seeds"]),
            tuple(int(_number(seed)) for seed in value["final_seeds"]),
            {_text(arm["name"]): dict(map(_point, arm["points"])) for arm in value["arms"]},
            {_text(key): _text(text) for key, text in value["rule"].items()},
            tuple(map(_grid, value["widened"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ResultsError(f"{path}: is damaged") from None
    keys = len(plan.grid)
    if not keys or not plan.arms or any(len(value) != keys for points in plan.arms.values() for value in points):
        raise ResultsError(f"{path}: is damaged")
    return plan


def _grid(value: Any) -> Grid:
    return {_text(key): tuple(map(_number, values)) for key, values in value.items()}


def _point(value: Any) -> tuple[Value, Point]:
    pairs = [(_text(name), _text(digest)) for name, digest in (value["tuning"], value["final"])]
    return tuple(map(_number, value["values"])), Point(*pairs)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError
    return value
