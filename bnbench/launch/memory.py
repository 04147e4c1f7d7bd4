"""Refuses networks that need more memory than the machine has, before anything is written. No torch here."""

import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from bnbench.config.catalog import DATASETS
from bnbench.config.experiment import Config
from bnbench.config.models import CNNConfig, MLPConfig
from bnbench.config.train import AdamConfig
from bnbench.errors import ConfigError

# What the kernel allows a container: cgroups version 2 and 1. Without a limit, they say "max" or a huge number.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
BYTES = {"float32": 4, "float64": 8}


def refuse_too_large(config: Config) -> None:
    """Raise ConfigError if training surely needs more than the whole memory of the machine or its container."""
    needed, there = least_bytes(config), total_bytes()
    if there is not None and needed > there:
        raise ConfigError(
            f"{config.name}: model: the network needs at least {needed / 1e9:,.1f} GB, and this machine has"
            f" {there / 1e9:,.1f} GB; use fewer or narrower layers, or smaller batches"
        )


def least_bytes(config: Config) -> int:
    """Less than what training needs: the weights, their gradients, the optimizer's state, and one batch's activations.

    0 for models other than the MLP and the CNN.
    """
    weights, values = _weights_and_values(config)
    if config.train.only != "all":  # most weights have no gradient then
        return BYTES[config.dtype] * weights
    optimizer = config.train.optimizer
    copies = 2 + (2 if isinstance(optimizer, AdamConfig) else 1 if optimizer.momentum else 0)
    return BYTES[config.dtype] * (copies * weights + config.data.batch_size * values)


def _weights_and_values(config: Config) -> tuple[int, int]:
    """The weights between hidden layers, and the values of an image that the hidden layers give."""
    model = config.model
    if isinstance(model, MLPConfig):
        return sum(before * after for before, after in pairwise(model.hidden)), sum(model.hidden)
    if isinstance(model, CNNConfig):
        (first, second), (_, height, width) = model.channels, DATASETS[config.data.dataset].shape
        weights, values = 25 * first * second, first * height * width
        values += second * (height // 2 - 4) * (width // 2 - 4)  # after a pool of 2 and a convolution of 5x5
        return weights, values
    return 0, 0


def total_bytes() -> int | None:
    """The memory of the machine, or of its container if that is less. None where the system does not tell."""
    found = []
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in LIMITS:
        with suppress(OSError, ValueError):
            found.append(int(path.read_text()))
    return min(found, default=None)
