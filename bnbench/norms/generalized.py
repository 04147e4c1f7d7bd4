"""Generalized batch normalization (Yuan, Feng, Norton & Li 2019, AAAI, arXiv:1812.03271).

    x̂ = (x - S(x)) / D(x)

D is a deviation measure: it ignores shifts, scales with x, and is 0 only for a constant. S is the statistic
that goes with it. The mean and the standard deviation give batch normalization. The pairs below come from the
risk quadrangle (Rockafellar & Uryasev 2013), on which the paper builds; which pair the paper recommends we
could not establish, so the choice of these four is ours.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from bnbench.norms.channels import ChannelNorm, channel_values, per_channel, scale_and_shift

Pair = Literal["mean_deviation", "median_mad", "midrange", "quantile"]


def mean_and_deviation(values: Tensor) -> tuple[Tensor, Tensor]:
    """`values` (C, m) → S = μ, D² = σ² (biased), (C,) each."""
    mean = values.mean(1, keepdim=True)
    return mean.squeeze(1), (values - mean).square().mean(1)


def median_and_mad(values: Tensor) -> tuple[Tensor, Tensor]:
    """`values` (C, m) → S = median, D² = (1/m Σ |x - S|)². Of an even m, the median is the two middle values' mean."""
    m = values.shape[1]
    low, high = values.kthvalue((m + 1) // 2, dim=1).values, values.kthvalue(m // 2 + 1, dim=1).values
    median = (low + high) / 2
    return median, (values - median[:, None]).abs().mean(1).square()


def midrange_and_half_range(values: Tensor) -> tuple[Tensor, Tensor]:
    """`values` (C, m) → S = (max + min) / 2, D² = ((max - min) / 2)²: x̂ lies in [-1, 1]."""
    high, low = values.amax(1), values.amin(1)
    return (high + low) / 2, ((high - low) / 2).square()


def quantile_and_cvar_deviation(values: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """`values` (C, m) → S = q_α, the smallest value with F(q) ≥ α, and D² = (CVaR_α - μ)².

    CVaR_α = q_α + 1/(1 - α) · 1/m Σ max(x - q_α, 0) is the mean of the upper 1 - α. For α ≠ ½ the pair is not
    symmetric: the negative of x does not give the negative of x̂.
    """
    # The rank is the smallest whole number that is at least α m; 0.07 · 100 is 7.000000000000001 in floating point.
    rank = max(1, math.ceil(alpha * values.shape[1] * (1 - 1e-12)))
    quantile = values.kthvalue(rank, dim=1).values
    above = values - quantile[:, None]  # differences first: they keep the digits that a large mean takes
    return quantile, (above.relu().mean(1) / (1 - alpha) - above.mean(1)).square()


def generalized_batch_norm(
    x: Tensor, center: Tensor, squared_deviation: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """y = γ (x - S) / √(D² + ε) + β for `x` (N, C, ...), `center` and `squared_deviation` (C,)."""
    x_hat = (x - per_channel(center, x)) / torch.sqrt(per_channel(squared_deviation, x) + eps)
    return scale_and_shift(x_hat, weight, bias)


class GeneralizedBatchNorm(ChannelNorm):
    """Batch normalization by another statistic S and deviation measure D.

    Training:    y = γ (x - S(x)) / √(D(x)² + ε) + β    S and D of the batch, per channel
    Evaluation:  the same by running S and D²
    After each training batch:

        running_center            = (1 - momentum) * running_center            + momentum * S
        running_squared_deviation = (1 - momentum) * running_squared_deviation + momentum * D²

    ε is inside the root and D² is what is averaged, so that the pair (mean, deviation) is batch
    normalization exactly, in evaluation too (with its biased running variance).

    Args:
        pair: mean_deviation, median_mad (median; mean absolute deviation from it), midrange (mid-range;
            half the range), or quantile (q_α; CVaR_α - mean).
        alpha: α of the pair quantile, between 0 and 1; at ½, of an odd m, it is the pair median_mad.

    Raises:
        ValueError: another number of channels; or one value per channel in training.
    """

    name = "generalized batch norm"

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        pair: Pair,
        alpha: float = 0.75,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, {"center": 0, "squared_deviation": 1}, momentum=momentum, affine=affine)
        self.eps = eps
        pairs: dict[Pair, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
            "mean_deviation": mean_and_deviation,
            "median_mad": median_and_mad,
            "midrange": midrange_and_half_range,
            "quantile": partial(quantile_and_cvar_deviation, alpha=alpha),
        }
        self.measure = pairs[pair]

    def statistics(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.measure(channel_values(x))

    def normalize(self, x: Tensor, *statistics: Tensor) -> Tensor:
        center, squared_deviation = statistics
        return generalized_batch_norm(x, center, squared_deviation, self.weight, self.bias, self.eps)
