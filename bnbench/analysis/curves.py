"""Each arm's means over its complete runs, epoch by epoch, for tables and curves. No torch."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from bnbench.analysis import intervals
from bnbench.analysis.arms import Arm
from bnbench.analysis.compare import Question, Row, by_seed
from bnbench.analysis.families import Candidate, corrected
from bnbench.analysis.intervals import Judged
from bnbench.analysis.measures import CURVES
from bnbench.analysis.statistics import ALPHA, Difference, Mean, common_seeds, difference, mean_interval


@dataclass(frozen=True)
class EpochMeans:
    """One epoch of one arm."""

    arm: Arm
    epoch: int
    means: dict[str, Mean]  # for each of CURVES, over seeds
    seconds: float  # median time of training and validation
    trained: float  # mean seconds of training from the start of the run to this epoch's end


def epoch_means(arms: Sequence[Arm]) -> Iterator[EpochMeans]:
    """The means of every epoch, arm by arm. Leaves out arms without a complete run."""
    for arm in arms:
        trained = [list(accumulate(row.train_seconds for row in run.rows)) for run in arm.complete]
        for index, rows in enumerate(zip(*(run.rows for run in arm.complete), strict=True)):
            yield EpochMeans(
                arm,
                index + 1,
                {name: mean_interval([getattr(row, name) for row in rows]) for name in CURVES},
                seconds=statistics.median(row.train_seconds + row.valid_seconds for row in rows),
                trained=statistics.fmean(seconds[index] for seconds in trained),
            )


def gaps(arm: Arm, baseline: Arm, question: Question, epochs: int) -> list[Difference]:
    """Arm minus baseline after each epoch, with intervals over seeds; empty if either has no complete run.

    The last epochs are left out if one of the two is shorter.
    """
    if not arm.complete or not baseline.complete:
        return []
    last = min(epochs, *(len(run.rows) for run in (*arm.complete, *baseline.complete)))
    asked = [replace(question, at=epoch) for epoch in range(1, last + 1)]
    return [gap for at in asked if (gap := difference(by_seed(arm, at), by_seed(baseline, at)))]


def ahead_at_first(rows: Sequence[Row], question: Question) -> bool:
    """Whether every row is ahead of its baseline after epoch 1, by the test and the intervals of a comparison.

    The rows share one baseline. False if there is none, or if the metric has no value after an epoch.
    """
    if not rows or not question.measure.per_epoch or any(row.baseline is None for row in rows):
        return False
    first = replace(question, at=1)
    judged = [Judged(by_seed(row.arm, first)) for row in rows]
    base = Judged(by_seed(rows[0].baseline, first)) if rows[0].baseline else Judged({})
    found = [intervals.difference(one, base) for one in judged]
    tested = corrected(
        [Candidate(row.arm.label, row.arm.digest, one, gap) for row, one, gap in zip(rows, judged, found, strict=True)],
        base,
    )
    sign = -1 if question.measure.lower_is_better else 1
    return all(
        gap is not None and gap.low is not None and not gap.covers_zero and sign * gap.mean > 0
        and result.p is not None and result.p <= ALPHA
        for gap, result in zip(found, tested, strict=True)
    )  # fmt: skip


def ratios(arm: Arm, baseline: Arm, metric: str) -> list[Mean]:
    """The arm's metric divided by the baseline's with the same seed, after each epoch: means with intervals over seeds.

    Empty without common seeds, or where the baseline's metric is 0.
    """
    ours, theirs = ({run.seed: run.rows for run in one.complete} for one in (arm, baseline))
    seeds = common_seeds(dict.fromkeys(ours, 0.0), dict.fromkeys(theirs, 0.0))
    if not seeds:
        return []
    last = min(len(rows) for of in (ours, theirs) for rows in of.values())
    pairs = [[(getattr(ours[s][e], metric), getattr(theirs[s][e], metric)) for s in seeds] for e in range(last)]
    if any(other <= 0 for of in pairs for _, other in of):
        return []
    return [mean_interval([one / other for one, other in of]) for of in pairs]
