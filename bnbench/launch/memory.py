"""Refuses networks that need more memory than the machine has, before anything is written. No torch here."""

import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from bnbench.config.experiment import Config
from bnbench.config.models import MLPConfig
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
            f" {there / 1e9:,.1f} GB; use fewer or narrower layers"
        )


def least_bytes(config: Config) -> int:
    """Less than what training needs: the weights, their gradients, the optimizer's state, and one batch's activations.

    0 for models other than the MLP: their keys allow no network that is too large.
    """
    if not isinstance(config.model, MLPConfig):
        return 0
    widths = config.model.hidden
    weights = sum(before * after for before, after in pairwise(widths))
    if config.train.only != "all":  # most weights have no gradient then
        return BYTES[config.dtype] * weights
    optimizer = config.train.optimizer
    copies = 2 + (2 if isinstance(optimizer, AdamConfig) else 1 if optimizer.momentum else 0)
    return BYTES[config.dtype] * (copies * weights + config.data.batch_size * sum(widths))


def total_bytes() -> int | None:
    """The memory of the machine, or of its container if that is less. None where the system does not tell."""
    found = []
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in LIMITS:
        with suppress(OSError, ValueError):
            found.append(int(path.read_text()))
    return min(found, default=None)
