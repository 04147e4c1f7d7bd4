"""Is a difference smaller than a margin? Two one-sided tests, and how many seeds would decide. Numbers in, numbers out.

The two tests (Schuirmann 1987) ask whether the difference is below +margin, and whether it is above -margin, each at
5 %. Both say yes exactly if the 90 % interval, mean ± t(df) se, lies inside ±margin.
"""

import math
from dataclasses import dataclass

from scipy import special

from bnbench.analysis.maxt import FEWEST_PAIRS
from bnbench.analysis.power import Spread, seeds_for_same, seeds_to_detect
from bnbench.analysis.statistics import ALPHA, Difference

FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Sameness:
    """The larger p of the two tests, and the seeds that show sameness in 4 of 5 studies.

    `seeds` are for a true difference of 0. `seeds_if_seen` decide if the true difference is the one seen: they show
    sameness, or a difference if the one seen is as large as the margin. None where no number of seeds is enough.
    """

    p: float
    seeds: int | None
    seeds_if_seen: int | None

    @property
    def same(self) -> bool:
        return self.p <= ALPHA


def sameness(gap: Difference, margin: float) -> Sameness | None:
    """Whether a difference is smaller than the margin, in the same units.

    None for one or two seeds: two are called the same too often (docs/statistics.md).
    """
    if gap.se is None or gap.df is None or gap.n < FEWEST_SEEDS:
        return None
    p = two_one_sided(gap.mean, gap.se, gap.df, margin)
    if p <= ALPHA:
        return Sameness(p, None, None)
    spread = _spread(gap)
    if abs(gap.mean) < margin:
        if_seen = seeds_for_same(margin, spread, d=gap.mean)
    else:
        if_seen = seeds_to_detect(gap.mean, spread)
        if_seen = None if if_seen is None else max(if_seen, FEWEST_PAIRS)
    # The seeds that are there did not decide.
    return Sameness(p, seeds_for_same(margin, spread), None if if_seen is None else max(if_seen, gap.n + 1))


def two_one_sided(mean: float, se: float, df: float, margin: float) -> float:
    """The larger p of the tests of mean >= margin and of mean <= -margin."""
    if se == 0:
        return float(abs(mean) >= margin)
    return float(special.stdtr(df, (abs(mean) - margin) / se))


def _spread(gap: Difference) -> Spread:
    assert gap.se is not None
    if gap.parts is None:
        return Spread.of(gap.se * math.sqrt(gap.n))
    of_seeds, of_images, of_both = gap.parts
    return Spread(gap.n * (of_seeds + of_both), of_images)
