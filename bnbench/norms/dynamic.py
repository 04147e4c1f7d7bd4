"""Functions of single values in the place of a norm: dynamic tanh (Zhu, Chen, He, LeCun & Liu 2025,
arXiv:2503.10622) and dynamic erf (Chen, Lu, Zhu, Sun & Liu 2025, arXiv:2512.10938).

They average nothing. Like a norm they limit large values; how strongly is learned.
"""

import torch
from torch import Tensor, nn

from bnbench.norms.channels import add_weight_and_bias, in_float32, refuse_other_channels, scale_and_shift


def dynamic_tanh(x: Tensor, alpha: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """`x` (N, C, ...) → y = γ tanh(α x) + β, with one α, (1,), for the layer, and γ and β, (C,), of each channel."""
    y = torch.tanh(alpha * x)
    if weight is None and bias is None:
        return y.clone()  # tanh's gradient needs its output, which a ReLU in place would overwrite
    return scale_and_shift(y, weight, bias)


def dynamic_erf(x: Tensor, alpha: Tensor, shift: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """`x` (N, C, ...) → y = γ erf(α x + s) + β, with one α and one s, (1,) each, for the layer."""
    return scale_and_shift(torch.erf(alpha * x + shift), weight, bias)


class DynamicTanh(nn.Module):
    """Dynamic tanh (DyT) of vectors (N, C) or images (N, C, H, W).

    Training and evaluation:  y = γ tanh(α x) + β
    No statistics, and no running statistics. α is one learned number for the layer; γ and β are of each channel.

    Args:
        alpha_init: the start of α.

    Raises:
        ValueError: another number of channels.
    """

    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        alpha_init: float = 0.5,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.alpha = nn.Parameter(torch.full((1,), float(alpha_init)))
        add_weight_and_bias(self, (num_features,), affine)

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        refuse_other_channels(x, self.num_features, "dynamic tanh")
        return dynamic_tanh(x, self.alpha, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.num_features}, affine={self.weight is not None}"


class DynamicErf(nn.Module):
    """Dynamic erf (Derf) of vectors (N, C) or images (N, C, H, W).

    Training and evaluation:  y = γ erf(α x + s) + β
    No statistics, and no running statistics. α and s are two learned numbers for the layer; γ and β are of each
    channel.

    Args:
        alpha_init: the start of α.
        shift_init: the start of s.

    Raises:
        ValueError: another number of channels.
    """

    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        alpha_init: float = 0.5,
        shift_init: float = 0.0,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.alpha = nn.Parameter(torch.full((1,), float(alpha_init)))
        self.shift = nn.Parameter(torch.full((1,), float(shift_init)))
        add_weight_and_bias(self, (num_features,), affine)

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        refuse_other_channels(x, self.num_features, "dynamic erf")
        return dynamic_erf(x, self.alpha, self.shift, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.num_features}, affine={self.weight is not None}"
