"""Groups of arms → rows with statistics: the result of each arm, and its difference to its baseline.

compare(collect([Path("results")]), Question(target=0.97)).tables   # a Table for each group
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bnbench.analysis.arms import Arm, Group, Runs
from bnbench.analysis.baselines import named, nearest
from bnbench.analysis.measures import MEASURES, Measure
from bnbench.analysis.statistics import Difference, Mean, difference, holm, mean_interval, two_way_bootstrap
from bnbench.errors import ConfigError, ResultsError
from bnbench.runs.format import Run, read_mistakes
from bnbench.runs.notes import Kind, Note

At = Literal["final", "best"] | int


@dataclass(frozen=True)
class Question:
    """The question that a comparison answers for every arm. Accuracies and targets are fractions."""

    metric: str = "valid_accuracy"
    at: At = "final"  # the last epoch, each run's best, or an epoch counted from 1
    baseline: str | None = None  # a label; None: the most similar arm without a norm
    target: float | None = None
    early: int | None = None  # how many first epochs to average
    bootstrap: bool = False

    @property
    def measure(self) -> Measure:
        return MEASURES[self.metric]

    @property
    def is_loss(self) -> bool:
        return self.measure.is_loss

    def of(self, metric: str) -> "Question":
        """The same question about another metric."""
        return replace(self, metric=metric)

    @property
    def column(self) -> str:
        """The field of machine formats, as in final_valid_accuracy, epoch3_train_loss."""
        if not self.measure.per_epoch:
            return self.metric
        return f"{f'epoch{self.at}' if isinstance(self.at, int) else self.at}_{self.metric}"


@dataclass(frozen=True)
class Reached:
    """When an arm's runs first reached the target. Runs that did not reach it count as later than all others."""

    k: int
    n: int
    epochs: float  # median over all n; infinite if half or more did not reach it
    seconds: float  # of training until the end of that epoch


@dataclass(eq=False)  # compared by identity: comparing values would compare every run
class Row:
    """One arm of a table. Means are over its complete runs; None if it has none, or if the question does not ask."""

    arm: Arm
    value: Mean | None  # the metric of the question
    best: Mean | None  # the same at each run's best epoch
    early: Mean | None  # the same over its first epochs
    test: Mean | None  # accuracy on the test images, if validation uses others
    epoch_seconds: float | None  # median training time of an epoch
    parameters: int
    baseline: Arm | None = None  # itself in the baseline's own row
    difference: Difference | None = None
    p_holm: float | None = None
    bootstrap: tuple[float, float] | None = None  # interval of the difference in test accuracy
    reached: Reached | None = None

    @property
    def is_baseline(self) -> bool:
        return self.baseline is self.arm

    @property
    def told_apart_over_seeds(self) -> bool:
        """Whether the interval of its difference excludes 0."""
        return self.difference is not None and self.difference.low is not None and not self.difference.covers_zero

    @property
    def told_apart(self) -> bool:
        """The same, and with --bootstrap the interval over seeds and images excludes 0 too."""
        return self.told_apart_over_seeds and not (self.bootstrap and self.bootstrap[0] <= 0 <= self.bootstrap[1])


@dataclass(frozen=True)
class Table:
    """The rows of a group: each baseline, then the arms compared with it."""

    group: Group
    question: Question
    rows: list[Row]

    @property
    def compared(self) -> list[Row]:
        return [row for row in self.rows if row.difference is not None]


@dataclass(frozen=True)
class Comparison:
    """A table for each group that can answer the question; the notes on the runs and on the answer."""

    tables: list[Table]
    notes: list[Note]


def compare(runs: Runs, question: Question) -> Comparison:
    """Answer `question` for every group that can answer it; a note names each other group.

    Raises ConfigError if no group can, if the baseline does not exist, or if the question makes no sense.
    """
    if question.bootstrap and (question.metric not in ("valid_accuracy", "test_accuracy") or question.at != "final"):
        raise ConfigError("--bootstrap needs the final accuracy on the test images; leave out --metric and --at")
    if question.target is not None and not (0 <= question.target <= (1e3 if question.is_loss else 1)):
        what = "must be a loss, as in 0.1" if question.is_loss else "accuracies are fractions here: write 0.97 for 97 %"
        raise ConfigError(f"--target {question.target:g}: {what}")
    chosen = None if question.baseline is None else named(runs.arms(), question.baseline)
    tables, notes = [], list(runs.notes)
    for group, arms in runs.groups.items():
        reason = _cannot(group, question)
        if reason is not None:
            notes.append(Note(Kind.NOT_SHOWN, f"not shown: {group.title()}: {reason}"))
            continue
        rows = [_row(arm, question) for arm in arms]
        if chosen is None:
            baselines = nearest(arms, notes)
        else:
            baselines = [next((arm for arm in arms if arm.label == chosen), None)] * len(arms)
            if baselines[0] is None:
                notes.append(Note(Kind.BASELINE, f"no baseline {chosen} among: {group.title()}"))
        for row, baseline in zip(rows, baselines, strict=True):
            row.baseline = baseline
        if question.bootstrap and not _bootstraps(group, question):
            text = f"no bootstrap of held-out images; --metric test_accuracy: {group.title()}"
            notes.append(Note(Kind.BOOTSTRAP, text))
        for row in rows:
            if row.baseline is not None and not row.is_baseline:
                row.difference = difference(by_seed(row.arm, question), by_seed(row.baseline, question))
                if question.bootstrap and _bootstraps(group, question):
                    row.bootstrap = _bootstrap(row, row.baseline, notes)
        ps = [row.difference.p if row.difference else None for row in rows]
        for row, p in zip(rows, holm(ps), strict=True):
            row.p_holm = p
        rows.sort(key=lambda row: (row.baseline is None, row.baseline and row.baseline.label, not row.is_baseline))
        tables.append(Table(group, question, rows))
    if not tables:
        raise ConfigError("\n".join(str(note) for note in notes if note.kind is Kind.NOT_SHOWN))
    return Comparison(tables, notes)


def _cannot(group: Group, question: Question) -> str | None:
    if isinstance(question.at, int) and question.at > group.epochs:
        return f"--at {question.at} is beyond its last epoch"
    if not question.measure.per_epoch and not group.held_out:
        return f"--metric {question.metric} is of runs with data.valid; here valid_accuracy is of the test images"
    return None


def _row(arm: Arm, question: Question) -> Row:
    runs = arm.complete
    seconds = [row.train_seconds for run in runs for row in run.rows]
    per_epoch = question.measure.per_epoch
    return Row(
        arm,
        value=mean_of(arm, question),
        best=mean_of(arm, replace(question, at="best")) if per_epoch else None,
        early=_mean([_early(run, question) for run in runs]) if per_epoch and question.early else None,
        test=_mean([run.test.accuracy for run in runs if run.test]),
        epoch_seconds=statistics.median(seconds) if seconds else None,
        parameters=arm.runs()[0].parameters,
        reached=_reached([*runs, *arm.diverged], question),
    )


def mean_of(arm: Arm, question: Question) -> Mean | None:
    """The mean of the question's metric over the arm's complete runs."""
    return _mean(list(by_seed(arm, question).values()))


def _mean(values: Sequence[float]) -> Mean | None:
    return mean_interval(values) if values else None


def by_seed(arm: Arm, question: Question) -> dict[int, float]:
    """The question's metric for each complete run."""
    measure, runs = question.measure, arm.complete
    if not measure.per_epoch:
        return {run.seed: value for run in runs if (value := measure.of_test(run)) is not None}
    if question.at == "best":
        choose: Callable[..., float] = min if measure.lower_is_better else max
        return {run.seed: choose(map(measure.of_epoch, run.rows)) for run in runs}
    which = -1 if question.at == "final" else question.at - 1
    return {run.seed: measure.of_epoch(run.rows[which]) for run in runs}


def _early(run: Run, question: Question) -> float:
    values = [question.measure.of_epoch(row) for row in run.rows[: question.early]]
    return math.fsum(values) / len(values)


def _reached(runs: Sequence[Run], question: Question) -> Reached | None:
    if question.target is None or not question.measure.per_epoch or not runs:
        return None
    epochs, seconds = [], []
    for run in runs:
        passed = 0.0
        for row in run.rows:
            passed += row.train_seconds
            value = question.measure.of_epoch(row)
            if value <= question.target if question.measure.lower_is_better else value >= question.target:
                epochs.append(float(row.epoch))
                seconds.append(passed)
                break
        else:
            epochs.append(math.inf)
            seconds.append(math.inf)
    k = sum(map(math.isfinite, epochs))
    return Reached(k, len(runs), statistics.median(epochs), statistics.median(seconds))


def _bootstraps(group: Group, question: Question) -> bool:
    """Whether the question is about accuracy on the test images; runs record their mistakes only on those."""
    return question.metric == "test_accuracy" or not group.held_out


def _bootstrap(row: Row, baseline: Arm, notes: list[Note]) -> tuple[float, float] | None:
    if row.difference is None or row.difference.low is None:
        return None  # one seed gives no interval over seeds
    try:
        arm, other = ({run.seed: read_mistakes(run) for run in of.complete} for of in (row.arm, baseline))
    except ResultsError as error:
        notes.append(Note(Kind.BOOTSTRAP, f"{row.arm.label}: no bootstrap: {error}"))
        return None
    images = {run.test_images for run in [*row.arm.complete, *baseline.complete]}
    if len(images) > 1:
        text = f"{row.arm.label}: no bootstrap: its runs and the baseline's were judged on different images"
        notes.append(Note(Kind.BOOTSTRAP, text))
        return None
    return two_way_bootstrap(arm, other, images.pop())
