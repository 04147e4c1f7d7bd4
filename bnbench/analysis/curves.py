"""Each arm's means over its complete runs, epoch by epoch, for tables and curves. No torch."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from bnbench.analysis.arms import Arm
from bnbench.analysis.measures import CURVES
from bnbench.analysis.statistics import Mean, mean_interval


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
