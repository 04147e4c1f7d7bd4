"""Where a config trains: `device: auto` resolved, and a device that is not here refused. No torch where it can be."""

import os
import sys
from pathlib import Path

from bnbench.config.experiment import Config
from bnbench.errors import ConfigError

# What the drivers of CUDA, of CUDA under WSL, and of ROCm make; torch finds no GPU on Linux without one of them.
DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))


def resolve_device(config: Config, *, here: bool = True) -> Config:
    """The config with `device: auto` replaced; ConfigError where the named device is not here.

    Elsewhere (not `here`: on a cluster) auto is the CPU, and another device is for the machines there to have.
    """
    device = config.device
    if device == "auto":
        device = "cuda" if here and _has_cuda() else "cpu"
    elif here and device == "cuda" and not _has_cuda():
        raise ConfigError("device: this machine has no usable CUDA device; use --device cpu")
    elif here and device == "mps":
        import torch

        if not torch.backends.mps.is_available():
            raise ConfigError("device: this machine has no usable MPS device; use --device cpu")
        if config.dtype == "float64":
            raise ConfigError("device: MPS has no float64; use --device cpu or dtype: float32")
    return config.model_copy(update={"device": device})


def _has_cuda() -> bool:
    """torch.cuda.is_available(), without importing torch (over a second) where no driver is."""
    nowhere = sys.platform == "darwin" or (sys.platform == "linux" and not any(path.exists() for path in DRIVERS))
    if nowhere or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    import torch

    return torch.cuda.is_available()
