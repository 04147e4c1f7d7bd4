"""Other statistics to evaluate a norm over the batch by: a batch's own, and moving averages of other momenta.

Running statistics decide nothing in training, so one training can keep several moving averages. Each norm layer gets
copies of itself, one for each momentum. They see its inputs in training, and of what they compute only the running
statistics are used. They are submodules of the layer, so every engine and the checkpoint treat their buffers as the
layer's own.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.norms.batch import OverBatch, batch_norm, over_batch
from bnbench.norms.channels import ChannelNorm

AVERAGES = "averages"  # the name of the submodule with the copies

State = dict[str, Tensor]  # a state_dict


class OwnStatistics(nn.Module):
    """A norm over the batch that normalizes every batch (N, C, ...) by its own statistics, in evaluation too.

    A batch with one value a channel has no variance: batch norm gives β.
    """

    def __init__(self, layer: OverBatch) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        if isinstance(layer, ChannelNorm):
            return layer.normalize(x, *layer.statistics(x))
        return batch_norm(x, layer.weight, layer.bias, layer.eps)[0]


def use_own_statistics(model: nn.Module) -> None:
    """Replace every norm over the batch in `model` by its OwnStatistics."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, OverBatch):
                setattr(parent, name, OwnStatistics(layer))


def keep_averages(model: nn.Module, momenta: Sequence[float]) -> None:
    """Let every norm over the batch in `model` keep moving averages of these momenta too, while it trains."""
    for layer in over_batch(model) if momenta else ():
        layer.add_module(AVERAGES, nn.ModuleDict({_key(momentum): _copy(layer, momentum) for momentum in momenta}))
        layer.register_forward_pre_hook(_update)


def _copy(layer: OverBatch, momentum: float) -> nn.Module:
    """The layer with another momentum and without parameters: they become buffers that no state_dict has."""
    copied = copy.deepcopy(layer)
    copied.momentum = momentum
    for name, parameter in list(copied.named_parameters(recurse=False)):
        delattr(copied, name)
        copied.register_buffer(name, parameter.detach(), persistent=False)
    return copied


def _update(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
    if layer.training:
        with torch.no_grad():
            for average in layer.get_submodule(AVERAGES).children():
                average(inputs[0])


def _key(momentum: float) -> str:
    return repr(momentum).replace(".", "_")  # a module's name has no dot


def without_averages(state: State) -> State:
    """The state of a model as it is without `keep_averages`."""
    return {name: value for name, value in state.items() if f".{AVERAGES}." not in name}


def with_average(state: State, momentum: float) -> State:
    """The same, with the moving averages of `momentum` in place of the layers' own."""
    averages = {}
    for name, value in state.items():
        layer, kept, rest = name.partition(f".{AVERAGES}.{_key(momentum)}.")
        if kept:
            averages[f"{layer}.{rest}"] = value
    return without_averages(state) | averages


def errors(state: State, precise: State) -> tuple[float | None, float | None]:
    """The root mean squares of (μ - μ*) / σ* and of (σ² - σ*²) / σ*² over all channels; * marks `precise`.

    None where the layers keep no running mean beside a variance, or no running variance. Channels with σ*² = 0 are
    left out.
    """
    mean, var = [], []
    for name, value in precise.items():
        layer, _, buffer = name.rpartition(".")
        if buffer != "running_var":
            continue
        some = value > 0

        def values(of: State, key: str, some: Tensor = some) -> Tensor:
            return of[key][some].cpu().double()  # not every device has float64

        true = values(precise, name)
        var.append((values(state, name) - true) / true)
        key = f"{layer}.running_mean"
        if key in precise:
            mean.append((values(state, key) - values(precise, key)) / true.sqrt())
    return _root_mean_square(mean), _root_mean_square(var)


def _root_mean_square(parts: Sequence[Tensor]) -> float | None:
    values = torch.cat(list(parts)) if parts else torch.empty(0)
    return values.square().mean().sqrt().item() if len(values) else None
