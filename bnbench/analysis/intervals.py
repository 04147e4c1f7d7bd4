"""Means and differences of arms, with intervals over everything that is known to vary. Numbers in, numbers out.

For the accuracy after the last epoch, the wrong images of each network are known, so the interval is over seeds and
test images. For other metrics it is over seeds. For one seed it is over images alone, or there is none.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bnbench.analysis import statistics
from bnbench.analysis.crossed import Images, crossed_accuracy, crossed_difference
from bnbench.analysis.statistics import Difference, Mean, common_seeds, mean_interval, sampling_error, t_quantile


@dataclass(frozen=True)
class Judged:
    """A metric of an arm by seed. `wrong` has the images that each network gets wrong, if the metric is about them."""

    values: Mapping[int, float]
    wrong: Mapping[int, Images] | None = None
    images: int = 0  # how many the networks were judged on


def mean(arm: Judged) -> Mean | None:
    """The mean of an arm. None if it has no values."""
    if not arm.values:
        return None
    over_seeds = mean_interval(list(arm.values.values()))
    if arm.wrong is None:
        return over_seeds
    if over_seeds.n == 1:
        return replace(over_seeds, half=sampling_error(over_seeds.mean, arm.images), over="images")
    of = crossed_accuracy([arm.wrong[seed] for seed in arm.values], arm.images)
    return replace(over_seeds, half=t_quantile(of.df) * math.sqrt(of.variance), over="seeds and images")


def difference(arm: Judged, baseline: Judged) -> Difference | None:
    """Arm minus baseline. The interval of unpaired arms is over seeds. None if either has no values."""
    over_seeds = statistics.difference(arm.values, baseline.values)
    if over_seeds is None or not over_seeds.paired or arm.wrong is None or baseline.wrong is None:
        return over_seeds
    if arm.images != baseline.images:
        return over_seeds
    seeds = common_seeds(arm.values, baseline.values)
    of = crossed_difference(arm.wrong, baseline.wrong, seeds, arm.images)
    se = math.sqrt(of.variance)
    half = t_quantile(of.df) * se
    return replace(
        over_seeds,
        low=over_seeds.mean - half,
        high=over_seeds.mean + half,
        se=se,
        df=of.df,
        over="seeds and images" if of.n > 1 else "images",
        parts=(of.of_seeds, of.of_images, of.of_both),
    )
