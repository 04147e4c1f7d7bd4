"""The two halves of batch normalization apart: what does each contribute?

Subtracting the mean alone is Salimans & Kingma 2016 (arXiv:1602.07868, §4), who pair it with weight
normalization; dividing by the deviation alone is the other half. One after the other they are batch
normalization: variance_only(mean_only(x)) = batch(x) before γ and β.
"""

import torch
from torch import Tensor

from bnbench.norms.channels import ChannelNorm, channel_values, per_channel, scale_and_shift


def subtract_mean(x: Tensor, mean: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """y = γ (x - μ) + β for `x` (N, C, ...) and `mean` (C,)."""
    return scale_and_shift(x - per_channel(mean, x), weight, bias)


def divide_by_deviation(x: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """y = γ x / √(σ² + ε) + β for `x` (N, C, ...) and `var` (C,), a variance around the mean."""
    return scale_and_shift(x / torch.sqrt(per_channel(var, x) + eps), weight, bias)


class MeanOnlyBatchNorm(ChannelNorm):
    """Batch normalization without the division.

    Training:    y = γ (x - μ_B) + β        the batch's mean
    Evaluation:  y = γ (x - μ) + β          the running mean
    After each training batch: running_mean = (1 - momentum) * running_mean + momentum * μ_B

    γ is kept, so that the arm differs from batch norm in the division alone; Salimans & Kingma leave it to
    weight normalization. Takes vectors (N, C) or images (N, C, H, W).

    Raises:
        ValueError: another number of channels; or one value per channel in training.
    """

    name = "mean-only batch norm"

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        momentum: float | None = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, {"mean": 0}, momentum=momentum, affine=affine)

    def statistics(self, x: Tensor) -> tuple[Tensor, ...]:
        return (channel_values(x).mean(1),)

    def normalize(self, x: Tensor, *statistics: Tensor) -> Tensor:
        (mean,) = statistics
        return subtract_mean(x, mean, self.weight, self.bias)


class VarianceOnlyBatchNorm(ChannelNorm):
    """Batch normalization without the subtraction.

    Training:    y = γ x / √(σ²_B + ε) + β        the batch's *biased* variance around its mean
    Evaluation:  y = γ x / √(σ² + ε) + β          the running variance
    After each training batch: running_var = (1 - momentum) * running_var + momentum * σ²_B

    The average is of the biased variance. A layer's bias before this norm is not cancelled.
    Takes vectors (N, C) or images (N, C, H, W).

    Raises:
        ValueError: another number of channels; or one value per channel in training.
    """

    name = "variance-only batch norm"

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, {"var": 1}, momentum=momentum, affine=affine)
        self.eps = eps

    def statistics(self, x: Tensor) -> tuple[Tensor, ...]:
        values = channel_values(x)
        return ((values - values.mean(1, keepdim=True)).square().mean(1),)

    def normalize(self, x: Tensor, *statistics: Tensor) -> Tensor:
        (var,) = statistics
        return divide_by_deviation(x, var, self.weight, self.bias, self.eps)
