"""The initial weights of a network's linear and convolution layers, drawn from streams of its seed."""

import math

import torch
from torch import Tensor, nn

from bnbench.randomness import generator


@torch.no_grad()
def initialize_weights(model: nn.Module, seed: int, init: str | float = "default") -> None:
    """Set every weight and bias. n is fan_in, the inputs of a unit; m is fan_out: the units, times the kernel's size.

        default   weights and biases U(-1/√n, 1/√n), as PyTorch starts these layers
        he        weights N(0, 2/n), biases 0 (He et al. 2015, arXiv:1502.01852, equation 10)
        glorot    weights U(-√(6/(n + m)), √(6/(n + m))), biases 0 (Glorot & Bengio 2010, equation 16)
        a number  weights N(0, init²), biases 0

    Each layer has its own stream and draws its weight first, so norms and missing biases do not change the values
    of any other weight.
    """
    weighted = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for i, layer in enumerate(weighted):
        stream = generator(seed, "weights", i)
        _draw(layer.weight, init, stream)
        if layer.bias is None:
            continue
        if init == "default":
            bound = 1 / math.sqrt(layer.weight[0].numel())
            layer.bias.uniform_(-bound, bound, generator=stream)
        else:
            layer.bias.zero_()


def _draw(weight: Tensor, init: str | float, stream: torch.Generator) -> None:
    """Fill `weight` (out, in, *kernel)."""
    fan_in, fan_out = weight[0].numel(), weight[:, 0].numel()
    if isinstance(init, float):
        weight.normal_(0, init, generator=stream)
    elif init == "he":
        weight.normal_(0, math.sqrt(2 / fan_in), generator=stream)
    else:
        bound = 1 / math.sqrt(fan_in) if init == "default" else math.sqrt(6 / (fan_in + fan_out))
        weight.uniform_(-bound, bound, generator=stream)
