"""Whether the 80 % of `bnbench plan` comes out: simulated studies with as many seeds as it names.

    python benchmarks/planned_power.py       4 minutes

A study is judged as `compare` judges it, by the interval and by the test by signs. First with a known spread: normal
differences, one true difference among k arms. Then from pilots, whose spread differs from the true one. Last with
binary mistakes, the crossed interval, and a pilot on the same images. Target: 75 to 85 % find the difference.
"""

import argparse
import math
from functools import cache
from statistics import NormalDist

import idle
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import special

from bnbench.analysis.crossed import crossed
from bnbench.analysis.maxt import EXACT_SEEDS, max_t
from bnbench.analysis.planning import Seeds, seeds, smallest_difference
from bnbench.analysis.power import Spread

POWER = 0.8
KNOWN = [  # sd and difference in points, comparisons
    (0.18, 0.3, 1), (0.25, 0.3, 1), (0.39, 0.3, 1), (1.0, 0.3, 1),
    (0.25, 0.3, 4), (0.39, 0.3, 4), (0.25, 0.3, 14), (0.39, 0.3, 14),
]  # fmt: skip
PLACES = [(n, comparisons) for comparisons in (1, 4, 14) for n in (6, 7, 8, 10, 12, 20)]  # seeds, comparisons
IMAGES = 2_000
LATENT = (0.05, 0.12, 0.4)  # deviations of seed, image × arm, noise; all arms share images of deviation 1
PILOTS = [(0.39, 3), (0.39, 10), (1.0, 3), (1.0, 10)]  # sd in points, seeds of the pilot; the difference is 0.3
PLANS = 40  # spreads that pilots show, all equally likely
ERROR = 0.08  # of the baseline
GAIN = 0.01  # the true difference
MOST = 600  # seeds of a simulated study


def found(gaps: NDArray[np.float64], low: float, high: float) -> bool:
    """The verdict *different* of the first arm. `gaps` has a row for each seed and a column for each arm."""
    return not low <= 0 <= high and corrected_p(gaps) <= 0.05


def corrected_p(gaps: NDArray[np.float64]) -> float:
    """p of the first arm: exact up to 16 seeds as in `compare`; beyond, 5,000 random flips instead of 100,000."""
    if len(gaps) <= EXACT_SEEDS:
        return max_t([dict(enumerate(map(float, arm))) for arm in gaps.T])[0]
    observed = gaps.sum(axis=0)[0] ** 2 / (gaps[:, 0] ** 2).sum()
    largest = ((flips(len(gaps)) @ gaps) ** 2 / (gaps**2).sum(axis=0)).max(axis=1)
    return (1 + np.count_nonzero(largest >= observed - 1e-9)) / (1 + len(largest))


@cache
def flips(seeds: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).integers(0, 2, (5_000, seeds)).astype(np.float64) * 2 - 1


def known(sd: float, d: float, comparisons: int, n: int, studies: int, rng: np.random.Generator) -> float:
    hits = 0
    for _ in range(studies):
        noise = rng.normal(size=(n, comparisons + 1))
        gaps = noise[:, :1] if comparisons == 1 else (noise[:, 1:] - noise[:, :1]) / math.sqrt(2)
        gaps = sd * gaps + d * (np.arange(comparisons) == 0)
        half = special.stdtrit(n - 1, 0.975) * gaps[:, 0].std(ddof=1) / math.sqrt(n)
        mean = gaps[:, 0].mean()
        hits += found(gaps, mean - half, mean + half)
    return hits / studies


class Networks:
    """Draws which of the images a network gets wrong. The images are drawn once for each study."""

    def __init__(self, deviations: tuple[float, float, float], rng: np.random.Generator) -> None:
        self.of_seed, of_arm, self.noise = deviations
        whole = math.sqrt(1 + self.of_seed**2 + of_arm**2 + self.noise**2)
        self.levels = [whole * NormalDist().inv_cdf(error) for error in (ERROR - GAIN, ERROR)]
        self.rng = rng
        self.images = rng.normal(size=IMAGES) + of_arm * rng.normal(size=(2, IMAGES))

    def gaps(self, n: int) -> NDArray[np.float64]:
        """Seeds × images: +1 if only the arm is right, -1 if only the baseline is."""
        right = []
        for arm, level in enumerate(self.levels):
            latent = level + self.images[arm] + self.of_seed * self.rng.normal(size=(n, 1))
            right.append(latent + self.noise * self.rng.normal(size=(n, IMAGES)) < 0)
        gaps: NDArray[np.float64] = right[0].astype(np.float64) - right[1]
        return gaps


def from_pilots(sd: float, pilot: int, studies: int, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """For the seeds as needed and cautiously: their median, and the share of studies that find 0.3."""
    shares = (np.arange(PLANS) + 0.5) / PLANS
    shown = sd * np.sqrt(special.chdtri(pilot - 1, 1 - shares) / (pilot - 1))
    plans = [seeds(0.3, Spread.of(float(one)), pilot, 1, POWER) for one in shown]
    results = {}
    for name in ("needed", "cautious"):
        numbers = [min(getattr(plan, name), MOST) for plan in plans]
        hits = [known(sd, 0.3, 1, n, studies // PLANS, rng) for n in numbers]
        results[name] = (float(np.median(numbers)), float(np.mean(hits)))
    return results


@cache
def rounded(over_seeds: int, over_images: int | None, pilot: int) -> Seeds:
    """A plan from the logarithms of a spread, in steps of 3 % and of 10 %, so that most plans are made once."""
    b = 0.0 if over_images is None else math.exp(0.1 * over_images)
    return seeds(GAIN, Spread(math.exp(0.03 * over_seeds), b, IMAGES - 1), pilot, 1, POWER)


def binary(pilot: int, studies: int, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """The same with binary mistakes. A pilot for which no number of seeds is enough counts as MOST seeds."""
    numbers: dict[str, list[int]] = {"needed": [], "cautious": []}
    hits = dict.fromkeys(numbers, 0)
    for _ in range(studies):
        networks = Networks(LATENT, rng)
        spread = Spread.of_crossed(crossed(networks.gaps(pilot)))
        over_images = round(math.log(spread.of_images) / 0.1) if spread.of_images else None
        plan = rounded(round(math.log(spread.of_seeds) / 0.03), over_images, pilot)
        for name in numbers:
            n = min(getattr(plan, name) or MOST, MOST)
            gaps = networks.gaps(n)
            of = crossed(gaps)
            half = float(special.stdtrit(of.df, 0.975)) * math.sqrt(of.variance)
            numbers[name].append(n)
            hits[name] += found(gaps.mean(axis=1, keepdims=True), of.mean - half, of.mean + half)
    return {name: (float(np.median(of)), hits[name] / studies) for name, of in numbers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2_000, help="of each row")
    arguments = parser.parse_args()
    idle.watch()
    rng = np.random.default_rng(3)
    table = Table("sd", "difference", "comparisons", "seeds", "found", title=f"known spread, n = {arguments.studies}")
    for sd, d, comparisons in KNOWN:
        n = seeds(d, Spread.of(sd), 10, comparisons, POWER).needed
        assert n is not None
        share = known(sd, d, comparisons, n, arguments.studies, rng)
        table.add_row(f"{sd}", f"{d}", f"{comparisons}", f"{n}", f"{100 * share:.1f} %")
    Console().print(table)
    table = Table(
        "seeds", "comparisons", "difference / sd", "found", title=f"what n seeds find, n = {arguments.studies}"
    )
    for n, comparisons in PLACES:
        smallest = smallest_difference(Spread.of(1.0), n, comparisons, POWER)
        assert smallest is not None
        share = known(1.0, smallest, comparisons, n, arguments.studies, rng)
        table.add_row(f"{n}", f"{comparisons}", f"{smallest:.2f}", f"{100 * share:.1f} %")
    Console().print(table)
    table = Table("runs", "pilot", "seeds", "found", "cautious", "found", title=f"from pilots, n = {arguments.studies}")
    rows = [(f"sd {sd}, difference 0.3", pilot, from_pilots(sd, pilot, arguments.studies, rng)) for sd, pilot in PILOTS]
    rows.append((f"binary, {IMAGES:,} images", 10, binary(10, arguments.studies, rng)))
    for what, pilot, results in rows:
        cells = [text for n, share in results.values() for text in (f"{n:.0f}", f"{100 * share:.1f} %")]
        table.add_row(what, f"{pilot}", *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
