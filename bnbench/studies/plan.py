"""The configs of a study: its arms × the places of their grids. Writes nothing; no torch.

An arm's own `grid` replaces the study's. Each config has all seeds of the study, and the name ARM or ARM,KEY=VALUE.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bnbench.config.base import flat
from bnbench.config.experiment import Config
from bnbench.config.grid import KEY, Setting, points, read_axes
from bnbench.config.load import at_location, read_arm
from bnbench.config.problems import Location
from bnbench.errors import ConfigError
from bnbench.studies.file import StudyFile

QUICK_SEEDS = 2


@dataclass(frozen=True)
class Point:
    """One arm at one place of its grid. `place` maps the keys of the grid to their values there."""

    arm: str
    place: Mapping[str, Any]
    config: Config

    def is_at(self, where: Mapping[str, Any]) -> bool:
        return all(key in self.place and _same(self.place[key], value) for key, value in where.items())


@dataclass(frozen=True)
class Plan:
    """The points of a study, arm by arm. `base` has each arm's flat config without its grid."""

    study: StudyFile
    points: tuple[Point, ...]
    base: Mapping[str, Mapping[str, Any]]

    def of_arm(self, arm: str) -> list[Point]:
        return [point for point in self.points if point.arm == arm]

    def keys(self, arm: str) -> list[str]:
        """The keys of an arm's grid."""
        return list(self.of_arm(arm)[0].place)

    @cached_property
    def configs(self) -> list[Config]:
        """The configs to train, each arm once: two points may have the same settings."""
        return list({point.config.digest(): point.config for point in self.points}.values())

    def pick(self, arm: str, where: Mapping[str, Any], free: Sequence[str] = ()) -> list[Point]:
        """The points of an arm at `where`, and elsewhere at the base's values. The keys `free` may have any value."""
        there = [point for point in self.of_arm(arm) if point.is_at(where)]
        for key in self.keys(arm):
            if key in where or key in free:
                continue
            at_base = [point for point in there if _same(point.place[key], self.base[arm].get(key))]
            varies = len({_text(point.place[key]) for point in there}) > 1
            # A key that varies together with a free or a fixed key has the value that belongs to it.
            if varies and at_base and not self._tied(arm, key, [*where, *free]):
                there = at_base
        return there

    def _tied(self, arm: str, key: str, others: Sequence[str]) -> bool:
        """Whether the values of `others` decide that of `key`, and vary."""
        pairs = {(tuple(_text(p.place.get(o)) for o in others), _text(p.place[key])) for p in self.of_arm(arm)}
        return 1 < len(pairs) == len({first for first, _ in pairs})


def make_plan(study: StudyFile, *, quick: bool = False) -> Plan:
    """Every point of a study. Raises ConfigError with every problem of the configs and the grids, file and line.

    `quick`: one epoch on 512 images of mnist5k, two seeds.
    """
    found: list[Point] = []
    base: dict[str, Mapping[str, Any]] = {}
    problems: list[str] = []
    for arm in study.about.arms:
        try:
            made, alone = _of_arm(study, arm, quick=quick)
        except ConfigError as error:
            problems += str(error).split("\n")
            continue
        found += made
        base[arm] = alone
        problems += _without_base(study, arm, made, alone) if not quick else []
    names: dict[str, Point] = {}
    for point in found:
        twin = names.setdefault(point.config.name, point)
        if twin is not point and not quick:
            problems.append(f"{study.at('arms', point.arm)}: two places of the grid give the name {point.config.name}")
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))
    return Plan(study, tuple(found), base)


def _of_arm(study: StudyFile, arm: str, *, quick: bool) -> tuple[list[Point], Mapping[str, Any]]:
    """The points of an arm, and its flat config without the grid."""
    data, lines, grid = _merged(study, arm)
    if quick:
        data["seeds"] = data["seeds"][:QUICK_SEEDS]
    elif isinstance(data.get("data"), dict):
        data["data"]["fallback"] = "error"  # on other images it would be another study
    own = ("arms", arm) if "grid" in study.about.arms[arm] else ()
    axes = read_axes(grid, study.path, below(study.lines, own))

    def config(settings: Sequence[Setting]) -> Config:
        return read_arm(study.path, data, lines, settings, [], name=arm, smoke=quick)

    alone = flat(config([]).arm())
    made = []
    for settings in points(axes):
        made.append(Point(arm, {key: value for key, value, _ in settings}, config(settings)))
    return made, alone


def _merged(study: StudyFile, arm: str) -> tuple[dict[str, Any], dict[Location, int], Any]:
    """The base with an arm's changes, the line of each key in the study's file, and the arm's grid."""
    about, lines = study.about, dict(below(study.lines, ("base",)))
    data = copy.deepcopy(about.base)
    for key in ("seeds", "name", "grid", "evaluations", "smoke"):
        if key in data:
            raise ConfigError(f"{study.at('base', key)}: does not belong here; the study itself has it")
    grid: Any = about.grid
    for key, value in about.arms[arm].items():
        if key == "grid":
            grid = value
            continue
        if not KEY.fullmatch(key) or key in ("name", "smoke"):
            raise ConfigError(
                f"{study.at('arms', arm, key)}: is not a key of a config, as in norm or train.optimizer.lr"
            )
        location: Location = tuple(key.split("."))
        at_location(data, location, copy.deepcopy(value), option=study.at("arms", arm, key))
        lines = {old: line for old, line in lines.items() if old[: len(location)] != location}
        lines |= {location + rest: line for rest, line in below(study.lines, ("arms", arm, key)).items()}
    data["seeds"] = list(about.seeds)
    data.setdefault("device", "cpu")  # another device gives other digits, and a study can be repeated
    if data["device"] == "auto":
        raise ConfigError(f"{study.at('base', 'device')}: a study names its device; write cpu, cuda or mps")
    if about.evaluations and "evaluations" not in data:
        data["evaluations"] = copy.deepcopy(about.evaluations)
        lines |= {("evaluations", *rest): line for rest, line in below(study.lines, ("evaluations",)).items()}
    return data, lines, grid


def below(lines: Mapping[Location, int], prefix: Location) -> dict[Location, int]:
    """The lines of the keys below `prefix`, without it."""
    size = len(prefix)
    return {location[size:]: line for location, line in lines.items() if location[:size] == prefix}


def _without_base(study: StudyFile, arm: str, made: Sequence[Point], base: Mapping[str, Any]) -> Iterator[str]:
    """The keys of an arm's grid that miss the value of its base."""
    for key in made[0].place:
        values = [point.place[key] for point in made]
        if not any(_same(value, base.get(key, base.get(f"{key}.type"))) for value in values):
            where = study.at("arms", arm, "grid") if "grid" in study.about.arms[arm] else study.at("grid")
            shown = ", ".join(dict.fromkeys(map(_text, values)))
            yield (
                f"{where}: {key}: the grid {shown} misses the base's value, {_text(base.get(key))};"
                " add it, or change the base"
            )


def _same(a: Any, b: Any) -> bool:
    return a == b and isinstance(a, bool) is isinstance(b, bool)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
