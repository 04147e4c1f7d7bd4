"""Resolves `device: auto` and refuses devices that this machine lacks. Imports torch only where it must."""

import os
import sys
from pathlib import Path

from bnbench.config.experiment import Config
from bnbench.errors import ConfigError

# The device files of CUDA, CUDA under WSL, and ROCm. On Linux, torch finds no GPU without one of them.
DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))


def resolve_device(config: Config, *, here: bool = True) -> Config:
    """The config with `device: auto` replaced. Raises ConfigError where this machine lacks the named device.

    If the runs train on a cluster (not `here`), auto means the CPU, and other devices are not checked.
    """
    device = config.device
    if device == "auto":
        device = "cuda" if here and _has_cuda() else "cpu"
    elif here and device == "cuda" and not _has_cuda():
        raise ConfigError(f"{config.name}: device: this machine has no usable CUDA device; use --device cpu")
    elif here and device == "mps":
        if not _has_mps():
            raise ConfigError(f"{config.name}: device: this machine has no usable MPS device; use --device cpu")
        if config.dtype == "float64":
            raise ConfigError(f"{config.name}: device: MPS has no float64; use --device cpu or dtype: float32")
    return config.model_copy(update={"device": device})


def _has_mps() -> bool:
    if sys.platform != "darwin":
        return False
    import torch

    return torch.backends.mps.is_available()


def _has_cuda() -> bool:
    """torch.cuda.is_available(), but without the import of torch (over a second) where there is no driver."""
    nowhere = sys.platform == "darwin" or (sys.platform == "linux" and not any(path.exists() for path in DRIVERS))
    if nowhere or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    import torch

    return torch.cuda.is_available()
