"""A sweep: the metric against one or two keys of the config, with one line for each arm without these keys. No torch.

sweeps(collect([Path("results")]), Question(), ["train.optimizer.lr"])   # a Sweep for each group where the key varies
"""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import combinations, pairwise, product
from typing import Any

from bnbench.analysis.arms import Arm, Group, Runs
from bnbench.analysis.compare import Question, by_seed, cannot
from bnbench.analysis.keys import families, is_number, plain, shared_name, values_of
from bnbench.analysis.statistics import Mean, difference, mean_interval
from bnbench.errors import ConfigError
from bnbench.runs.notes import Kind, Note

WITHIN = 0.01  # a value is usable if it is within one point of the arm's best
ROUNDING = 1e-12
DECADE = 10  # from this ratio of the largest value to the smallest, the axis is logarithmic
FEWEST = 3  # values that make a key a sweep, where nobody names the key
SHOWN = 5  # names in a note

Place = tuple[int, ...]  # the position of a value on each axis


class Usable(Enum):
    """Whether a value is within one point of its arm's best."""

    YES = "yes"  # the means say so
    MAYBE = "maybe"  # the means do not, but the paired interval of best minus this reaches below one point
    NO = "no"  # ruled out, or a run diverged, or there is no interval


@dataclass(eq=False)
class Point:
    """One value of one line. `seeds` has the metric of each complete run; `mean` is None if there is none."""

    place: Place
    arm: Arm
    seeds: dict[int, float]
    mean: Mean | None
    usable: Usable = Usable.NO


@dataclass(eq=False)
class Line:
    """An arm without the swept keys. `best` is the best of the points without a diverged run; ties to the smaller."""

    name: str
    config: dict[str, Any]  # without the swept keys
    points: dict[Place, Point] = field(default_factory=dict)
    best: Point | None = None

    @property
    def without_norm(self) -> bool:
        return self.config.get("norm.type") == "none"


@dataclass(frozen=True)
class Axis:
    """One swept key with its values: numbers in order, or else as the configs name them."""

    key: str
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The last word of the key."""
        return self.key.rsplit(".", 1)[-1]

    @property
    def numeric(self) -> bool:
        return all(map(is_number, self.values))

    @property
    def log(self) -> bool:
        """Whether the values span a decade or more."""
        return self.numeric and self.values[0] > 0 and self.values[-1] >= DECADE * self.values[0]

    def text(self, place: int) -> str:
        return value_text(self.values[place])

    def ranges(self, places: Sequence[int]) -> str:
        """[0, 1, 2, 5] → 0.01 to 0.1, 3: neighbouring values as ranges. Values without an order are listed."""
        if not self.numeric:
            return ", ".join(self.text(place) for place in sorted(places))
        those = set(places)
        starts = sorted(place for place in those if place - 1 not in those)
        ends = sorted(place for place in those if place + 1 not in those)
        return ", ".join(
            self.text(a) if a == b else f"{self.text(a)} to {self.text(b)}" for a, b in zip(starts, ends, strict=True)
        )


@dataclass(frozen=True)
class Sweep:
    """The lines of one group over one or two axes."""

    group: Group
    question: Question
    axes: tuple[Axis, ...]
    lines: list[Line]

    @cached_property
    def places(self) -> list[Place]:
        return list(product(*(range(len(axis.values)) for axis in self.axes)))

    def at_edge(self, line: Line) -> list[tuple[Axis, str]]:
        """The axes on which the best value is the "smallest" or the "largest" of the values that the line has."""
        out = []
        for number, axis in enumerate(self.axes):
            there = {point.place[number] for point in line.points.values()}
            if line.best is None or not axis.numeric or len(there) < 2:
                continue
            place = line.best.place[number]
            if place in (min(there), max(there)):
                out.append((axis, "smallest" if place == min(there) else "largest"))
        return out


def value_text(value: Any) -> str:
    """A value of a config as the screen shows it: 1e-05, true, batch."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def sweeps(runs: Runs, question: Question, keys: Sequence[str], notes: list[Note]) -> list[Sweep]:
    """A sweep over `keys` for each group of runs where they vary. Notes name the arms that are left out.

    Raises ConfigError, which names what does vary, if the keys vary in no group.
    """
    if not 1 <= len(keys) <= 2 or len(set(keys)) < len(keys):
        raise ConfigError("--by takes one key, or two different keys")
    found = []
    for group, arms in runs.groups.items():
        if (reason := cannot(group, question)) is not None:
            notes.append(Note(Kind.NOT_SHOWN, f"not shown: {group.title()}: {reason}"))
            continue
        if (one := sweep(group, arms, question, keys)) is None:
            continue
        found.append(one)
        shown = {id(point.arm) for line in one.lines for point in line.points.values()}
        if apart := [arm.label for arm in arms if id(arm) not in shown]:
            more = f", and {len(apart) - SHOWN} more" if len(apart) > SHOWN else ""
            names = ", ".join(apart[:SHOWN])
            text = f"not in the sweep, because {' and '.join(keys)} has one value there, or none: {names}{more}"
            notes.append(Note(Kind.LEFT_OUT, text))
    if not found:
        reasons = [str(note) for note in notes if note.kind is Kind.NOT_SHOWN]
        raise ConfigError("\n".join(reasons or [_does_not_vary(runs, key) for key in keys]))
    return found


def sweep(group: Group, arms: Sequence[Arm], question: Question, keys: Sequence[str]) -> Sweep | None:
    """The sweep over `keys` of the arms of a group. None if no line has two values of each key."""
    lines = [
        arms_of
        for arms_of in families(arms, keys)
        if all(len({plain(arm.config[key]) for arm in arms_of}) > 1 for key in keys)
    ]
    if not lines:
        return None
    axes = tuple(_axis(key, [arm for arms_of in lines for arm in arms_of]) for key in keys)
    out = []
    for arms_of in lines:
        config = {key: value for key, value in arms_of[0].config.items() if key not in keys}
        line = Line(shared_name(arms_of, keys), config)
        for arm in arms_of:
            place = tuple(axis.values.index(arm.config[axis.key]) for axis in axes)
            seeds = by_seed(arm, question)
            line.points[place] = Point(place, arm, seeds, mean_interval([*seeds.values()]) if seeds else None)
        line.points = dict(sorted(line.points.items()))
        line.best = best([*line.points.values()], question)
        for point in line.points.values():
            point.usable = _usable(point, line.best, question)
        out.append(line)
    _tell_apart(out)
    out.sort(key=lambda line: (not line.without_norm, line.name))
    return Sweep(group, question, axes, out)


def best(points: Sequence[Point], question: Question) -> Point | None:
    """The point with the best mean of those where no run diverged. Of equal means, the first: the smaller value."""
    sound = [point for point in points if point.mean is not None and not point.arm.diverged]
    sign = 1 if question.measure.lower_is_better else -1
    return min(sound, key=lambda point: sign * round(point.mean.mean, 12) if point.mean else 0.0, default=None)


def swept(arms: Sequence[Arm]) -> list[tuple[str, ...]]:
    """The keys that a report shows as sweeps: pairs of crossed keys, then single keys.

    A key is a sweep if an arm has three or more numbers of it while no other setting changes.
    """
    keys = dict.fromkeys(key for arm in arms for key, value in arm.config.items() if is_number(value))
    crossed = [pair for pair in combinations(keys, 2) if _is_crossed(arms, pair)]
    paired = {key for pair in crossed for key in pair}
    return [*crossed, *((key,) for key in keys if key not in paired and _most(arms, (key,), key) >= FEWEST)]


def _is_crossed(arms: Sequence[Arm], pair: tuple[str, str]) -> bool:
    """Whether each key of the pair has three or more numbers at a value of the other."""
    return all(_most(arms, (key,), key) >= FEWEST and _most(arms, pair, key) >= FEWEST for key in pair) and any(
        len(family) > sum(len({plain(arm.config[key]) for arm in family}) for key in pair) - 1
        for family in families(arms, pair)
    )


def _most(arms: Sequence[Arm], keys: Sequence[str], key: str) -> int:
    found = families([arm for arm in arms if is_number(arm.config.get(key))], keys)
    return max((len({values_of(arm, (key,)) for arm in family}) for family in found), default=0)


def _axis(key: str, arms: Sequence[Arm]) -> Axis:
    values = list({plain(arm.config[key]): arm.config[key] for arm in arms}.values())
    values.sort(key=lambda value: (not is_number(value), value if is_number(value) else 0, plain(value)))
    return Axis(key, tuple(values))


def _tell_apart(lines: Sequence[Line]) -> None:
    """Add a digest to names that several lines share."""
    names = [line.name for line in lines]
    for line in lines:
        if names.count(line.name) > 1:
            line.name += f"#{next(iter(line.points.values())).arm.digest[:6]}"


def _usable(point: Point, best: Point | None, question: Question) -> Usable:
    if best is None or best.mean is None or point.mean is None or point.arm.diverged or question.is_loss:
        return Usable.NO
    if best.mean.mean - point.mean.mean <= WITHIN + ROUNDING:
        return Usable.YES
    gap = difference(best.seeds, point.seeds)
    return Usable.MAYBE if gap and gap.low is not None and gap.low < WITHIN else Usable.NO


def _does_not_vary(runs: Runs, key: str) -> str:
    """The sentence for --by KEY: the key is unknown, has one value, or never varies alone; and what to do."""
    arms = [arm for arm in runs.arms() if key in arm.config]
    if not arms:
        known = dict.fromkeys(name for arm in runs.arms() for name in arm.config)
        if close := [name for name in known if name.endswith(f".{key}")] or difflib.get_close_matches(key, known, n=1):
            return f"--by {key}: no run has this key; did you mean {' or '.join(close)}?"
        varying = [name for name in known if len({plain(arm.config.get(name)) for arm in runs.arms()}) > 1]
        return f"--by {key}: no run has this key; the keys that differ are {', '.join(varying) or 'none'}"
    values = list({plain(arm.config[key]): arm.config[key] for arm in arms}.values())
    if len(values) == 1:
        grid = f"--set 'grid={{{key}: [{plain(values[0])}, OTHER]}}'"
        return f"--by {key}: every run has the value {value_text(values[0])}. A sweep: bnbench run CONFIG {grid}"
    other = next((name for a, b in pairwise(arms) for name in sorted(_differ(a, b, key))), "the data or the epochs")
    return f"--by {key}: never varies alone; wherever it differs, other settings differ too, such as {other}"


def _differ(a: Arm, b: Arm, key: str) -> set[str]:
    if a.config[key] == b.config[key]:
        return set()
    return {name for name in a.config.keys() | b.config.keys() if a.config.get(name) != b.config.get(name)} - {key}
