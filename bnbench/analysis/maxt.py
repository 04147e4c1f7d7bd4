"""One test for all arms of a baseline: joint sign flips, studentized max-T, step-down. Numbers in, numbers out.

If no arm differs from the baseline, each difference is equally likely with the other sign. A flip changes the sign of
some seeds, in every arm at once, because arms share the noise of a seed. The adjusted p of an arm is the share of
flips in which any arm that is not ahead of it reaches its |t| (Westfall & Young, Resampling-Based Multiple Testing,
1993, algorithm 2.8). Holm's method supposes nothing about the arms; this one uses that they move together.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

EXACT_SEEDS = 16  # up to this number of seeds, all 2ⁿ flips are counted
DRAWS = 100_000  # random flips for more seeds; the observed signs are one more
FEWEST_PAIRS = 6  # five pairs cannot give a p below 2/2⁵ = 0.0625
TIE = 1e-9  # statistics that are as close count as equal
CELLS = 500_000  # flips × arms that are in memory at once


def max_t(arms: Sequence[Mapping[int, float]]) -> list[float]:
    """The adjusted p of each arm. `arms` gives the paired differences of each arm, by seed: two or more.

    Up to 16 seeds, all flips are counted, so p is exact and at least 2/2ⁿ. For more seeds, 100,000 random flips give
    (1 + hits) / (1 + draws); the seed of these draws is fixed. An arm whose differences are all 0 has p 1.
    """
    if not arms:
        return []
    seeds = sorted(set().union(*arms))
    gaps = np.array([[arm.get(seed, 0.0) for arm in arms] for seed in seeds])
    pairs = np.array([len(arm) for arm in arms], dtype=np.float64)
    squares = (gaps**2).sum(axis=0)
    squares[squares == 0] = 1.0

    def statistics(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """t² / (1 + t²) from sums of signed differences: it grows with |t|, and it is 1 where t is infinite."""
        share = sums**2 / (pairs * squares)
        bounded: NDArray[np.float64] = (pairs - 1) * share / ((pairs - 2) * share + 1)
        return bounded

    observed = statistics(gaps.sum(axis=0))
    order = np.argsort(-observed, kind="stable")
    enough = observed[order] - TIE
    hits, flips = np.zeros(len(arms)), 0
    for signs in _signs(len(seeds), max(1, CELLS // len(arms))):
        reached = statistics(signs @ gaps)[:, order]
        # The largest of the statistics at this place of the order or below.
        largest = np.maximum.accumulate(reached[:, ::-1], axis=1)[:, ::-1]
        hits += (largest >= enough).sum(axis=0)
        flips += len(signs)
    if len(seeds) > EXACT_SEEDS:
        hits, flips = hits + 1, flips + 1
    adjusted = np.empty(len(arms))
    adjusted[order] = np.maximum.accumulate(hits / flips)
    return [float(p) for p in adjusted]


def _signs(seeds: int, block: int) -> Iterator[NDArray[np.float64]]:
    """Flips × seeds of ±1, in blocks. The last seed keeps its sign: the opposite of a flip has the same |t|."""
    if seeds <= EXACT_SEEDS:
        for start in range(0, 2 ** (seeds - 1), block):
            flips = np.arange(start, min(start + block, 2 ** (seeds - 1)))
            signs = np.ones((len(flips), seeds))
            signs[:, :-1] -= 2.0 * (flips[:, None] >> np.arange(seeds - 1) & 1)
            yield signs
        return
    rng = np.random.default_rng(0)
    for start in range(0, DRAWS, block):
        yield rng.integers(0, 2, (min(block, DRAWS - start), seeds)).astype(np.float64) * 2 - 1
