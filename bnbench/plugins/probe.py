"""A norm of one's own, tried before anything is written: is it a layer that the bench can train?"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from bnbench import norms
from bnbench.config.catalog import DATASETS
from bnbench.config.experiment import Config
from bnbench.errors import CheckFailed, ConfigError
from bnbench.models.networks import MODELS
from bnbench.norms.contract import NEEDED, Broken
from bnbench.plugins.execute import SECONDS, described, line_of
from bnbench.plugins.options import OwnNormConfig
from bnbench.plugins.source import defined_at
from bnbench.signals import TimeIsUp, time_limit

MOST_IMAGES = 64  # enough for any statistic


class TooLong(CheckFailed):
    """The norm exceeds the time limit, and would do so for every other promise."""


Shape = tuple[int, ...]


def probe(configs: Sequence[Config]) -> None:
    """Try each config's norm on every place in its network. Raises CheckFailed where it breaks what training needs.

    Raises ConfigError where the constructor refuses the options or the network by a ValueError.
    """
    tried: list[tuple[Any, ...]] = []
    for config in configs:
        assert isinstance(config.norm, OwnNormConfig)
        images = min(config.data.batch_size, MOST_IMAGES)
        for features, spatial in _places(config):
            case = (config.norm, config.dtype, (images, features, *spatial))
            if case not in tried:
                tried.append(case)
                for promise in NEEDED:
                    keep(promise, config.norm, (images, features, *spatial), getattr(torch, config.dtype))


def keep(promise: Callable[..., None], norm: OwnNormConfig, shape: Shape, dtype: torch.dtype = torch.float32) -> None:
    """Hold the norm to one promise of the contract. Raises CheckFailed, or ConfigError, with file and line."""
    source = norm.source
    layer = norms.NORMS[norm.type][norm.builder]
    name = getattr(layer, "__name__", norm.type)
    building = False

    def build() -> nn.Module:
        nonlocal building
        building = True
        stream = torch.Generator().manual_seed(5)
        built = norms.build(norm.type, norm.builder, shape[1], shape[2:], stream, **norm.options())
        building = False
        return built.to(dtype=dtype) if isinstance(built, nn.Module) else built

    x = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(6), dtype=dtype) + 2
    line = defined_at(source.path, getattr(layer, "forward", layer), layer)
    try:
        with time_limit(SECONDS):
            promise(build, x)
    except Broken as broken:
        raise CheckFailed(f"{source.path}:{line}: {name} is not a norm: {broken}") from None
    except (Exception, SystemExit, TimeIsUp) as error:
        at = f"{source.path}:{line_of(error, source.path, line)}"
        if isinstance(error, TimeIsUp):
            raise TooLong(f"{at}: {name} takes longer than {SECONDS:g} s for an input of shape {shape}") from None
        if building and isinstance(error, ValueError):
            raise ConfigError(f"{at}: {name} refuses the config: {' '.join(str(error).split())}") from None
        raise CheckFailed(f"{at}: {name} raises {described(error)} for an input of shape {shape}") from None


def _places(config: Config) -> list[tuple[int, Shape]]:
    """The features and the spatial size of every norm of the config's network."""
    found: list[tuple[int, Shape]] = []

    def place(num_features: int, spatial: Shape) -> None:
        found.append((num_features, spatial))

    data = DATASETS[config.data.dataset]
    with torch.random.fork_rng(devices=[]):  # layers draw their start
        MODELS[config.model.type](
            data.shape, data.classes, place, bias=True, norm_last=config.norm.after_activation, **config.model.options()
        )
    return found
