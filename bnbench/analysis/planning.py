"""A study before it is trained: from the spread of finished runs, how many seeds would show a difference.

The answer is about the verdict of `compare`: an interval that leaves out 0, and a p of at most 0.05, corrected for all
arms of the baseline. Up to ten seeds, the power is simulated with the very tests, because p has few values there. For
more seeds it is the power of the t-test, at the level that Dunnett's test (1955) gives each of k arms.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from bnbench.analysis import power as t_test
from bnbench.analysis.maxt import FEWEST_PAIRS, TIE
from bnbench.analysis.power import ALPHA, Spread, fewest, power_to_detect, seeds_for_same, seeds_to_detect

SIMULATED = 10  # up to this number of seeds, power is simulated
CELLS = 20_000  # simulated studies × arms
SHARED = 0.5  # the correlation of two differences to one baseline, if all arms vary alike
BOUNDS = 16  # spreads that stand for all that a few pairs allow


@dataclass(frozen=True)
class Seeds:
    """How many seeds one arm needs; None where no number is enough.

    `needed` trusts the spread as it is. `cautious` counts with all spreads that so few pairs allow: the power is then
    the wanted one on average (Julious & Owen 2006). `same` shows sameness within the same margin.
    """

    needed: int | None
    cautious: int | None
    same: int | None


def seeds(d: float, spread: Spread, pairs: int, comparisons: int, power: float) -> Seeds:
    """The seeds to find a true difference d, among this number of arms, given the spread of so many pairs."""
    level = dunnett_level(comparisons)
    needed = _corrected(d, spread, comparisons, power, seeds_to_detect(d, spread, power=power, alpha=level))
    possible = allowed(spread, pairs)

    def on_average(n: float) -> float:
        return math.fsum(power_to_detect(d, one, n, alpha=level) for one in possible) / len(possible)

    cautious = None if needed is None else fewest(on_average, power)
    same = seeds_for_same(d, spread, power=power)
    return Seeds(needed, None if needed is None or cautious is None else max(needed, cautious), same)


def allowed(spread: Spread, pairs: int) -> list[Spread]:
    """Equally likely spreads over seeds, given a variance estimated from this number of pairs: (n - 1) s² / χ²."""
    from scipy import special

    shares = (np.arange(BOUNDS) + 0.5) / BOUNDS
    factors = (pairs - 1) / special.chdtri(pairs - 1, shares)
    return [Spread(spread.of_seeds * factor, spread.of_images, spread.images_df) for factor in map(float, factors)]


def _corrected(d: float, spread: Spread, comparisons: int, power: float, guess: int | None) -> int | None:
    """The fewest seeds by the simulated verdict, where the guess of the t-test is small."""
    if guess is None or guess > SIMULATED:
        return guess
    for n in range(max(FEWEST_PAIRS, guess - 1), SIMULATED + 1):
        if simulated_power(d, spread, n, comparisons) >= power:
            return n
    return SIMULATED + 1


def power(d: float, spread: Spread, n: int, comparisons: int) -> float:
    """How often n seeds give the verdict *different* if the true difference is d. 0 below six seeds."""
    if n < FEWEST_PAIRS:
        return 0.0
    if n <= SIMULATED:
        return simulated_power(d, spread, n, comparisons)
    return power_to_detect(d, spread, n, alpha=dunnett_level(comparisons))


def smallest_difference(spread: Spread, n: int, comparisons: int, wanted: float) -> float | None:
    """The true difference that n seeds find with the wanted power; None below six seeds."""
    if n < FEWEST_PAIRS:
        return None
    if spread.se(n) == 0:
        return 0.0
    low = high = t_test.smallest_difference(spread, n, power=wanted, alpha=dunnett_level(comparisons))
    if n > SIMULATED:
        return high
    while power(high, spread, n, comparisons) < wanted:
        low, high = high, 1.25 * high
    for _ in range(4 if high > low else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, spread, n, comparisons) < wanted else (low, middle)
    return high


@cache
def dunnett_level(comparisons: int) -> float:
    """The level of each test that makes one wrong finding among all as rare as 5 %.

    For k differences to one baseline with correlation ρ = 1/2, the largest |z| stays below c with probability
    ∫ φ(x) [Φ((√ρ x + c)/√(1-ρ)) - Φ((√ρ x - c)/√(1-ρ))]ᵏ dx = 0.95. The level is 2 Φ(-c).

    >>> [round(dunnett_level(k), 4) for k in (1, 4, 14)]
    [0.05, 0.0146, 0.005]
    """
    from scipy import special

    x, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = weights / weights.sum()
    x = math.sqrt(SHARED) * x
    low, high = 1.0, 10.0
    for _ in range(60):
        c = (low + high) / 2
        each = special.ndtr((x + c) / math.sqrt(1 - SHARED)) - special.ndtr((x - c) / math.sqrt(1 - SHARED))
        low, high = (c, high) if weights @ each**comparisons < 1 - ALPHA else (low, c)
    return float(2 * special.ndtr(-high))


@cache
def simulated_power(d: float, spread: Spread, n: int, comparisons: int) -> float:
    """The share of simulated studies in which the first of k arms is found different; the others do not differ.

    Differences are normal, with the given spread over seeds; a part that all seeds share comes from the images. The
    random numbers are the same for every d and spread of one n, so the power grows smoothly with d.
    """
    from scipy import special

    studies = max(500, CELLS // comparisons)
    rng = np.random.default_rng(0)
    baseline, own = rng.normal(size=(n, 1, studies)), rng.normal(size=(n, comparisons, studies))
    noise = own if comparisons == 1 else math.sqrt(SHARED) * baseline + math.sqrt(1 - SHARED) * own
    gaps = math.sqrt(spread.of_seeds) * noise
    gaps[:, 0] += d + math.sqrt(spread.of_images) * rng.normal(size=studies)

    signs = np.ones((2 ** (n - 1), n))
    signs[:, 1:] -= 2.0 * (np.arange(2 ** (n - 1))[:, None] >> np.arange(n - 1) & 1)
    squares = (gaps**2).sum(axis=0)
    hits = np.zeros(studies)
    enough = gaps[:, 0].sum(axis=0) ** 2 / squares[0] - TIE * n
    for flip in signs:
        hits += (np.tensordot(flip, gaps, 1) ** 2 / squares).max(axis=0) >= enough
    found = hits / len(signs) <= ALPHA

    mean, variance = gaps[:, 0].mean(axis=0), gaps[:, 0].var(axis=0, ddof=1)
    over = variance / n
    df = n - 1.0
    if spread.of_images:
        df = (over + spread.of_images) ** 2 / (over**2 / (n - 1) + spread.of_images**2 / spread.images_df)
    found &= np.abs(mean) > special.stdtrit(df, 1 - ALPHA / 2) * np.sqrt(over + spread.of_images)
    return float(found.mean())
