"""`bnbench diff`: how two runs or two arms differ in config, environment and metrics."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from bnbench.analysis.arms import Arm, Group, collect, seed_ranges
from bnbench.analysis.compare import Question, judge
from bnbench.analysis.intervals import difference, mean
from bnbench.analysis.maxt import FEWEST_PAIRS
from bnbench.analysis.measures import CURVES, MEASURES
from bnbench.analysis.mistakes import Wrong, read_wrong
from bnbench.analysis.statistics import ALPHA, Difference, Mean
from bnbench.console import JSON_SCHEMA_VERSION, inert
from bnbench.errors import ConfigError
from bnbench.report.cells import difference_text, mean_text
from bnbench.report.formats.text import NARROW, print_paragraphs
from bnbench.runs.format import METRICS, Run
from bnbench.runs.notes import Note


@dataclass(frozen=True)
class Side:
    """One side of the comparison: an arm, or a single run as an arm with one seed."""

    group: Group
    arm: Arm
    wrong: dict[Arm, Wrong]  # empty if mistakes.csv is missing or damaged

    @property
    def runs(self) -> list[Run]:
        return [*self.arm.complete, *self.arm.diverged]

    def title(self) -> str:
        seeds = f"seed {self.runs[0].seed}" if len(self.runs) == 1 else f"{self.arm.counts} seeds"
        return f"{self.arm.label} ({seeds})"

    def environment(self) -> dict[str, set[str]]:
        """The different values of each provenance fact over its runs."""
        facts: dict[str, set[str]] = {}
        for run in self.runs:
            for name, value in run.provenance.items():
                facts.setdefault(inert(name), set()).add(inert(value))
        return facts


@dataclass(frozen=True)
class Metric:
    """One metric on both sides, and the difference (B - A) if the two may be compared."""

    name: str
    a: Mean | None
    b: Mean | None
    difference: Difference | None


def side(path: Path, notes: list[Note]) -> Side:
    """The only arm at or below `path`. Raises ConfigError if there are several, ResultsError if there are none."""
    runs = collect([path])
    notes.extend(runs.notes)
    found = [(group, arm) for group, arms in runs.groups.items() for arm in arms if arm.complete or arm.diverged]
    if len(found) > 1:
        names = ", ".join(sorted({arm.label for _, arm in found})[:5])
        raise ConfigError(f"{path}: holds {len(found)} arms ({names}, …); name one arm's folder, or one run's")
    ((group, arm),) = found
    return Side(group, arm, read_wrong([arm], notes))


def config_differences(a: Side, b: Side) -> dict[str, tuple[str | None, str | None]]:
    """Every setting that differs, as (value of A, value of B); None if a side does not have it."""
    one, other = a.arm.config, b.arm.config
    keys = [key for key in {**one, **other} if key not in one or key not in other or one[key] != other[key]]
    return {
        key: tuple(json.dumps(side[key]) if key in side else None for side in (one, other))  # type: ignore[misc]
        for key in keys
    }


def environment_differences(a: Side, b: Side) -> dict[str, tuple[str, str]]:
    one, other = a.environment(), b.environment()
    return {
        name: (" | ".join(sorted(one.get(name, set()))), " | ".join(sorted(other.get(name, set()))))
        for name in {**one, **other}
        if one.get(name) != other.get(name)
    }


def metrics(a: Side, b: Side) -> list[Metric]:
    """The metrics of the last epoch, and the test accuracy if images were held out."""
    names = [*CURVES, *(["test_accuracy"] if a.group.held_out or b.group.held_out else [])]
    rows = []
    for name in names:
        question = Question(metric=name)
        one, other = (judge(side.arm, question, side.wrong) for side in (a, b))
        rows.append(Metric(name, mean(one), mean(other), difference(other, one) if a.group == b.group else None))
    return rows


def sentences(a: Side, b: Side) -> Iterator[str]:
    """Whether the two may be compared, and until which epoch runs with the same seed agree to the last digit."""
    if a.group != b.group:
        names = [name for name, value in vars(a.group).items() if value != getattr(b.group, name)]
        yield f"No difference is taken: the two do not share {', '.join(names)}."
    common = sorted({run.seed for run in a.runs} & {run.seed for run in b.runs})
    if not common:
        yield "They have no seed in common."
        return
    runs = [{run.seed: run for run in side.runs} for side in (a, b)]
    first = {seed: _first_difference(runs[0][seed], runs[1][seed]) for seed in common}
    same = [seed for seed in common if first[seed] is None]
    if same:
        yield f"{_seeds(same)}: the same metrics, to the last digit, in every epoch."
    if len(same) == len(common):
        return
    epochs = [epoch for epoch in first.values() if epoch is not None]
    when = f"epoch {min(epochs)}" if min(epochs) == max(epochs) else f"epochs {min(epochs)} to {max(epochs)}"
    yield f"{_seeds([seed for seed in common if first[seed] is not None])}: metrics differ, first in {when}."


def _first_difference(a: Run, b: Run) -> int | None:
    for one, other in zip(a.rows, b.rows, strict=False):
        if any(repr(getattr(one, name)) != repr(getattr(other, name)) for name in METRICS):
            return one.epoch
    return None if len(a.rows) == len(b.rows) else min(len(a.rows), len(b.rows)) + 1


def _seeds(seeds: Sequence[int]) -> str:
    return f"Seed{'s' if len(seeds) > 1 else ''} {seed_ranges(seeds)}"


def print_diff(a: Side, b: Side, console: Console) -> None:
    """Print three small tables, or paragraphs in a narrow terminal, and then the sentences."""
    console.print(f"A  {a.title()}\nB  {b.title()}\n")
    config = {key: tuple(value or "–" for value in pair) for key, pair in config_differences(a, b).items()}
    for title, rows in (("config", config), ("environment", environment_differences(a, b))):
        if rows:
            _print([title, "A", "B"], [[name, *values] for name, values in rows.items()], console)
        else:
            console.print(f"{title}: the same\n")
    cells = [_cells(metric, len(b.arm.complete)) for metric in metrics(a, b)]
    _print(["last epoch", "A", "B", "B - A"], cells, console)
    for sentence in sentences(a, b):
        console.print(sentence)
    if any(re.search(r"±|\[", cell) for row in cells for cell in row):
        console.print(
            "±, [ ]: 95 % intervals over seeds, or as a cell says. Differences are paired by seed.\n"
            "~: the interval covers 0. ?: it leaves out 0, but p is above 0.05, or there are too few seeds to test."
        )


def _cells(metric: Metric, seeds: int) -> list[str]:
    loss, gap = MEASURES[metric.name].is_loss, metric.difference
    different = gap is not None and gap.p is not None and gap.p <= ALPHA and (gap.n >= FEWEST_PAIRS or not gap.paired)
    text = difference_text(gap, different=different, seeds=seeds, loss=loss, over="seeds")
    means = (mean_text(of, loss=loss, over="seeds") for of in (metric.a, metric.b))
    return [MEASURES[metric.name].words, *means, text]


def _print(headings: list[str], rows: list[list[str]], console: Console) -> None:
    if console.width < NARROW:
        print_paragraphs(headings, rows, console)
        return
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for heading in headings:
        grid.add_column(heading, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console.print(grid)
    console.print()


def as_json(a: Side, b: Side) -> dict[str, Any]:
    def mean(of: Mean | None) -> dict[str, Any] | None:
        return None if of is None else {**vars(of), "low": of.low, "high": of.high}

    return {
        "schema_version": JSON_SCHEMA_VERSION,
        "a": a.title(),
        "b": b.title(),
        "config": {key: list(pair) for key, pair in config_differences(a, b).items()},
        "environment": {key: list(pair) for key, pair in environment_differences(a, b).items()},
        "metrics": {
            metric.name: {
                "a": mean(metric.a),
                "b": mean(metric.b),
                "difference": metric.difference and vars(metric.difference),
            }
            for metric in metrics(a, b)
        },
        "sentences": list(sentences(a, b)),
    }
