"""Groups of arms → rows with statistics: the result of each arm, and its difference to its baseline.

compare(collect([Path("results")]), Question(target=0.97)).tables   # a Table for each group
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bnbench.analysis.arms import Arm, Group, Runs
from bnbench.analysis.baselines import named, nearest
from bnbench.analysis.families import Candidate, Tested, corrected
from bnbench.analysis.intervals import Judged, difference, mean
from bnbench.analysis.measures import MEASURES, Measure
from bnbench.analysis.mistakes import Wrong, read_wrong
from bnbench.analysis.mixed import at_one_epoch
from bnbench.analysis.sameness import Sameness, sameness
from bnbench.analysis.statistics import ALPHA, Difference, Mean, Over, mean_interval
from bnbench.errors import ConfigError
from bnbench.runs.format import Run
from bnbench.runs.notes import Kind, Note

At = Literal["final", "best"] | int
Verdict = Literal["same", "different", "unknown"]


@dataclass(frozen=True)
class Question:
    """The question that a comparison answers for every arm. Accuracies and targets are fractions."""

    metric: str = "valid_accuracy"
    at: At = "final"  # the last epoch, each run's best, or an epoch counted from 1
    baseline: str | None = None  # a label; None: the most similar arm without a norm
    target: float | None = None
    early: int | None = None  # how many first epochs to average
    same: float | None = None  # differences below this margin count as none: a fraction, or a loss

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
    tested: Tested = field(default_factory=Tested)
    sameness: Sameness | None = None  # if the question has a margin
    reached: Reached | None = None

    @property
    def is_baseline(self) -> bool:
        return self.baseline is self.arm

    @property
    def p(self) -> float | None:
        """The p of its difference, corrected for the arms of its baseline."""
        return self.tested.p

    @property
    def apart(self) -> bool:
        """Whether the interval of its difference leaves out 0."""
        return self.difference is not None and self.difference.low is not None and not self.difference.covers_zero

    @property
    def different(self) -> bool:
        """Whether the interval leaves out 0, and the test finds a difference too."""
        return self.apart and self.p is not None and self.p <= ALPHA

    @property
    def verdict(self) -> Verdict | None:
        """None without a difference. A difference that is smaller than the margin is the same."""
        if self.difference is None:
            return None
        if self.sameness is not None and self.sameness.same:
            return "same"
        return "different" if self.different else "unknown"

    @property
    def seeds_needed(self) -> int | None:
        """The seeds that would decide, if the verdict is unknown and the question has a margin; None if none would."""
        if self.verdict != "unknown" or self.sameness is None or self.difference is None:
            return None
        enough = self.sameness.seeds
        return enough if enough is None or enough > self.difference.n else self.sameness.seeds_if_seen


@dataclass(frozen=True)
class Table:
    """The rows of a group: each baseline, then the arms compared with it."""

    group: Group
    question: Question
    rows: list[Row]

    @property
    def compared(self) -> list[Row]:
        return [row for row in self.rows if row.difference is not None]

    @property
    def over(self) -> Over:
        """What its intervals are over; a cell whose interval is over something else says so."""
        of = {part.over for row in self.rows for part in (row.value, row.difference) if part and part.low is not None}
        return next((over for over in ("seeds and images", "seeds", "images") if over in of), "seeds")


@dataclass(frozen=True)
class Comparison:
    """A table for each group that can answer the question; the notes on the runs and on the answer."""

    tables: list[Table]
    notes: list[Note]


def compare(runs: Runs, question: Question) -> Comparison:
    """Answer `question` for every group that can answer it; a note names each other group.

    Raises ConfigError if no group can, if the baseline does not exist, or if the question makes no sense.
    """
    if question.target is not None and not (0 <= question.target <= (1e3 if question.is_loss else 1)):
        what = "must be a loss, as in 0.1" if question.is_loss else "accuracies are fractions here: write 0.97 for 97 %"
        raise ConfigError(f"--target {question.target:g}: {what}")
    check_margin(question)
    chosen = None if question.baseline is None else named(runs.arms(), question.baseline)
    tables, notes = [], list(runs.notes)
    for group, arms in at_one_epoch(runs.groups, question.at if question.measure.per_epoch else None).items():
        reason = cannot(group, question)
        if reason is not None:
            notes.append(Note(Kind.NOT_SHOWN, f"not shown: {group.title()}: {reason}"))
            continue
        wrong = read_wrong(arms, notes) if _final_accuracy(question) or group.held_out else {}
        judged = {arm: judge(arm, question, wrong) for arm in arms}
        rows = [_row(judged[arm], arm, question, wrong) for arm in arms]
        if chosen is None:
            baselines = nearest(arms, notes)
        else:
            baselines = [next((arm for arm in arms if arm.label == chosen), None)] * len(arms)
            if baselines[0] is None:
                notes.append(Note(Kind.BASELINE, f"no baseline {chosen} among: {group.title()}"))
        for row, baseline in zip(rows, baselines, strict=True):
            row.baseline = baseline
        _compare(rows, judged, question.same)
        rows.sort(key=lambda row: (row.baseline is None, row.baseline and row.baseline.label, not row.is_baseline))
        tables.append(Table(group, question, rows))
    if not tables:
        raise ConfigError("\n".join(str(note) for note in notes if note.kind is Kind.NOT_SHOWN))
    return Comparison(tables, notes)


def cannot(group: Group, question: Question) -> str | None:
    """Why a group cannot answer the question; None if it can."""
    if isinstance(question.at, int) and question.at > group.epochs:
        return f"--at {question.at} is beyond its last epoch"
    if not question.measure.per_epoch and not group.held_out:
        return f"--metric {question.metric} is of runs with data.valid; here valid_accuracy is of the test images"
    return None


def check_margin(question: Question) -> None:
    """Raises ConfigError if no difference is as small, or every difference is."""
    if question.same is None:
        return
    most, scale = (1e3, 1) if question.is_loss else (1.0, 100)
    if not 0 < question.same < most:
        what = "a loss, as in 0.01" if question.is_loss else "points of accuracy, as in 0.3"
        raise ConfigError(f"--same {scale * question.same:g}: must be above 0 and below {scale * most:g}: {what}")


def _compare(rows: Sequence[Row], judged: dict[Arm, Judged], margin: float | None) -> None:
    """Give each row its difference to its baseline, and its p, which is corrected for the arms of that baseline."""
    families: dict[Arm, list[Row]] = defaultdict(list)
    for row in rows:
        if row.baseline is not None and not row.is_baseline:
            row.difference = difference(judged[row.arm], judged[row.baseline])
            families[row.baseline].append(row)
            if row.difference is not None and margin is not None:
                row.sameness = sameness(row.difference, margin)
    for baseline, family in families.items():
        arms = [Candidate(row.arm.label, row.arm.digest, judged[row.arm], row.difference) for row in family]
        for row, result in zip(family, corrected(arms, judged[baseline]), strict=True):
            row.tested = result


def _final_accuracy(question: Question) -> bool:
    """Whether the question is about the network after the last epoch, which mistakes.csv is about too."""
    return question.metric == "test_accuracy" or (question.metric == "valid_accuracy" and question.at == "final")


def judge(arm: Arm, question: Question, wrong: Mapping[Arm, Wrong]) -> Judged:
    """The arm's results. They include the wrong images if the question is about the accuracy on the test images."""
    values = by_seed(arm, question)
    on_test = question.metric == "test_accuracy" or not any(run.held_out for run in arm.complete)
    if not values or not on_test or not _final_accuracy(question):
        return Judged(values)
    return Judged(values, wrong.get(arm), arm.complete[0].test_images)


def _row(judged: Judged, arm: Arm, question: Question, wrong: Mapping[Arm, Wrong]) -> Row:
    runs = arm.complete
    seconds = [row.train_seconds for run in runs for row in run.rows]
    per_epoch = question.measure.per_epoch
    return Row(
        arm,
        value=mean(judged),
        best=mean_of(arm, replace(question, at="best")) if per_epoch else None,
        early=_mean([_early(run, question) for run in runs]) if per_epoch and question.early else None,
        test=mean(judge(arm, question.of("test_accuracy"), wrong)),
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
