"""Norms over all features of one sample: layer normalization (Ba, Kiros & Hinton 2016, arXiv:1607.06450) and
RMS normalization (Zhang & Sennrich 2019, arXiv:1910.07467).

They need no batch and no running statistics: training and evaluation are one formula.
"""

import math

import torch
from torch import Tensor, nn

from bnbench.norms.channels import add_weight_and_bias, in_float32


def layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """`x` (N, C, ...), each sample by its own statistics over all C·H·W features.

        μ = mean(x)        σ² = mean((x - μ)²)        y = γ (x - μ) / √(σ² + ε) + β

    γ and β, (C, ...) or None, are of each *element*, unlike batch norm's, which are of each channel.
    """
    over = list(range(1, x.dim()))
    mean = x.mean(over, keepdim=True)  # (N, 1, ...)
    deviation = x - mean
    var = deviation.square().mean(over, keepdim=True)
    x_hat = deviation / torch.sqrt(var + eps)
    y = x_hat if weight is None else weight * x_hat
    return y if bias is None else y + bias


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """`x` (N, C, ...), each sample by the root of its mean square: y = γ x / √(mean(x²) + ε). Nothing is subtracted."""
    mean_square = x.square().mean(list(range(1, x.dim())), keepdim=True)  # (N, 1, ...)
    x_hat = x / torch.sqrt(mean_square + eps)
    return x_hat if weight is None else weight * x_hat


def partial_rms_norm(x: Tensor, weight: Tensor | None, count: int, eps: float) -> Tensor:
    """`x` (N, C, ...), each sample by the root of the mean square of its first `count` values.

        y = γ x / (√(mean(x²)) + ε)

    ε is outside the root, as in the authors' code. Of an image, the first values are those of the first channels.
    """
    first = x.flatten(1)[:, :count]
    root: Tensor = torch.linalg.vector_norm(first, dim=1) / math.sqrt(count)  # its slope at 0 is 0; √ has ∞
    x_hat = x / (root.view(-1, *[1] * (x.dim() - 1)) + eps)
    return x_hat if weight is None else weight * x_hat


def _refuse_other_features(x: Tensor, shape: tuple[int, ...], name: str) -> None:
    if x.shape[-len(shape) :] != shape:
        raise ValueError(f"{name} of {shape} features got an input of shape {tuple(x.shape)}")


def share_of(values: int, p: float) -> int:
    """⌊p · values⌋, where rounding does not turn 29 % of 100 into 28. Raises ValueError for none, or more than all."""
    count = math.floor(p * values * (1 + 1e-12))
    if not 1 <= count <= values:
        raise ValueError(f"RMS norm: p must leave at least one of {values} values, and at most all; got {p}")
    return count


class LayerNorm(nn.Module):
    """Layer normalization of vectors (N, C) or images (N, C, H, W), over C or C·H·W features.

    As in PyTorch, any number of dimensions may stand before the features, or none.

    Training and evaluation:  y = γ (x - μ) / √(σ² + ε) + β, μ and biased σ² of each sample
    No running statistics. γ and β have the shape (C, H, W), as torch.nn.LayerNorm's, so the layer
    fits one image size. `state_dict` has PyTorch's keys.

    Raises:
        ValueError: an input of other features than (num_features, *spatial).
    """

    weight: Tensor | None
    bias: Tensor | None
    float32_under_autocast = True

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.shape, self.eps = (num_features, *spatial), eps
        add_weight_and_bias(self, self.shape, affine, bias=bias)

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        _refuse_other_features(x, self.shape, "layer norm")
        return layer_norm(x.reshape(-1, *self.shape), self.weight, self.bias, self.eps).reshape(x.shape)

    def extra_repr(self) -> str:
        return f"{self.shape}, eps={self.eps}, affine={self.weight is not None}"


class RMSNorm(nn.Module):
    """RMS normalization of vectors (N, C) or images (N, C, H, W), over C or C·H·W features.

    Training and evaluation:  y = γ x / √(mean(x²) + ε), the mean of each sample
    With p:                   y = γ x / (√(mean(x²)) + ε), the mean of the first p of each sample's values
    No mean is subtracted, there is no β, and no running statistics. γ has the shape (C, H, W), as
    torch.nn.RMSNorm's. `state_dict` has PyTorch's keys.

    Args:
        eps: ε; None is the smallest step at 1 of float64, or of float32 (1.2e-7) for all others, as in PyTorch.
            With p, None is 1e-8, as in the authors' code.
        p: the share of the values that the mean is over, more than 0 and at most 1; None is all of them, by
            PyTorch's formula.

    Raises:
        ValueError: an input of other features than (num_features, *spatial); or a p that leaves no value.
    """

    weight: Tensor | None
    float32_under_autocast = True

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        eps: float | None = None,
        affine: bool = True,
        p: float | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.eps = (num_features, *spatial), eps
        self.count = None if p is None else share_of(math.prod(self.shape), p)
        add_weight_and_bias(self, self.shape, affine, bias=False)

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        _refuse_other_features(x, self.shape, "RMS norm")
        samples = x.reshape(-1, *self.shape)
        if self.count is not None:
            eps = 1e-8 if self.eps is None else self.eps
            return partial_rms_norm(samples, self.weight, self.count, eps).reshape(x.shape)
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        return rms_norm(samples, self.weight, eps).reshape(x.shape)

    def extra_repr(self) -> str:
        partial = "" if self.count is None else f", of the first {self.count}"
        return f"{self.shape}{partial}, eps={self.eps}, affine={self.weight is not None}"


def builtin_layer_norm(
    num_features: int,
    spatial: tuple[int, ...] = (),
    *,
    eps: float = 1e-5,
    affine: bool = True,
) -> nn.LayerNorm:
    """torch.nn.LayerNorm over (num_features, *spatial)."""
    return nn.LayerNorm([num_features, *spatial], eps, affine)


def builtin_rms_norm(
    num_features: int,
    spatial: tuple[int, ...] = (),
    *,
    eps: float | None = None,
    affine: bool = True,
    p: None = None,
) -> nn.RMSNorm:
    """torch.nn.RMSNorm over (num_features, *spatial), which has no p."""
    return nn.RMSNorm([num_features, *spatial], eps, affine)
