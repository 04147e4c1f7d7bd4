"""Batch renormalization (Ioffe 2017, arXiv:1702.03275, Algorithm 1)."""

import torch
from torch import Tensor

from bnbench.norms.channels import ChannelNorm, channel_values, per_channel, scale_and_shift


def mean_and_std(values: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """`values` (C, m) → μ_B and σ_B = √(ε + 1/m Σ (x - μ_B)²), (C,) each."""
    mean = values.mean(1, keepdim=True)
    return mean.squeeze(1), torch.sqrt((values - mean).square().mean(1) + eps)


def correction(
    batch_mean: Tensor, batch_std: Tensor, mean: Tensor, std: Tensor, r_max: Tensor, d_max: Tensor
) -> tuple[Tensor, Tensor]:
    """r = clip(σ_B / σ, 1/r_max, r_max) and d = clip((μ_B - μ) / σ, -d_max, d_max), (C,) each, for limits ().

    Constants of the step: no gradient flows through them.
    """
    r = (batch_std.detach() / std).clamp((1 / r_max).to(std.dtype), r_max.to(std.dtype))
    d = ((batch_mean.detach() - mean) / std).clamp(-d_max.to(std.dtype), d_max.to(std.dtype))
    return r, d


def batch_renorm(
    x: Tensor,
    batch_mean: Tensor,
    batch_std: Tensor,
    r: Tensor,
    d: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """y = γ ((x - μ_B) / σ_B · r + d) + β for `x` (N, C, ...) and statistics (C,)."""
    x_hat = (x - per_channel(batch_mean, x)) / per_channel(batch_std, x)
    return scale_and_shift(x_hat * per_channel(r, x) + per_channel(d, x), weight, bias)


class BatchRenorm(ChannelNorm):
    """Batch renormalization: training sees what evaluation will, up to a limit.

    Training:    y = γ ((x - μ_B) / σ_B · r + d) + β,  r = clip(σ_B / σ, 1/r_max, r_max),
                                                       d = clip((μ_B - μ) / σ, -d_max, d_max)
    Evaluation:  y = γ (x - μ) / σ + β
    After each training batch (the *standard deviation* is averaged, ε included):

        running_mean = (1 - momentum) * running_mean + momentum * μ_B
        running_std  = (1 - momentum) * running_std  + momentum * σ_B,   σ_B = √(σ²_B + ε), biased

    r and d use the averages from before the step, and no gradient flows through them. Where neither is
    clipped, training and evaluation are one formula; with r_max = 1 and d_max = 0 training is batch
    normalization. The schedule: the first `warmup_steps` steps are batch normalization, then r_max
    grows linearly to its value at step `r_max_steps` and d_max at `d_max_steps`. The defaults are the
    paper's, of ImageNet's length: three epochs of MNIST in batches of 64 are 2,814 steps.

    Args:
        momentum: weight of the new batch, 0 to 1; the paper's α, 0.01.
        r_max: at least 1.
        d_max: at least 0.

    Raises:
        ValueError: another number of channels; or one value per channel in training.
    """

    name = "batch renorm"

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        r_max: float = 3.0,
        d_max: float = 5.0,
        warmup_steps: int = 5_000,
        r_max_steps: int = 40_000,
        d_max_steps: int = 25_000,
        eps: float = 1e-5,
        momentum: float | None = 0.01,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, {"mean": 0, "std": 1}, momentum=momentum, affine=affine)
        self.eps = eps
        self.r_max, self.d_max = r_max, d_max
        self.warmup_steps, self.r_max_steps, self.d_max_steps = warmup_steps, r_max_steps, d_max_steps

    def limits(self) -> tuple[Tensor, Tensor]:
        """r_max and d_max at this step, counted from 0 by the batches seen. Tensors, so that no step reads a number."""
        step = self.num_batches_tracked
        return (
            1 + (self.r_max - 1) * _ramp(step, self.warmup_steps, self.r_max_steps),
            self.d_max * _ramp(step, self.warmup_steps, self.d_max_steps),
        )

    def statistics(self, x: Tensor) -> tuple[Tensor, ...]:
        return mean_and_std(channel_values(x), self.eps)

    def normalize(self, x: Tensor, *statistics: Tensor) -> Tensor:
        mean, std = statistics
        if self.training:
            running_mean, running_std = self.running_statistics()
            r, d = correction(mean, std, running_mean, running_std, *self.limits())
        else:
            r, d = torch.ones_like(mean), torch.zeros_like(mean)
        return batch_renorm(x, mean, std, r, d, self.weight, self.bias)


def _ramp(step: Tensor, start: int, end: int) -> Tensor:
    """0 until `start`, 1 from `end` on, linear between; () in the precision that the device has."""
    precise = step.to(torch.float32 if step.device.type == "mps" else torch.float64)
    return ((precise - start) / (end - start)).clamp(0, 1) if start < end else (step >= start).to(precise.dtype)
