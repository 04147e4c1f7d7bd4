"""Do the rules of `bnbench study` keep 5 % on the spreads of real runs, with and without the declared sd?

    python benchmarks/judge_shapes.py

For each pair of tracked arms of one model with ten seeds or more in common: draw n of their differences with
replacement, around a true effect that is exactly the margin. How often does the interval leave the margin out, on its
worse side? "seen": the t interval of the drawn seeds. "declared": never narrower than the normal interval of the sd of
all differences, as the rules have it.
"""

import argparse
import math
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import idle
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import special

from bnbench.analysis.arms import collect

BASELINES = ("mlp_no_bn", "mlp_none", "mlp_batch", "cnn_no_bn")
SEEDS = (3, 5, 8, 16, 20)
SIDES = {"95 % interval": 0.975, "90 % interval": 0.95}


def shapes(results: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The name of each pair, and its differences of the final accuracy less their mean, in points."""
    arms = {
        arm.name: {run.seed: 100 * run.rows[-1].valid_accuracy for run in arm.complete}
        for arm in collect([results]).arms()
    }
    for one, other in combinations(sorted(arms), 2):
        arm, baseline = (other, one) if one in BASELINES else (one, other)
        if baseline not in BASELINES or arm[:3] != baseline[:3]:
            continue
        seeds = sorted(arms[arm].keys() & arms[baseline].keys())
        gaps = np.array([arms[arm][seed] - arms[baseline][seed] for seed in seeds])
        if len(seeds) >= 10 and gaps.std() > 0:
            yield f"{arm} - {baseline}", gaps - gaps.mean()


def errors(gaps: np.ndarray, n: int, level: float, studies: int, *, declared: bool) -> float:
    """The share of studies whose interval leaves out the truth, on the side where this is more frequent."""
    drawn = np.random.default_rng(n).choice(gaps, (studies, n))
    half = float(special.stdtrit(n - 1, level)) * drawn.std(axis=1, ddof=1)
    if declared:
        half = np.maximum(half, float(special.ndtri(level)) * gaps.std(ddof=1))
    mean, half = drawn.mean(axis=1), half / math.sqrt(n) + 1e-9
    return float(max((mean > half).mean(), (mean < -half).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20_000, help="simulated studies of each pair")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder of the tracked runs")
    options = parser.parse_args()
    idle.watch()
    pairs = dict(shapes(options.results))
    headings = ("interval", "seeds", "spread", "mean", "largest", "above 5 %", "largest is of")
    table = Table(*headings, title=f"errors in % of {options.studies:,} studies of each of {len(pairs)} pairs")
    for name, level in SIDES.items():
        for n in SEEDS:
            for spread in ("seen", "declared"):
                declared = spread == "declared"
                found = {
                    pair: errors(gaps, n, level, options.studies, declared=declared) for pair, gaps in pairs.items()
                }
                worst = max(found, key=lambda pair: found[pair])
                above = sum(share > 0.05 + 3 * math.sqrt(0.05 * 0.95 / options.studies) for share in found.values())
                numbers = (100 * float(np.mean(list(found.values()))), 100 * found[worst])
                table.add_row(name, str(n), spread, *(f"{number:.1f}" for number in numbers), str(above), worst)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
