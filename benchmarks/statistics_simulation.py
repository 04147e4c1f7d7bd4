"""Do the statistics of `compare` keep their promises? Simulated studies, in which the truth is known.

    python benchmarks/statistics_simulation.py                        coverage, errors, power, same: about 6 minutes
    python benchmarks/statistics_simulation.py coverage --studies 500 one of the four, with fewer studies

- coverage: how often the interval over seeds and images contains the true difference, or the true accuracy of an arm.
- errors: how often at least one of several arms that do not differ from the baseline is called different.
- power: how often arms that differ by 1.5 standard deviations are called different.
- same: how often arms whose difference is exactly the margin are called the same; and how often equal arms are, with
  the number of seeds that `compare --same` names.

Networks answer right or wrong. The chance of a right answer depends on the seed, on the image, and on both.
"""

import argparse
import math
from collections.abc import Callable, Iterator

import idle
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import special

from bnbench.analysis.crossed import Crossed, crossed
from bnbench.analysis.maxt import FEWEST_PAIRS, max_t
from bnbench.analysis.power import Spread, power_of_same, seeds_for_same
from bnbench.analysis.sameness import two_one_sided
from bnbench.analysis.statistics import ALPHA, holm, mean_interval, sign_flip_p, t_quantile

IMAGES = 2_000
SEEDS = (10, 5, 3, 2)
# How much the seed and the image vary, against 1 for both together, on the scale of the threshold.
EFFECTS = {"both": (0.0, 0.0), "images": (0.0, 2.0), "seeds": (0.15, 0.0), "a mix": (0.04, 0.5)}
ERROR = 1.96 * 100  # times √(p (1 - p) / n): half of the 95 % interval of a percentage


def percent(share: float, studies: int) -> str:
    return f"{100 * share:.1f} ± {ERROR * math.sqrt(share * (1 - share) / studies):.1f}"


def differences(rng: np.random.Generator, seeds: int, shift: float, effects: tuple[float, float]) -> np.ndarray:
    """Seeds × images of -1, 0 and 1: two arms, each right where its latent value is above a threshold.

    The arms share half of the noise of a seed and an image together. Each has seed and image effects of its own.
    """
    of_seed, of_image = effects
    common = rng.normal(size=(seeds, IMAGES)) * math.sqrt(0.5)
    right = []
    for gain in (shift, 0.0):
        latent = common + rng.normal(size=(seeds, IMAGES)) * math.sqrt(0.5)
        latent += of_seed * rng.normal(size=(seeds, 1)) + of_image * rng.normal(size=(1, IMAGES))
        right.append(latent > threshold(effects) - gain)
    return right[0].astype(float) - right[1]


def threshold(effects: tuple[float, float]) -> float:
    """The value that 95 % of the answers lie above."""
    return float(special.ndtri(0.05)) * math.sqrt(1 + effects[0] ** 2 + effects[1] ** 2)


def true_difference(shift: float, effects: tuple[float, float]) -> float:
    sd = math.sqrt(1 + effects[0] ** 2 + effects[1] ** 2)
    return float(special.ndtr((shift - threshold(effects)) / sd)) - 0.95


def covers(of: Crossed, truth: float) -> bool:
    return abs(of.mean - truth) <= t_quantile(of.df) * math.sqrt(of.variance)


def over_seeds(values: np.ndarray, truth: float) -> bool:
    of = mean_interval(values.mean(axis=1).tolist())
    return of.half is not None and abs(of.mean - truth) <= of.half


def coverage(studies: int) -> Iterator[list[str]]:
    yield ["what varies", "seeds", "difference", "over seeds alone", "one arm", "over seeds alone"]
    for name, effects in EFFECTS.items():
        truth = true_difference(0.1, effects)
        for seeds in SEEDS:
            rng = np.random.default_rng(seeds)
            hits = np.zeros(4)
            for _ in range(studies):
                gaps = differences(rng, seeds, 0.1, effects)
                latent = rng.normal(size=(seeds, IMAGES)) + effects[0] * rng.normal(size=(seeds, 1))
                arm = (latent + effects[1] * rng.normal(size=(1, IMAGES)) > threshold(effects)).astype(float)
                hits += (
                    covers(crossed(gaps), truth),
                    over_seeds(gaps, truth),
                    covers(crossed(arm), 0.95),
                    over_seeds(arm, 0.95),
                )
            yield [name, str(seeds), *(percent(share, studies) for share in hits / studies)]


def studies_of(rng: np.random.Generator, arms: int, seeds: int, true: int, ties: bool) -> np.ndarray:
    """Seeds × arms: differences to one baseline with sd 1, of which the first `true` differ by 1.5."""
    gaps = (rng.normal(size=(seeds, arms)) - rng.normal(size=(seeds, 1))) / math.sqrt(2)
    gaps[:, :true] += 1.5
    return np.round(2 * gaps) / 2 if ties else gaps


def tested(gaps: np.ndarray, missing: bool, rng: np.random.Generator) -> tuple[list[float], list[float]]:
    """The p of max-T and of Holm, for the arms that have enough seeds."""
    arms = []
    for column in gaps.T:
        there = rng.random(len(column)) > 0.15 if missing else np.ones(len(column), bool)
        arms.append({int(seed): float(column[seed]) for seed in np.flatnonzero(there)})
    enough = [arm for arm in arms if len(arm) >= FEWEST_PAIRS]
    return max_t(enough), [p for p in holm([sign_flip_p(list(arm.values())) for arm in enough]) if p is not None]


def errors(studies: int) -> Iterator[list[str]]:
    yield ["comparisons", "differences", "max-T", "Holm"]
    kinds = {"no ties": (False, False), "ties": (True, False), "missing seeds": (False, True)}
    for arms in (4, 14, 40):
        for name, (ties, missing) in kinds.items():
            rng = np.random.default_rng(arms)
            hits = np.zeros(2)
            for _ in range(studies):
                found = tested(studies_of(rng, arms, 10, 0, ties), missing, rng)
                hits += [min(ps) <= ALPHA for ps in found]
            yield [str(arms), name, *(percent(share, studies) for share in hits / studies)]


def power(studies: int) -> Iterator[list[str]]:
    yield ["comparisons", "true differences", "max-T", "Holm"]
    for arms, true in ((4, 1), (14, 1), (14, 4), (14, 14), (40, 1)):
        rng = np.random.default_rng(arms + true)
        hits = np.zeros(2)
        for _ in range(studies):
            found = tested(studies_of(rng, arms, 10, true, False), False, rng)
            hits += [np.mean([p <= ALPHA for p in ps[:true]]) for ps in found]
        yield [str(arms), str(true), *(percent(share, studies) for share in hits / studies)]


def same(studies: int) -> Iterator[list[str]]:
    yield ["what varies", "seeds", "difference = margin", "no difference", "expected"]
    for name, effects in EFFECTS.items():
        rng = np.random.default_rng(7)
        pilots = [crossed(differences(rng, 10, 0.0, effects)) for _ in range(200)]
        parts = [Spread.of_crossed(pilot) for pilot in pilots]
        spread = Spread(*(float(np.mean([getattr(one, part) for one in parts])) for part in ("of_seeds", "of_images")))
        shift = 0.12
        margin = true_difference(shift, effects)
        wanted = seeds_for_same(margin, spread)
        for seeds in dict.fromkeys([*SEEDS, *([wanted] if wanted and wanted <= 60 else [])]):
            hits = np.zeros(2)
            for _ in range(studies):
                hits += [_same(crossed(differences(rng, seeds, gain, effects)), margin) for gain in (shift, 0.0)]
            expected = f"{100 * power_of_same(margin, spread, seeds):.1f}"
            chosen = f"{seeds}, for 80 %" if seeds == wanted else str(seeds)
            yield [name, chosen, *(percent(share, studies) for share in hits / studies), expected]


def _same(of: Crossed, margin: float) -> bool:
    return two_one_sided(of.mean, math.sqrt(of.variance), of.df, margin) <= ALPHA


TABLES: dict[str, Callable[[int], Iterator[list[str]]]] = {
    "coverage": coverage,
    "errors": errors,
    "power": power,
    "same": same,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=list(TABLES), help="coverage, errors, power or same")
    parser.add_argument("--studies", type=int, default=2_000, help="simulated studies of each row")
    options = parser.parse_args()
    if unknown := set(options.tables) - TABLES.keys():
        parser.error(f"{', '.join(sorted(unknown))}: the tables are {', '.join(TABLES)}")
    idle.watch()
    console = Console()
    for name in options.tables:
        headings, *rows = TABLES[name](options.studies)
        table = Table(*headings, title=f"{name}, in % of {options.studies:,} studies, ± is a 95 % interval")
        for row in rows:
            table.add_row(*row)
        console.print(table)


if __name__ == "__main__":
    main()
