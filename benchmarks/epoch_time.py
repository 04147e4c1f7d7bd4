"""Epoch time: bnbench's train loop beside the tutorial's, in one process, on one core, interleaved.

    python benchmarks/epoch_time.py                    full MNIST, medians of 3 epochs each: 5 minutes
    python benchmarks/epoch_time.py --dataset mnist5k  without MNIST: 30 seconds

The tutorial's loop is rebuilt from its text: torchvision's Dataset hands out one PIL image at a time,
a numpy transform normalizes it, a DataLoader collates 64 of them, and loss and accuracy are read with
`.item()` after every batch; then the test images go through the same path, 128 at a time. Both loops
train the same network from the same start with the same optimizer, so the ratio compares the loops.
Targets: at least 4 for the MLP, 1.5 for the CNN.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import idle
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST, VisionDataset

from bnbench.config.load import load_config
from bnbench.data import datasets
from bnbench.data.splits import Pixels, load_splits, normalize
from bnbench.training.build import build_model
from bnbench.training.loop import train
from bnbench.training.network import Network
from bnbench.training.optimizers import build_optimizer

CONFIGS = {"mlp_no_bn": 4.0, "mlp_bn": 4.0, "cnn_no_bn": 1.5, "cnn_bn": 1.5}  # the target ratios


class InMemoryMNIST(MNIST):
    """torchvision's Dataset, with its own `__getitem__`, over images that are already in memory."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        VisionDataset.__init__(self, root="", transform=_transform)
        self.data, self.targets = images, labels


def _transform(image: Any) -> Tensor:
    pixels = np.array(image, dtype="float32") / 255
    pixels = (pixels - 0.5) / 0.5
    return torch.from_numpy(pixels).unsqueeze(0)


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return (logits.max(1)[1] == labels).sum().item() / len(labels)


def tutorial_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, train_data: DataLoader[Any], valid_data: DataLoader[Any]
) -> None:
    """One epoch as the tutorial trains it; its sums are means of batch means."""
    criterion = nn.CrossEntropyLoss()
    train_loss = train_accuracy = valid_loss = valid_accuracy = 0.0
    model.train()
    for images, labels in train_data:
        logits = model(images)
        loss = criterion(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        train_loss += loss.item()
        train_accuracy += _accuracy(logits, labels)
    model.eval()
    with torch.no_grad():
        for images, labels in valid_data:
            logits = model(images)
            valid_loss += criterion(logits, labels).item()
            valid_accuracy += _accuracy(logits, labels)


def measure(name: str, folder: Path, dataset_name: str, repeats: int) -> tuple[float, float]:
    """Median seconds for an epoch with its validation: the tutorial's loop, then bnbench's."""
    config = load_config(Path(f"configs/{name}.yaml"), [f"data.dataset={dataset_name}", "device=cpu"])
    dataset, _ = datasets.load(dataset_name, folder)
    splits = load_splits(normalize(dataset, Pixels()), config.data, torch.device("cpu"))
    loops: dict[str, Callable[[], object]] = {}
    for which in ("tutorial", "bnbench"):
        model = build_model(config)
        if which == "tutorial":
            optimizer = torch.optim.SGD(model.parameters(), lr=config.train.optimizer.lr)
            train_data: DataLoader[Any] = DataLoader(
                InMemoryMNIST(dataset.train_images, dataset.train_labels), batch_size=64, shuffle=True
            )
            valid_data: DataLoader[Any] = DataLoader(
                InMemoryMNIST(dataset.test_images, dataset.test_labels), batch_size=128, shuffle=False
            )
            loops[which] = partial(tutorial_epoch, model, optimizer, train_data, valid_data)
        else:
            network = Network(model, build_optimizer(config.train.optimizer, model), seed=0)
            rows = train([network], splits.train, splits.valid, epochs=repeats + 1, batch_size=64)
            loops[which] = partial(next, rows)
    seconds: dict[str, list[float]] = {which: [] for which in loops}
    for _ in range(repeats):
        for which, epoch in loops.items():
            start = time.perf_counter()
            epoch()
            seconds[which].append(time.perf_counter() - start)
    return statistics.median(seconds["tutorial"]), statistics.median(seconds["bnbench"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=["mnist", "mnist5k"], default="mnist")
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=3, help="epochs of each loop; the median counts")
    arguments = parser.parse_args()
    idle.watch()
    torch.set_num_threads(1)
    table = Table("config", "tutorial s/epoch", "bnbench s/epoch", "ratio", "target", title=arguments.dataset)
    for name, target in CONFIGS.items():
        tutorial, ours = measure(name, datasets.data_dir(arguments.data_dir), arguments.dataset, arguments.repeats)
        table.add_row(name, f"{tutorial:.2f}", f"{ours:.2f}", f"{tutorial / ours:.2f}", f"{target:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
