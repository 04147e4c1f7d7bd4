"""Weight normalization (Salimans & Kingma 2016, arXiv:1602.07868): of a layer's weights, not of its outputs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from bnbench.norms.channels import at_least_float32


def weight_norm(v: Tensor, g: Tensor) -> Tensor:
    """w = g v / ‖v‖ for each output unit: `v` (out, ...), `g` (out, 1, ...) → w like v (equation 2).

    The length g and the direction v / ‖v‖ of a unit's weights become two parameters. The gradient with
    respect to v has no component along v, so ‖v‖ never shrinks under plain gradient descent.
    """
    return g * v / _norms(v)


def _norms(v: Tensor) -> Tensor:
    """‖v‖ of each output unit: (out, ...) → (out, 1, ...)."""
    norms: Tensor = torch.linalg.vector_norm(v.flatten(1), dim=1)
    return norms.view(-1, *[1] * (v.dim() - 1))


class WeightNorm(nn.Module):
    """Weight normalization as a parametrization of a layer's `weight`.

    Training and evaluation:  w = g v / ‖v‖, then the layer as it is
    It starts with v = w and g = ‖w‖, which leaves the layer's function as it was. No running statistics.
    The layer's `state_dict` has the keys of torch.nn.utils.parametrizations.weight_norm.
    """

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        return weight_norm(at_least_float32(v), at_least_float32(g)).to(v.dtype)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """g and v that give `weight` (out, ...)."""
        return _norms(at_least_float32(weight)).to(weight.dtype), weight


def custom_weight_norm(layer: nn.Linear | nn.Conv2d) -> None:
    """Put our weight normalization on `layer`, in place."""
    parametrize.register_parametrization(layer, "weight", WeightNorm())
    layer.register_load_state_dict_pre_hook(_take_old_names)  # type: ignore[no-untyped-call]


def _take_old_names(layer: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Rename `weight_g` and `weight_v` of torch.nn.utils.weight_norm, as PyTorch's parametrization does."""
    old = {f"{prefix}weight_g": "original0", f"{prefix}weight_v": "original1"}
    if old.keys() <= state.keys():
        for name, new in old.items():
            state[f"{prefix}parametrizations.weight.{new}"] = state.pop(name)


def builtin_weight_norm(layer: nn.Linear | nn.Conv2d) -> None:
    """Put torch.nn.utils.parametrizations.weight_norm on `layer`, in place."""
    parametrizations.weight_norm(layer, dim=0)


@torch.no_grad()
def data_dependent_start(layer: nn.Module, x: Tensor) -> None:
    """Give every output unit of a weight-normalized `layer` mean 0 and variance 1 over the inputs `x` (equation 6).

        t = v·x / ‖v‖        g = 1 / √(Var t + 1e-10)        b = -E[t] g

    Mean and variance are over the batch, and over positions after a convolution. 1e-10 is the authors' code's.
    """
    assert isinstance(layer.bias, Tensor) and isinstance(layer.parametrizations, nn.ModuleDict)
    g = layer.parametrizations["weight"].original0
    assert isinstance(g, Tensor)
    g.fill_(1)
    layer.bias.zero_()
    t = at_least_float32(layer(x)).transpose(0, 1).flatten(1)  # (out, values)
    scale = 1 / torch.sqrt(t.var(1, correction=0) + 1e-10)
    g.copy_(scale.view_as(g))
    layer.bias.copy_(-t.mean(1) * scale)


@torch.no_grad()
def start_from_data(model: nn.Module, images: Tensor) -> None:
    """The data-dependent start for every weight-normalized layer of `model`, each when the images reach it."""

    def start(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        hooks.pop(layer).remove()  # before the layer is called again, to see what it gives
        data_dependent_start(layer, inputs[0])

    layers = [layer for layer in model.modules() if parametrize.is_parametrized(layer, "weight")]
    hooks = {layer: layer.register_forward_pre_hook(start) for layer in layers}
    try:
        model(images)
    finally:
        for hook in hooks.values():
            hook.remove()
