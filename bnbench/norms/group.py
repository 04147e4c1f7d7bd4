"""Norms over groups of one sample's channels: group normalization (Wu & He 2018, arXiv:1803.08494) and, with
one channel a group, instance normalization (Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022).
"""

import torch
from torch import Tensor, nn

from bnbench.norms.batch import batch_norm_eval
from bnbench.norms.channels import (
    add_weight_and_bias,
    at_least_float32,
    in_float32,
    move_average,
    refuse_other_channels,
    scale_and_shift,
)


def group_norm(x: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """`x` (N, C, ...), each of G groups of C/G channels by its own statistics over (C/G)·H·W values.

        μ = mean(x)        σ² = mean((x - μ)²)        y = γ (x - μ) / √(σ² + ε) + β

    μ and biased σ² are of one sample's group; γ and β, (C,) or None, of each channel.
    """
    groups = x.reshape(x.shape[0], num_groups, x.shape[1:].numel() // num_groups)  # (N, G, C/G·H·W)
    mean = groups.mean(2, keepdim=True)
    deviation = groups - mean
    var = deviation.square().mean(2, keepdim=True)
    x_hat = (deviation / torch.sqrt(var + eps)).reshape(x.shape)
    return scale_and_shift(x_hat, weight, bias)


def instance_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """`x` (N, C, H, ...) → the mean over samples of each channel's mean and of its *unbiased* variance, (C,) each."""
    positions = tuple(range(2, x.dim()))
    return x.mean((0, *positions)), x.var(positions, correction=1).mean(0)


class GroupNorm(nn.Module):
    """Group normalization of vectors (N, C) or images (N, C, H, W).

    Training and evaluation:  y = γ (x - μ) / √(σ² + ε) + β, μ and biased σ² of each sample's group
    No running statistics. One group is layer norm (but γ and β are of each channel), C groups are
    instance norm. `state_dict` has PyTorch's keys.

    Args:
        num_groups: G, which divides num_features. The paper's 32 fits no network as small as these.

    Raises:
        ValueError: no groups, or groups that do not divide the channels; another number of channels in the
            input; or groups of one value, whose output would be β whatever the input.
    """

    weight: Tensor | None
    bias: Tensor | None
    float32_under_autocast = True

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        num_groups: int,
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1:
            raise ValueError(f"group norm: num_groups must be at least 1; got {num_groups}")
        if num_features % num_groups:
            raise ValueError(f"group norm: {num_groups} groups do not divide {num_features} channels")
        self.num_features, self.num_groups, self.eps = num_features, num_groups, eps
        add_weight_and_bias(self, (num_features,), affine, bias=bias)

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        refuse_other_channels(x, self.num_features, "group norm")
        if x.shape[1:].numel() == self.num_groups:
            raise ValueError(f"group norm needs more than one value per group; got an input of shape {tuple(x.shape)}")
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_features}, eps={self.eps}, affine={self.weight is not None}"


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalization of images (N, C, H, W): each channel of each image by itself.

    Sequences (N, C, L) and volumes (N, C, D, H, W) are normalized alike. A layer that is built with a `spatial`
    size takes a single sample without N too.

    Training:    y = γ (x - μ) / √(σ² + ε) + β, μ and biased σ² over one channel's H·W values
    Evaluation:  the same; with track_running_stats, by the running statistics instead
    After each training batch, with track_running_stats:

        running_mean = (1 - momentum) * running_mean + momentum * mean over images of μ
        running_var  = (1 - momentum) * running_var  + momentum * mean over images of σ² H·W / (H·W - 1)

    The defaults are torch.nn.InstanceNorm2d's, which unlike batch norm's have neither γ and β nor
    running statistics; there is no cumulative average. The formulas are ours; the state is PyTorch's.

    Raises:
        ValueError: an input without positions, with another number of channels, or with one value a channel.
    """

    weight: nn.Parameter | None  # type: ignore[assignment]  # PyTorch declares no None
    bias: nn.Parameter | None  # type: ignore[assignment]

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        bias: bool = True,
        track_running_stats: bool = False,
    ) -> None:
        # PyTorch's module has the buffer num_batches_tracked and never counts with it. Our layer does the same.
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        if not bias:
            self.register_parameter("bias", None)
        self.spatial = spatial

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        if self.spatial and x.dim() == len(self.spatial) + 1:  # one sample, without N
            return self._normalize(x[None])[0]
        return self._normalize(x)

    def _normalize(self, x: Tensor) -> Tensor:
        if x.dim() < 3 or (self.spatial and x.dim() != len(self.spatial) + 2):
            raise ValueError(f"instance norm needs images (N, C, H, W); an input of shape {tuple(x.shape)} has none")
        refuse_other_channels(x, self.num_features, "instance norm")
        if x.shape[2:].numel() == 1:
            raise ValueError(
                f"instance norm needs more than one value per channel; got an input of shape {tuple(x.shape)}"
            )
        if not self.training and self.running_mean is not None and self.running_var is not None:
            mean, var = at_least_float32(self.running_mean), at_least_float32(self.running_var)
            return batch_norm_eval(x, mean, var, self.weight, self.bias, self.eps)
        if self.training:
            self._update_running_statistics(x)
        return group_norm(x, self.num_features, self.weight, self.bias, self.eps)

    @torch.no_grad()
    def _update_running_statistics(self, x: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or len(x) == 0:
            return
        mean, var = instance_statistics(x)
        momentum = self.momentum or 0.0  # None is 0, as in PyTorch
        move_average(self.running_mean, mean, momentum)
        move_average(self.running_var, var, momentum)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"


def builtin_group_norm(
    num_features: int,
    spatial: tuple[int, ...] = (),
    *,
    num_groups: int,
    eps: float = 1e-5,
    affine: bool = True,
) -> nn.GroupNorm:
    """torch.nn.GroupNorm."""
    return nn.GroupNorm(num_groups, num_features, eps, affine)


def builtin_instance_norm(
    num_features: int,
    spatial: tuple[int, ...] = (),
    *,
    eps: float = 1e-5,
    momentum: float = 0.1,
    affine: bool = False,
    track_running_stats: bool = False,
) -> nn.InstanceNorm2d:
    """torch.nn.InstanceNorm2d."""
    return nn.InstanceNorm2d(num_features, eps, momentum, affine, track_running_stats)
