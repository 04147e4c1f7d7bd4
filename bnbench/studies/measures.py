"""What the runs of a study say: a number for each arm and seed, with bounds where a run was censored. No torch.

Metrics are known at the end of each epoch. So a target that an epoch's end first shows was reached within that epoch.
effects.py says which place a diverged run has in each measure.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bnbench.analysis.measures import MEASURES as METRICS
from bnbench.runs.evaluations import read_evaluations
from bnbench.runs.format import Run
from bnbench.studies.effects import Value, diverged_accuracy, diverged_loss, never
from bnbench.studies.plan import Plan, Point
from bnbench.studies.schema import AtTarget, Change, Claim, Flatness, Largest, Measure, OfEpoch, OfEvaluation, ToTarget

GUESSING = 11.35  # %: the share of the largest class of MNIST's test images

Found = Mapping[tuple[str, int], Run]  # the digest of the config and the seed → the finished run


@dataclass(frozen=True)
class Side:
    """The value of an arm with one seed, and the final accuracies that sum to it: their weights and runs.

    `runs` is empty if the value is no such sum.
    """

    value: Value
    runs: tuple[tuple[int, Run], ...] = ()
    diverged: bool = False


def side(plan: Plan, found: Found, claim: Claim, points: Sequence[Point], seed: int) -> Side | None:
    """What the measure gives for one seed of an arm, from the runs at `points`. None if one of them is missing."""
    runs = [found.get((point.config.digest(), seed)) for point in points]
    there = [run for run in runs if run is not None]
    if len(there) < len(points):
        return None
    pairs = list(zip(points, there, strict=True))
    of = next(function for kind, function in _OF.items() if isinstance(claim.measure, kind))
    out: Side | None = of(claim.measure, pairs)
    if out is None:
        return None
    return Side(out.value, out.runs, any(run.status == "diverged" for run in there))


Pairs = Sequence[tuple[Point, Run]]


def metric_of(name: str, run: Run, epoch: int | None = None) -> Value:
    """A metric after an epoch, or after the last one; accuracies in percent."""
    metric = METRICS[name]
    if run.status == "diverged" and (epoch is None or epoch >= len(run.rows)):
        return diverged_loss() if metric.is_loss else diverged_accuracy(GUESSING)
    scale = 1.0 if metric.is_loss else 100.0
    if metric.per_epoch:
        return Value.known(scale * metric.of_epoch(run.rows[-1 if epoch is None else epoch - 1]))
    value = metric.of_test(run)
    assert value is not None  # checks.py refuses it without held-out images
    return Value.known(scale * value)


def on_test_images(name: str, run: Run) -> bool:
    """Whether the final value of this metric is the accuracy that mistakes.csv has the images of."""
    return name == ("test_accuracy" if run.test else "valid_accuracy")


def _of_epoch(measure: OfEpoch, pairs: Pairs) -> Side:
    ((point, run),) = pairs
    last = point.config.train.epochs
    epoch = measure.epoch if measure.step is None else measure.step // point.config.data.batches()[0]
    value = metric_of(measure.metric, run, None if epoch == last else epoch)
    final = epoch in (None, last) and on_test_images(measure.metric, run)
    return Side(value, ((1, run),) if final else ())


def _to_target(measure: ToTarget, pairs: Pairs) -> Side:
    ((point, run),) = pairs
    unit = point.config.data.batches()[0] if measure.type == "steps_to" else 1
    epoch = _reached(measure.metric, measure.target, run)
    if epoch is None:
        return Side(never(unit * point.config.train.epochs))
    return Side(Value(unit * epoch, unit * (epoch - 1), unit * epoch))


def _reached(name: str, target: float, run: Run) -> int | None:
    """The first epoch at whose end a metric has reached its target; None for a run that diverged later."""
    metric = METRICS[name]
    for row in run.rows if run.status != "diverged" else ():
        value = metric.of_epoch(row)
        if value <= target if metric.is_loss else 100 * value >= target:
            return row.epoch
    return None


def _at_target(measure: AtTarget, pairs: Pairs) -> Side:
    """Nothing is known of a run that does not reach the target."""
    ((_, run),) = pairs
    epoch = _reached(measure.of, measure.target, run)
    last = metric_of(measure.metric, run)
    if epoch is None:
        return Side(Value(last.value, -math.inf, math.inf))
    return Side(metric_of(measure.metric, run, epoch))


def _largest(measure: Largest, pairs: Pairs) -> Side:
    values = sorted(pairs, key=lambda pair: pair[0].place[measure.key])
    good = [
        float(point.place[measure.key])
        for point, run in values
        if run.status != "diverged" and _good(measure, metric_of(measure.metric, run))
    ]
    ends = [float(values[place][0].place[measure.key]) for place in (0, -1)]
    if not good:
        return Side(Value.at_most(math.log10(ends[0])))
    if good[-1] == ends[1]:
        return Side(Value.at_least(math.log10(ends[1])))
    return Side(Value.known(math.log10(good[-1])))


def _good(measure: Largest, of: Value) -> bool:
    return of.value <= measure.least if METRICS[measure.metric].is_loss else of.value >= measure.least


def _flatness(measure: Flatness, pairs: Pairs) -> Side:
    values = [metric_of(measure.metric, run) for _, run in pairs]
    return Side(max(values, key=lambda of: of.value) - min(values, key=lambda of: of.value))


def _change(measure: Change, pairs: Pairs) -> Side:
    runs = {_plain(point.place[measure.key]): run for point, run in pairs}
    start, end = runs[_plain(measure.start)], runs[_plain(measure.end)]
    value = metric_of(measure.metric, end) - metric_of(measure.metric, start)
    final = all(on_test_images(measure.metric, run) for run in (start, end))
    return Side(value, ((1, end), (-1, start)) if final else ())


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _of_evaluation(measure: OfEvaluation, pairs: Pairs) -> Side | None:
    """None if the run lacks an evaluation. A diverged run has none; it counts as in effects.py."""
    ((_, run),) = pairs
    table = {} if run.status == "diverged" else read_evaluations(run)

    def of(name: str) -> Value | None:
        if run.status == "diverged":
            return diverged_accuracy(GUESSING) if measure.column == "accuracy" else diverged_loss()
        cell = getattr(table[name], measure.column) if name in table else None
        scale = 100.0 if measure.column == "accuracy" else 1.0
        return None if cell is None else Value.known(scale * cell)

    value = of(measure.evaluation)
    if value is None or (measure.minus is None and measure.over is None):
        return None if value is None else Side(value)
    other = of(measure.minus or measure.over or "")
    if other is None:
        return None
    return Side(value - other if measure.minus else Value.known(value.value / other.value))


_OF: dict[type[Measure], Callable[[Any, Pairs], Side | None]] = {
    OfEpoch: _of_epoch,
    ToTarget: _to_target,
    AtTarget: _at_target,
    Largest: _largest,
    Flatness: _flatness,
    Change: _change,
    OfEvaluation: _of_evaluation,
}


def of_run(measure: Measure, point: Point, run: Run) -> Value | None:
    """What a measure of a single run gives. None if the run does not have it."""
    of = next(function for kind, function in _OF.items() if isinstance(measure, kind))
    out = of(measure, [(point, run)])
    return None if out is None else out.value


def step_of(measure: Measure, points: Sequence[Point]) -> float:
    """The resolution of a measure, in its unit: one step of the grid; else 0."""
    if isinstance(measure, Largest):
        values = sorted({math.log10(point.place[measure.key]) for point in points})
        return max((b - a for a, b in pairwise(values)), default=0.0)
    return 0.0
