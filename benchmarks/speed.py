"""Seconds an epoch of the engines, beside the tutorial's own loop and the matrix products that a step cannot avoid.

    python benchmarks/speed.py --data-dir FOLDER    full MNIST, medians of 3 epochs: about 7 minutes
    python benchmarks/speed.py --quick              mnist5k, and ten times the epochs: under 2 minutes

The rows are for one network on one core with one PyTorch thread: training alone, validation alone, and both. All
loops of a network take turns, epoch by epoch, so that a change of the machine's speed meets all of them. A stack's
seconds are divided by its networks. "of eager" is the training of the eager engine divided by that of the row;
"of tutorial" compares training and validation with the tutorial's program. The first epoch, with the trace and the
checked steps, is not counted; a line below each table says how long it took beyond the others. With JAX installed,
`mlp_bn` has rows of its compiled scan (jax_mlp.py).
"""

import argparse
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import epoch_time
import idle
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from bnbench.config.load import load_config
from bnbench.data import datasets
from bnbench.data.splits import Pixels, Splits, load_splits, normalize
from bnbench.runs.format import EpochRow
from bnbench.training.build import build_model
from bnbench.training.engines import engine_maker
from bnbench.training.loop import train
from bnbench.training.network import Network
from bnbench.training.optimizers import build_optimizer

# The matrix products of one step with 64 images, as (rows, inner, columns): forward, then backward.
MLP_PRODUCTS = [(64, 784, 100), (64, 100, 10), (10, 64, 100), (64, 10, 100), (100, 64, 784)]
CNN_PRODUCTS = [(50176, 9, 6), (6400, 150, 16), (64, 400, 10)]
CNN_PRODUCTS += [(10, 64, 400), (64, 10, 400), (16, 6400, 150), (6400, 16, 150), (6, 50176, 9)]
STACKS = (5, 10)


class Seconds(NamedTuple):
    """Seconds of one epoch of one network."""

    train: float
    valid: float


def floor(products: list[tuple[int, int, int]], steps: int) -> Seconds:
    """The matrix products of an epoch, one after another."""
    pairs = [(torch.randn(m, k), torch.randn(k, n)) for m, k, n in products]
    start = time.perf_counter()
    for _ in range(steps):
        for a, b in pairs:
            torch.mm(a, b)
    return Seconds(time.perf_counter() - start, 0)


def epochs_of(name: str, engine: str, seeds: int, splits: Splits, epochs: int) -> Callable[[], Seconds]:
    """A function that trains one more epoch of `seeds` networks by `engine`."""
    config = load_config(Path(f"configs/{name}.yaml"), ["device=cpu"])
    networks = []
    for seed in range(seeds):
        model = build_model(config.model_copy(update={"seeds": (seed,)}))
        networks.append(Network(model, build_optimizer(config.train.optimizer, model), seed))
    rows = train(
        networks, splits.train, splits.valid, epochs=epochs, batch_size=64, engine=engine_maker(engine, _unexpected)
    )

    def epoch() -> Seconds:
        found = [next(rows)[1] for _ in networks]  # a row of each, with the same training seconds
        assert isinstance(found[0], EpochRow)
        return Seconds(found[0].train_seconds, found[0].valid_seconds)

    return epoch


def _unexpected(text: str) -> None:
    raise SystemExit(text)


def tutorial(name: str, dataset: datasets.Dataset) -> Callable[[], Seconds]:
    """A function that trains and validates one more epoch by the tutorial's program."""
    config = load_config(Path(f"configs/{name}.yaml"), ["device=cpu"])
    model = build_model(config)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.train.optimizer.lr)
    loaders = [
        DataLoader(epoch_time.InMemoryMNIST(images, labels), batch_size=size, shuffle=shuffle)
        for images, labels, size, shuffle in (
            (dataset.train_images, dataset.train_labels, 64, True),
            (dataset.test_images, dataset.test_labels, 128, False),
        )
    ]
    epoch = partial(epoch_time.tutorial_epoch, model, optimizer, *loaders)

    def timed() -> Seconds:
        start = time.perf_counter()
        epoch()
        return Seconds(time.perf_counter() - start, 0)

    return timed


def by_jax(networks: int, dataset: datasets.Dataset) -> Callable[[], Seconds]:
    """A function that trains and validates one more epoch of `networks` networks by JAX."""
    import jax_mlp

    one = jax_mlp.epochs_of(networks, dataset)

    def timed() -> Seconds:
        train_s, valid_s, _ = one()
        return Seconds(train_s / networks, valid_s / networks)

    return timed


def measure(name: str, dataset: datasets.Dataset, repeats: int) -> tuple[Table, str]:
    config = load_config(Path(f"configs/{name}.yaml"), ["device=cpu"])
    splits = load_splits(normalize(dataset, Pixels()), config.data, torch.device("cpu"))
    steps = -(-len(splits.train) // 64)
    mlp = config.model.type == "mlp"
    loops: dict[str, Callable[[], Seconds]] = {
        "floor": partial(floor, MLP_PRODUCTS if mlp else CNN_PRODUCTS, steps),
        "tutorial": tutorial(name, dataset),
        "eager": epochs_of(name, "eager", 1, splits, repeats + 1),
        "traced": epochs_of(name, "traced", 1, splits, repeats + 1),
    }
    for size in STACKS if mlp else ():
        loops[f"stacked, {size}"] = epochs_of(name, "stacked", size, splits, repeats + 1)
    if name == "mlp_bn" and importlib.util.find_spec("jax"):
        loops |= {"JAX": by_jax(1, dataset), "JAX, vmap of 10": by_jax(10, dataset)}
    seconds: dict[str, list[Seconds]] = {which: [] for which in loops}
    for _ in range(repeats + 1):
        for which, epoch in loops.items():
            seconds[which].append(epoch())
    median = {
        which: Seconds(*(statistics.median(values) for values in zip(*all_[1:], strict=True)))
        for which, all_ in seconds.items()
    }
    table = Table(
        name, "train s", "valid s", "of eager", "of tutorial", title=f"n = {repeats}, {len(splits.train):,} images"
    )
    whole = sum(median["tutorial"])
    for which, (train_s, valid_s) in median.items():
        cells = (
            ["", ""]
            if which in ("floor", "tutorial")
            else [f"{median['eager'].train / train_s:.2f}", f"{whole / (train_s + valid_s):.2f}"]
        )
        both = which == "tutorial"
        table.add_row(which, f"{train_s:.3f}", "(in both)" if both else f"{valid_s:.3f}" if valid_s else "", *cells)
    extra = {
        which: (every[0].train - median[which].train) * (int(which.split()[-1]) if which[-1].isdigit() else 1)
        for which, every in seconds.items()
        if which not in ("floor", "tutorial")
    }
    first = "; ".join(f"{which} {more:.1f} s" for which, more in extra.items())
    return table, f"the first epoch took longer by: {first}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="mnist5k in place of MNIST")
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=None, help="epochs of each loop; the medians count")
    arguments = parser.parse_args()
    idle.watch()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, for JAX too
    torch.set_num_threads(1)
    name = "mnist5k" if arguments.quick else "mnist"
    dataset, _ = datasets.load(name, datasets.data_dir(arguments.data_dir))
    console = Console()
    console.print(f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}")
    for config in ("mlp_no_bn", "mlp_bn", "cnn_bn", "cnn_bn_custom"):
        table, first = measure(config, dataset, arguments.repeats or (10 if arguments.quick else 3))
        console.print(table)
        console.print(first)


if __name__ == "__main__":
    main()
