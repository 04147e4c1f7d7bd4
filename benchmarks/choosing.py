"""What choosing the best of eight values on the test images claims falsely. No arm is better in these studies.

    python benchmarks/choosing.py       20 seconds

Two arms of equal true accuracy have eight values of a key, and all values are equally good. Each study compares the
arms by the paired interval over seeds and images, as `compare` does. It differs where the value is chosen: on the test
images, with the same runs, or on held-out images, with other seeds. A difference whose interval leaves out 0 is false.
"""

import argparse
import math

import idle
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import special

from bnbench.analysis.crossed import crossed

VALUES, SEEDS, IMAGES = 8, 5, 1_000
LATENT = (0.12, 0.4, 0.4)  # deviations of a seed, of image × value, of noise; all share images of deviation 1
ERROR = 0.08

Wrong = NDArray[np.float64]  # arms × values × seeds × images of 0 and 1


def networks(rng: np.random.Generator, images: NDArray[np.float64], own: NDArray[np.float64]) -> Wrong:
    """The mistakes of new networks. `own` is how much harder an image is for an arm and value."""
    of_seed, _, noise = LATENT
    seeds = rng.standard_normal((SEEDS, 1)) * of_seed  # a seed gives both arms the same start and batches
    hard = images + own[:, :, None, :] + seeds
    hard = hard + rng.standard_normal((*own.shape[:2], SEEDS, 1)) * of_seed
    hard += rng.standard_normal(hard.shape) * noise
    spread = math.sqrt(1 + 2 * of_seed**2 + LATENT[1] ** 2 + noise**2)
    return (hard > -float(special.ndtri(ERROR)) * spread).astype(np.float64)


def draw(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """New images: their difficulty, and their difficulty for each arm and value."""
    return rng.standard_normal(IMAGES), rng.standard_normal((2, VALUES, IMAGES)) * LATENT[1]


def chosen(wrong: Wrong) -> list[int]:
    """The value of each arm with the fewest mistakes over the seeds; of equal values, the smaller."""
    return [int(place) for place in wrong.mean(axis=(2, 3)).argmin(axis=1)]


def claim(wrong: Wrong, baseline: int, arm: int) -> tuple[int, float]:
    """1 if the arm seems ahead, -1 if it seems behind, 0 if the interval covers 0; and the difference."""
    of = crossed(wrong[0, baseline] - wrong[1, arm])
    half = float(special.stdtrit(of.df, 0.975)) * math.sqrt(of.variance)
    return int(of.mean - half > 0) - int(of.mean + half < 0), of.mean


def studies(n: int, rng: np.random.Generator) -> dict[str, tuple[float, float, float]]:
    """For each way to choose: the shares of studies where the arm seems ahead, and behind; the mean difference."""
    claims: dict[str, list[tuple[int, float]]] = {}
    for _ in range(n):
        test = draw(rng)
        first, fresh, held_out = networks(rng, *test), networks(rng, *test), networks(rng, *draw(rng))
        best, tuned = chosen(first), chosen(held_out)
        for way, verdict in {
            "one value each, not chosen": claim(first, 0, 0),
            "the arm's best of 8 on the test images; the baseline's first": claim(first, 0, best[1]),
            "best of 8 on the test images, both": claim(first, best[0], best[1]),
            "best of 8 on held-out images, both; fresh seeds": claim(fresh, tuned[0], tuned[1]),
        }.items():
            claims.setdefault(way, []).append(verdict)
    out = {}
    for way, of in claims.items():
        verdicts = [verdict for verdict, _ in of]
        out[way] = (verdicts.count(1) / n, verdicts.count(-1) / n, sum(gap for _, gap in of) / n)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2_000)
    arguments = parser.parse_args()
    idle.watch()
    table = Table(
        "how the value is chosen", "falsely ahead", "falsely behind", "points", title=f"n = {arguments.studies}"
    )
    for way, (ahead, behind, gap) in studies(arguments.studies, np.random.default_rng(5)).items():
        table.add_row(way, f"{100 * ahead:.1f} %", f"{100 * behind:.1f} %", f"{100 * gap:+.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
