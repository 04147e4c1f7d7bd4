"""Power: how often n seeds would show a difference, or sameness. Numbers in, numbers out; scipy is imported late.

The variance of a mean over n seeds is a/n + b. More seeds reduce the first part. The second part, b, comes from the
test images: every seed is judged on the same ones, so no number of seeds reduces it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnbench.analysis.crossed import Crossed

ALPHA = 0.05  # of the test of a difference, on both sides together; and of each of the two tests of sameness
POWER = 0.8
MOST_SEEDS = 10**9  # more seeds than that count as never
MOST_DF = 1e6  # Student's t is a normal distribution beyond
POINTS = 1_000  # of the integral over the estimated spread


@dataclass(frozen=True)
class Spread:
    """How much a paired difference varies: var(mean of n seeds) = of_seeds / n + of_images.

    Parameters
    ----------
    of_seeds
        The variance that one seed adds, a: the square of the standard deviation over seeds. At least 0.
    of_images
        The variance that the choice of test images adds, b. At least 0.
    images_df
        The degrees of freedom of `of_images`: the number of test images minus 1.

    Examples
    --------
    >>> Spread(0.25**2).se(10)  # 0.25 / √10
    0.07905694150420949
    >>> Spread.of(0.25).df(10)
    9.0
    """

    of_seeds: float
    of_images: float = 0.0
    images_df: float = math.inf

    @classmethod
    def of(cls, sd: float) -> "Spread":
        """The spread of an interval over seeds, from the standard deviation over seeds."""
        return cls(sd**2)

    @classmethod
    def of_crossed(cls, found: Crossed) -> "Spread":
        """The spread that the crossed random effects of n seeds show: a = n (of_seeds + of_both), b = of_images."""
        return cls(found.n * (found.of_seeds + found.of_both), found.of_images, found.images - 1)

    def se(self, n: float) -> float:
        """The standard error of a mean over n seeds: √(a/n + b)."""
        return math.sqrt(self.of_seeds / n + self.of_images)

    def df(self, n: float) -> float:
        """Satterthwaite's degrees of freedom: (a/n + b)² / ((a/n)² / (n - 1) + b² / images_df); n - 1 without b."""
        if self.of_images == 0:
            return float(n - 1)
        over = self.of_seeds / n
        error = over**2 / (n - 1) + self.of_images**2 / self.images_df
        return (over + self.of_images) ** 2 / error if error else math.inf


def power_to_detect(d: float, spread: Spread, n: float, *, alpha: float = ALPHA) -> float:
    """The probability that the t-test of n pairs finds a true difference d: that its interval leaves out 0.

    The interval is mean ± t s. The mean is normal around d with the standard error se, and s is se √(χ²/df),
    independent of the mean. So the power is the mean over χ² of

        Φ((d - t s) / se) + Φ((-d - t s) / se)

    This is the tail of a noncentral t distribution (Cohen, Statistical Power Analysis, 1988, chapter 2). It is computed
    as a mean, because scipy.special.nctdtr gives NaN for some large values.

    Parameters
    ----------
    d
        The true difference, in the units of the spread.
    spread
        How much the difference varies.
    n
        The number of pairs, at least 2; math.inf for as many as one likes.
    alpha
        The level of the test, both sides together.

    Examples
    --------
    >>> round(power_to_detect(0.3, Spread.of(0.25), 8), 3)
    0.828
    """
    from scipy import special

    se = spread.se(n)
    if se == 0:
        return float(d != 0)
    t, s = estimates(spread, n, 1 - alpha / 2)
    return float((special.ndtr(d / se - t * s) + special.ndtr(-d / se - t * s)).mean())


def power_of_same(delta: float, spread: Spread, n: float, *, d: float = 0.0) -> float:
    """The probability that two one-sided tests of n pairs show that a difference is smaller than delta.

    They do if the 90 % interval, mean ± t s, lies inside ±delta. So the power is the mean over χ² of

        Φ((delta - t s - d) / se) - Φ((t s - delta - d) / se),    0 where t s > delta

    (Schuirmann 1987; Phillips 1990).

    Parameters
    ----------
    delta
        The margin, above 0, in the units of the spread.
    spread, n
        As for `power_to_detect`.
    d
        The true difference.

    Examples
    --------
    >>> round(power_of_same(0.3, Spread.of(0.25), 8), 3)
    0.838
    """
    from scipy import special

    se = spread.se(n)
    if se == 0:
        return float(abs(d) < delta)
    t, s = estimates(spread, n, 1 - ALPHA)
    room = (delta / se - t * s).clip(min=0.0)
    return float((special.ndtr(room - d / se) - special.ndtr(-room - d / se)).mean())


def estimates(spread: Spread, n: float, level: float) -> tuple[float, NDArray[np.float64]]:
    """The quantile t of Student's t, and the estimated standard errors s / se, all equally likely."""
    from scipy import special

    df = min(spread.df(n), MOST_DF)
    shares = (np.arange(POINTS) + 0.5) / POINTS
    return float(special.stdtrit(df, level)), np.sqrt(special.chdtri(df, 1 - shares) / df)


def seeds_to_detect(d: float, spread: Spread, *, power: float = POWER, alpha: float = ALPHA) -> int | None:
    """The fewest pairs, at least 2, with which the t-test finds a true difference d with this power.

    None if no number of seeds is enough: d is 0, or the test images alone vary too much.

    >>> [seeds_to_detect(0.3, Spread.of(sd)) for sd in (0.18, 0.25, 0.39, 1.0)]
    [6, 8, 16, 90]
    >>> seeds_to_detect(0.3, Spread(0.25**2, of_images=0.2**2)) is None
    True
    """
    return fewest(lambda n: power_to_detect(d, spread, n, alpha=alpha), power)


def seeds_for_same(delta: float, spread: Spread, *, power: float = POWER, d: float = 0.0) -> int | None:
    """The fewest pairs, at least 2, that show sameness within delta with this power if the true difference is d.

    None if no number of seeds is enough: |d| is delta or more, or the test images alone vary too much.

    >>> [seeds_for_same(0.3, Spread.of(sd)) for sd in (0.18, 0.25, 0.39, 1.0)]
    [5, 8, 16, 97]
    """
    return fewest(lambda n: power_of_same(delta, spread, n, d=d), power)


def smallest_difference(spread: Spread, n: float, *, power: float = POWER, alpha: float = ALPHA) -> float:
    """The true difference that n pairs find with this power; smaller ones are found more seldom.

    >>> round(smallest_difference(Spread.of(0.25), 8), 3)
    0.289
    """
    low, high = 0.0, max(spread.se(n), 1e-300)
    if spread.se(n) == 0:
        return 0.0
    while power_to_detect(high, spread, n, alpha=alpha) < power:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if power_to_detect(middle, spread, n, alpha=alpha) < power else (low, middle)
    return high


def fewest(reached: Callable[[float], float], power: float) -> int | None:
    """The smallest n from 2 on with reached(n) >= power; None if there is none. `reached` grows with n."""
    low, high = 1, 2
    while reached(high) < power:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reached(middle) < power else (low, middle)
    return high
