"""The cost of each norm: a training step of the tutorial's MLP and CNN with it, relative to a step without it.

    python benchmarks/norm_cost.py            2 minutes on one core; needs no data
    python benchmarks/norm_cost.py --profile  the operators that take the time in a step with batch norm

A step is forward, backward and SGD on one batch of 64 random images. Every norm, ours and PyTorch's, takes two
steps in every round, so that a slow moment of the machine hits all alike. Only the second step counts, because the
first fills the caches. A ratio is the median of the ratios of the rounds. Then our batch norm and PyTorch's take
turns without the others. Target: a step with ours takes at most 1.5 times as long as one with PyTorch's.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import idle
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bnbench.config.load import load_config
from bnbench.norms import NORMS, WEIGHT_NORMS
from bnbench.training.build import build_model
from bnbench.training.optimizers import Optimizer, build_optimizer

CONFIGS = Path(__file__).parent.parent / "configs" / "norms"
ROUNDS = {"mlp": 300, "cnn": 60}
TARGET = 1.5
Times = tuple[float, float, float]  # seconds: forward, backward, the whole step

console = Console(width=100)


def arms(model: str, only: str | None = None) -> Iterator[tuple[str, nn.Module, Optimizer]]:
    """Every norm (or `only` one) and implementation, in the network of its shipped config. “none” comes first."""
    for norm, built in {"none": ["-"], **NORMS, **WEIGHT_NORMS}.items():
        path = CONFIGS / f"{model}_{norm}.yaml"
        if only not in (None, norm):
            continue
        for implementation in built:
            if path.exists():
                overrides = [f"norm.implementation={implementation}"] if norm != "none" else []
                config = load_config(path, overrides)
                network = build_model(config)
                name = norm if norm == "none" else f"{norm}, {implementation}"
                yield name, network, build_optimizer(config.train.optimizer, network)


def step(network: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor) -> Times:
    start = time.perf_counter()
    loss = F.cross_entropy(network(images), labels)
    middle = time.perf_counter()
    loss.backward()  # type: ignore[no-untyped-call]
    end = time.perf_counter()
    optimizer.step()
    optimizer.zero_grad()
    return middle - start, end - middle, time.perf_counter() - start


def measure(model: str, rounds: int, only: str | None = None) -> dict[str, list[Times]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(64, 1, 28, 28, generator=generator) * 2 - 1
    labels = torch.randint(10, (64,), generator=generator)
    made = list(arms(model, only))
    times: dict[str, list[Times]] = {name: [] for name, *_ in made}
    shuffled = random.Random(0)
    for _ in range(rounds):
        shuffled.shuffle(made)  # so that no norm always follows the same other
        for name, network, optimizer in made:
            step(network, optimizer, images, labels)  # fills the caches
            times[name].append(step(network, optimizer, images, labels))
    return times


def ratio(ours: list[Times], theirs: list[Times], part: int) -> float:
    return statistics.median(a[part] / b[part] for a, b in zip(ours, theirs, strict=True))


def show(model: str, rounds: int) -> None:
    times = measure(model, rounds)
    title = f"{model}, batch of 64, medians of {rounds} rounds: times a step without a norm"
    table = Table("norm", "step ms", "forward", "backward", "step", "custom ÷ builtin", title=title)
    for name, taken in times.items():
        norm, _, implementation = name.partition(", ")
        builtin = times.get(f"{norm}, builtin") if implementation == "custom" else None
        versus = f"{ratio(taken, builtin, 2):.2f}" if builtin else ""
        parts = [f"{ratio(taken, times['none'], part):.2f}" for part in range(3)]
        table.add_row(name, f"{1e3 * statistics.median(t[2] for t in taken):.2f}", *parts, versus)
    console.print(table)
    pair = measure(model, 2 * rounds, only="batch")
    alone = ratio(pair["batch, custom"], pair["batch, builtin"], 2)
    verdict = "met" if alone <= TARGET else "MISSED"
    console.print(f"{model}, batch norm alone: custom ÷ builtin {alone:.2f}, target {TARGET}: {verdict}\n")


def profile(model: str) -> None:
    """Print PyTorch's operators in 20 steps with batch norm, the most expensive first."""
    images, labels = torch.rand(64, 1, 28, 28), torch.randint(10, (64,))
    for name, network, optimizer in arms(model):
        if name in ("none", "batch, custom", "batch, builtin"):
            step(network, optimizer, images, labels)
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
                for _ in range(20):
                    step(network, optimizer, images, labels)
            operators = sorted(found.key_averages(), key=lambda operator: -operator.self_cpu_time_total)
            total = sum(operator.self_cpu_time_total for operator in operators)
            table = Table("operator", "ms a step", "share", title=f"{model}, {name}")
            for operator in operators[:8]:
                spent = operator.self_cpu_time_total
                table.add_row(operator.key, f"{spent / 20_000:.2f}", f"{100 * spent / total:.0f} %")
            console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=None, help="steps of each norm; default: 300 (MLP), 60 (CNN)")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    idle.watch()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for model, rounds in ROUNDS.items():
        if arguments.profile:
            profile(model)
        else:
            show(model, arguments.rounds or rounds)


if __name__ == "__main__":
    main()
