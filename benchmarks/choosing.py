"""What choosing the best of eight values on the test images claims falsely, and that `bnbench tune` does not.

    python benchmarks/choosing.py       1 minute

Two arms have eight values of a key, and are equally good at their best. Each study compares the arms by the paired
interval over seeds and images, as `compare` does. A difference whose interval leaves out 0 is false. The studies differ
in how the value is chosen: not at all, on the test images with the same runs, or as `bnbench tune` chooses: by the rule
of bnbench/analysis/tuning.py, with three tuning seeds on held-out images, and then fresh seeds. In the first table all
values are equally good. In the second table each arm has one best value, and the two are not the same.
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
from bnbench.analysis.tuning import choose

VALUES, SEEDS, TUNING_SEEDS, IMAGES = 8, 5, 3, 1_000
STEP, BESTS = 0.2, (3, 5)  # in the second table: how much harder images are one value away, and the best values
LATENT = (0.12, 0.4, 0.4)  # deviations of a seed, of image × value, of noise; all share images of deviation 1
ERROR = 0.08

Wrong = NDArray[np.float64]  # arms × values × seeds × images of 0 and 1


def networks(rng: np.random.Generator, images: NDArray[np.float64], own: NDArray[np.float64], n: int = SEEDS) -> Wrong:
    """The mistakes of new networks of n seeds. `own` is how much harder an image is for an arm and value."""
    of_seed, _, noise = LATENT
    seeds = rng.standard_normal((n, 1)) * of_seed  # a seed gives both arms the same start and batches
    hard = images + own[:, :, None, :] + seeds
    hard = hard + rng.standard_normal((*own.shape[:2], n, 1)) * of_seed
    hard += rng.standard_normal(hard.shape) * noise
    spread = math.sqrt(1 + 2 * of_seed**2 + LATENT[1] ** 2 + noise**2)
    return (hard > -float(special.ndtri(ERROR)) * spread).astype(np.float64)


def draw(rng: np.random.Generator, harder: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """New images: their difficulty, and their difficulty for each arm and value. `harder` is of all images."""
    return rng.standard_normal(IMAGES), rng.standard_normal((2, VALUES, IMAGES)) * LATENT[1] + harder[:, :, None]


def effects(own_best: bool) -> NDArray[np.float64]:
    """How much harder the images are for each arm at each value: not at all, or by the distance to its best value."""
    away = np.abs(np.arange(VALUES)[None, :] - np.array(BESTS)[:, None])
    return STEP * away if own_best else np.zeros((2, VALUES))


def chosen(wrong: Wrong) -> list[int]:
    """The value of each arm with the fewest mistakes over the seeds; of equal values, the smaller."""
    return [int(place) for place in wrong.mean(axis=(2, 3)).argmin(axis=1)]


def tuned(wrong: Wrong) -> list[int]:
    """The value of each arm that the rule of `bnbench tune` chooses."""
    results: list[dict[tuple[float, ...], dict[int, float | None]]] = [
        {(float(value),): dict(enumerate((1 - of.mean(axis=1)).tolist())) for value, of in enumerate(arm)}
        for arm in wrong
    ]
    return [int(choice.value[0]) for arm in results if (choice := choose(arm)).value]


def claim(wrong: Wrong, baseline: int, arm: int) -> tuple[int, float]:
    """1 if the arm seems ahead, -1 if it seems behind, 0 if the interval covers 0; and the difference."""
    of = crossed(wrong[0, baseline] - wrong[1, arm])
    half = float(special.stdtrit(of.df, 0.975)) * math.sqrt(of.variance)
    return int(of.mean - half > 0) - int(of.mean + half < 0), of.mean


def studies(n: int, rng: np.random.Generator, *, own_best: bool = False) -> dict[str, tuple[float, float, float]]:
    """For each way to choose: the shares of studies where the arm seems ahead, and behind; the mean difference."""
    claims: dict[str, list[tuple[int, float]]] = {}
    harder = effects(own_best)
    for _ in range(n):
        test = draw(rng, harder)
        first, fresh = networks(rng, *test), networks(rng, *test)
        best, own = chosen(first), tuned(networks(rng, *draw(rng, harder), TUNING_SEEDS))
        for way, verdict in {
            "one value each, not chosen": claim(first, 0, 0),
            "the arm's best of 8 on the test images; the baseline's first": claim(first, 0, best[1]),
            "best of 8 on the test images, both": claim(first, best[0], best[1]),
            "both at the baseline's choice of `tune`": claim(fresh, own[0], own[0]),
            "each at its own choice of `tune`": claim(fresh, own[0], own[1]),
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
    for own_best in (False, True):
        title = "each arm has its own best value" if own_best else "all values are equally good"
        heading = f"{title}, n = {arguments.studies}"
        table = Table("how the value is chosen", "falsely ahead", "falsely behind", "points", title=heading)
        for way, (ahead, behind, gap) in studies(
            arguments.studies, np.random.default_rng(5), own_best=own_best
        ).items():
            table.add_row(way, f"{100 * ahead:.1f} %", f"{100 * behind:.1f} %", f"{100 * gap:+.2f}")
        Console().print(table)


if __name__ == "__main__":
    main()
