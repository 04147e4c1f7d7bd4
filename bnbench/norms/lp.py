"""Batch normalization by other norms of the deviation: L1 (Wu et al. 2018, arXiv:1802.09769; Hoffer et al.
2018, arXiv:1803.01814), and average ℓp norms (Santurkar et al. 2018, arXiv:1805.11604, §3.3).

    x̂ = (x - μ) / (D + ε)

with the batch's mean μ and, for each channel of m values, D one of

    l1         1/m Σ |x - μ|, times √(π/2) where asked: for Gaussian x that is σ
    lp, p = 2  √(1/m Σ (x - μ)²), which is σ: batch normalization, but for ε outside the root
    lp, p = ∞  max |x - μ|

No square and no root is needed for p = 1 and ∞; that is their point on small hardware. Outside the root, as the
authors have it, a small ε protects less: of a channel that is constant but for the rounding of its mean, D is as small
as the rounding, and x̂ may be of size 1 where batch norm's stays near 0.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from bnbench.norms.channels import ChannelNorm, channel_values, per_channel, scale_and_shift

GAUSSIAN = math.sqrt(math.pi / 2)  # σ / E|x - μ| of a Gaussian


def mean_absolute_deviation(values: Tensor) -> tuple[Tensor, Tensor]:
    """`values` (C, m) → μ = 1/m Σ x and s = 1/m Σ |x - μ|, (C,) each."""
    mean = values.mean(1, keepdim=True)
    return mean.squeeze(1), (values - mean).abs().mean(1)


def average_lp_norm(values: Tensor, p: float, centered: bool) -> tuple[Tensor, Tensor]:
    """`values` (C, m) → μ and (1/m Σ |d|ᵖ)^(1/p), (C,) each; d is x - μ, or x itself where not centered."""
    mean = values.mean(1, keepdim=True)
    d = values - mean if centered else values
    if math.isinf(p):
        return mean.squeeze(1), d.abs().amax(1)
    average = d.abs().pow(p).mean(1)
    # A constant channel: the root's slope at 0 is infinite, and 0 · ∞ would be NaN; its gradient is 0.
    root = torch.where(average > 0, average, 1).pow(1 / p)
    return mean.squeeze(1), torch.where(average > 0, root, 0)


def divide_by_norm(
    x: Tensor, mean: Tensor, norm: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """y = γ (x - μ) / (D + ε) + β for `x` (N, C, ...), `mean` and `norm` (C,)."""
    return scale_and_shift((x - per_channel(mean, x)) / (per_channel(norm, x) + eps), weight, bias)


class _DeviationNorm(ChannelNorm):
    """Divides by `norm`, the second of the statistics."""

    eps: float

    def normalize(self, x: Tensor, *statistics: Tensor) -> Tensor:
        mean, norm = statistics
        return divide_by_norm(x, mean, norm, self.weight, self.bias, self.eps)


class L1BatchNorm(_DeviationNorm):
    """Batch normalization by the mean absolute deviation.

    Training:    y = γ (x - μ_B) / (c s_B + ε) + β,  s_B = 1/m Σ |x - μ_B|
    Evaluation:  y = γ (x - μ) / (s + ε) + β         with the running statistics
    After each training batch:

        running_mean      = (1 - momentum) * running_mean      + momentum * μ_B
        running_deviation = (1 - momentum) * running_deviation + momentum * c s_B

    c = 1, as in Wu et al., who leave the constant to γ, or √(π/2) with `gaussian=True`, as in Hoffer et
    al. (whose code averages the scale 1/s instead). Gradients flow through μ and s; |x - μ| has the
    slope sign(x - μ). Takes vectors (N, C) or images (N, C, H, W).

    Raises:
        ValueError: another number of channels; or one value per channel in training.
    """

    name = "L1 batch norm"

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        gaussian: bool = False,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, {"mean": 0, "deviation": 1}, momentum=momentum, affine=affine)
        self.eps = eps
        self.factor = GAUSSIAN if gaussian else 1.0

    def statistics(self, x: Tensor) -> tuple[Tensor, ...]:
        mean, deviation = mean_absolute_deviation(channel_values(x))
        return mean, self.factor * deviation


class LpBatchNorm(_DeviationNorm):
    """Batch normalization by the average ℓp norm, p = 2 or ∞.

    Training:    y = γ (x - μ_B) / (D_B + ε) + β,  D_B = (1/m Σ |x - μ_B|ᵖ)^(1/p), or max |x - μ_B| for ∞
    Evaluation:  y = γ (x - μ) / (D + ε) + β       with the running statistics
    After each training batch:

        running_mean      = (1 - momentum) * running_mean      + momentum * μ_B
        running_deviation = (1 - momentum) * running_deviation + momentum * D_B

    With `centered=False` the norm is of x instead of x - μ_B, as Santurkar et al. have it ("before
    shifting the mean"). Takes vectors (N, C) or images (N, C, H, W).

    Raises:
        ValueError: another number of channels; or one value per channel in training.
    """

    name = "lp batch norm"

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        p: Literal[2, "inf"],
        centered: bool = True,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, {"mean": 0, "deviation": 1}, momentum=momentum, affine=affine)
        self.eps = eps
        self.p, self.centered = float(p), centered

    def statistics(self, x: Tensor) -> tuple[Tensor, ...]:
        return average_lp_norm(channel_values(x), self.p, self.centered)
