"""Statistics over seeds: intervals, paired differences, exact tests, Holm's correction. Numbers in, numbers out.

The distributions come from scipy.special, because scipy.stats takes a second to import. The tests compare every
function with scipy.stats. Levels are fixed: intervals of 95 %, tests at 5 %.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL = 0.95
ALPHA = 1 - LEVEL
EXACT_PAIRS = 30  # up to this number of pairs, all 2ⁿ signs are counted
DRAWS = 100_000  # random signs for more pairs

Over = Literal["seeds", "images", "seeds and images"]  # what would vary if the experiment were repeated


@dataclass(frozen=True)
class Mean:
    """A mean over n values, with the sample standard deviation and the 95 % interval mean ± half.

    `sd` is None for one value, because one value has no spread. `half` is None if there is no interval.
    """

    n: int
    mean: float
    sd: float | None = None
    half: float | None = None
    over: Over = "seeds"

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.mean - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.mean + self.half


@dataclass(frozen=True)
class Difference:
    """Arm minus baseline: its mean, 95 % interval and p; paired by seed, or between two independent samples (Welch).

    `n` counts the pairs, or the seeds of the smaller sample. The interval is the mean ± t(df) se. For one seed there
    is no p, and no interval over seeds. p is None too if the difference is unpaired and every value is the same in
    both samples. `parts` has the parts of se² that belong to seeds, to images, and to both (crossed.py).
    """

    mean: float
    paired: bool
    n: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    se: float | None = None
    df: float | None = None
    over: Over = "seeds"
    parts: tuple[float, float, float] | None = None

    @property
    def covers_zero(self) -> bool:
        """Whether there is an interval and it covers 0."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high


def t_quantile(df: float) -> float:
    """The value that |t| exceeds with probability 5 %, for Student's t with `df` degrees of freedom."""
    return float(special.stdtrit(df, 1 - ALPHA / 2))


def mean_interval(values: Sequence[float]) -> Mean:
    """Mean ± t s / √n, with n - 1 degrees of freedom. At least one value."""
    n = len(values)
    # Relative to the first value, so that equal values have exactly that mean, and deviation 0.
    mean = values[0] + math.fsum(value - values[0] for value in values) / n
    if n == 1:
        return Mean(1, mean)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return Mean(n, mean, sd, t_quantile(n - 1) * sd / math.sqrt(n))


def common_seeds(arm: Mapping[int, float], baseline: Mapping[int, float]) -> list[int]:
    """The seeds to pair by: the common ones if they are at least two and half of the smaller arm's, else none.

    If one arm lacks a seed (diverged, or not trained yet), only that pair is lost. If few seeds match, pairing
    would discard most runs, so the arms count as two independent samples. If an arm has only one seed, there is
    no interval either way, and the pair is the better comparison.
    """
    common, fewest = sorted(arm.keys() & baseline.keys()), min(len(arm), len(baseline))
    return common if 2 * len(common) >= fewest and len(common) >= min(2, fewest) else []


def difference(arm: Mapping[int, float], baseline: Mapping[int, float]) -> Difference | None:
    """Arm minus baseline, from values by seed; None if either has no values."""
    if not arm or not baseline:
        return None
    seeds = common_seeds(arm, baseline)
    if not seeds:
        return welch(list(arm.values()), list(baseline.values()))
    gaps = [arm[seed] - baseline[seed] for seed in seeds]
    of = mean_interval(gaps)
    if of.sd is None:
        return Difference(of.mean, True, 1)
    return Difference(of.mean, True, of.n, of.low, of.high, sign_flip_p(gaps), of.sd / math.sqrt(of.n), of.n - 1)


def welch(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Difference of the means of two independent samples with unequal variances (Welch 1947).

    se² = s_a²/n_a + s_b²/n_b, with se⁴ / (s_a⁴/(n_a²(n_a - 1)) + s_b⁴/(n_b²(n_b - 1))) degrees of freedom.
    """
    mean_a, mean_b = mean_interval(a), mean_interval(b)
    gap, n = mean_a.mean - mean_b.mean, min(len(a), len(b))
    if mean_a.sd is None or mean_b.sd is None:
        return Difference(gap, False, n)
    share_a, share_b = mean_a.sd**2 / len(a), mean_b.sd**2 / len(b)
    se = math.sqrt(share_a + share_b)
    if se == 0:
        return Difference(gap, False, n, gap, gap, None, 0.0, n - 1)
    df = (share_a + share_b) ** 2 / (share_a**2 / (len(a) - 1) + share_b**2 / (len(b) - 1))
    half = t_quantile(df) * se
    return Difference(gap, False, n, gap - half, gap + half, 2 * float(special.stdtr(df, -abs(gap) / se)), se, df)


def sign_flip_p(gaps: Sequence[float]) -> float:
    """The paired permutation test (Fisher 1935): how often a sum of ±gaps is as far from 0 as the observed sum.

    If the arms do not differ, each gap is equally likely with the other sign. Up to 30 pairs, all 2ⁿ signs are
    counted, so p is exact and at least 2/2ⁿ. For more pairs, 100,000 random signs give (1 + hits) / (1 + draws).
    """
    observed = abs(math.fsum(gaps))
    enough = observed - 1e-9 * math.fsum(map(abs, gaps))  # tolerates rounding
    if enough <= 0:
        return 1.0
    if len(gaps) <= EXACT_PAIRS:
        # Every sum is a sum of the first half plus one of the second. Sorting the second half allows a binary search.
        half = len(gaps) // 2
        first, second = _signed_sums(gaps[:half]), np.sort(_signed_sums(gaps[half:]))
        above = len(second) - np.searchsorted(second, enough - first, side="left")
        below = np.searchsorted(second, -enough - first, side="right")
        return float((above.sum() + below.sum()) / 2.0 ** len(gaps))
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(10):  # in parts, to save memory
        signs = rng.integers(0, 2, (DRAWS // 10, len(gaps)), dtype=np.int8) * 2 - 1
        hits += int(np.count_nonzero(np.abs(signs @ np.asarray(gaps)) >= enough))
    return (1 + hits) / (1 + DRAWS)


def _signed_sums(gaps: Sequence[float]) -> NDArray[np.float64]:
    """All 2ⁿ sums ±a ±b …"""
    sums = np.zeros(1)
    for gap in gaps:
        sums = np.concatenate([sums + gap, sums - gap])
    return sums


def smallest_p(pairs: int) -> float:
    """The smallest p that `sign_flip_p` can give for this number of pairs."""
    return 2.0 ** (1 - pairs) if pairs <= EXACT_PAIRS else 1 / (1 + DRAWS)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Each p corrected for the number of tests (Holm 1979): p_(i) times the number of p's not smaller, made monotone.

    None means that there was no test. It stays None and is not counted.
    """
    tested = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, i) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        corrected[i] = largest
    return corrected


def sampling_error(accuracy: float, images: int) -> float:
    """Half of the 95 % interval (Wilson 1927) of an accuracy measured on this number of images."""
    z = float(special.ndtri(1 - ALPHA / 2))
    return z / (1 + z * z / images) * math.sqrt(accuracy * (1 - accuracy) / images + (z / (2 * images)) ** 2)
