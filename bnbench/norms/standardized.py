"""Scaled weight standardization (Brock, De & Smith 2021, arXiv:2101.08692; used by NFNets, arXiv:2102.06171): of a
layer's weights, not of its outputs.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bnbench.norms.channels import at_least_float32

# Makes up for ReLU, which leaves 1 / 1.714² of a standard Gaussian's variance. The number is that of the authors'
# code, which has it from samples; √(2 / (1 - 1/π)) = 1.71286 is exact.
RELU_GAIN = 1.7139588594436646


def standardize(v: Tensor, gain: Tensor, activation_gain: float, eps: float) -> Tensor:
    """`v` (out, ...) of n inputs a unit, `gain` (out, 1, ...) → the weights w, like v, by each unit's own statistics.

        μ = mean(v)        σ² = mean((v - μ)²)        w = c g (v - μ) / √max(n σ², ε)

    c is `activation_gain`, a constant, and g is `gain`. A unit's weights then have the mean 0 and the length c g.
    """
    units = v.flatten(1)
    deviation = units - units.mean(1, keepdim=True)
    var = deviation.square().mean(1, keepdim=True)
    w = deviation / torch.sqrt((units.shape[1] * var).clamp(min=eps))
    return activation_gain * gain * w.view(v.shape)


class ScaledWeightStandardization(nn.Module):
    """Scaled weight standardization as a parametrization of a layer's `weight`.

    Training and evaluation:  w = c g (v - μ) / √max(n σ², ε), then the layer as it is
    It starts with v = w and g = 1, so the layer's function changes at the start: each unit's weights get the mean 0
    and the length c. With c of the activation, a Gaussian keeps its variance from layer to layer. No running
    statistics.
    """

    def __init__(self, weight: Tensor, activation_gain: float, eps: float) -> None:
        super().__init__()
        self.activation_gain, self.eps = activation_gain, eps
        self.gain = nn.Parameter(weight.new_ones(len(weight), *[1] * (weight.dim() - 1)))

    def forward(self, v: Tensor) -> Tensor:
        w = standardize(at_least_float32(v), at_least_float32(self.gain), self.activation_gain, self.eps)
        return w.to(v.dtype)


def scaled_weight_standardization(
    layer: nn.Linear | nn.Conv2d, *, activation_gain: float = RELU_GAIN, eps: float = 1e-4
) -> None:
    """Put scaled weight standardization on `layer`, in place.

    Raises ValueError for units of one input, whose weight would be 0.
    """
    if layer.weight[0].numel() == 1:
        raise ValueError("scaled weight standardization of a unit with one input gives the weight 0")
    standardization = ScaledWeightStandardization(layer.weight, activation_gain, eps)
    parametrize.register_parametrization(layer, "weight", standardization)
