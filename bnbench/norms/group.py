"""Norms over groups of one sample's channels: group normalization (Wu & He 2018, arXiv:1803.08494) and, with
one channel a group, instance normalization (Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022).
"""

import torch
from torch import Tensor, nn

from bnbench.norms.batch import batch_norm_eval
from bnbench.norms.channels import add_weight_and_bias, refuse_other_channels, scale_and_shift


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
    """`x` (N, C, H, W) → the mean over samples of each channel's mean and of its *unbiased* variance, (C,) each."""
    return x.mean((0, 2, 3)), x.var((2, 3), correction=1).mean(0)


class GroupNorm(nn.Module):
    """Group normalization of vectors (N, C) or images (N, C, H, W).

    Training and evaluation:  y = γ (x - μ) / √(σ² + ε) + β, μ and biased σ² of each sample's group
    No running statistics. One group is layer norm (but γ and β are of each channel), C groups are
    instance norm. `state_dict` has PyTorch's keys.

    Args:
        num_groups: G, which divides num_features. The paper's 32 fits no network as small as these.

    Raises:
        ValueError: groups that do not divide the channels; another number of channels in the input; or
            groups of one value, whose output would be β whatever the input.
    """

    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        num_groups: int,
        eps: float = 1e-5,
        affine: bool = True,
    ) -> None:
        super().__init__()
        if num_features % num_groups:
            raise ValueError(f"group norm: {num_groups} groups do not divide {num_features} channels")
        self.num_features, self.num_groups, self.eps = num_features, num_groups, eps
        add_weight_and_bias(self, (num_features,), affine)

    def forward(self, x: Tensor) -> Tensor:
        refuse_other_channels(x, self.num_features, "group norm")
        if x.shape[1:].numel() == self.num_groups:
            raise ValueError(f"group norm needs more than one value a group; got an input of shape {tuple(x.shape)}")
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_features}, eps={self.eps}, affine={self.weight is not None}"


class InstanceNorm(nn.Module):
    """Instance normalization of images (N, C, H, W): each channel of each image by itself.

    Training:    y = γ (x - μ) / √(σ² + ε) + β, μ and biased σ² over one channel's H·W values
    Evaluation:  the same; with track_running_stats, by the running statistics instead
    After each training batch, with track_running_stats:

        running_mean = (1 - momentum) * running_mean + momentum * mean over images of μ
        running_var  = (1 - momentum) * running_var  + momentum * mean over images of σ² H·W / (H·W - 1)

    The defaults are torch.nn.InstanceNorm2d's, which unlike batch norm's have neither γ and β nor
    running statistics; there is no cumulative average. `state_dict` has PyTorch's keys.

    Raises:
        ValueError: an input that is no image, has another number of channels, or has one value a channel.
    """

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        add_weight_and_bias(self, (num_features,), affine)
        self.register_buffer("running_mean", torch.zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones(num_features) if track_running_stats else None)
        # PyTorch's module has this buffer and never counts with it; nor does ours.
        self.register_buffer("num_batches_tracked", torch.tensor(0) if track_running_stats else None)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise ValueError(f"instance norm needs images (N, C, H, W); an input of shape {tuple(x.shape)} has none")
        refuse_other_channels(x, self.num_features, "instance norm")
        if x.shape[2:].numel() == 1:
            raise ValueError(
                f"instance norm needs more than one value a channel; got an input of shape {tuple(x.shape)}"
            )
        if not self.training and self.running_mean is not None and self.running_var is not None:
            return batch_norm_eval(x, self.running_mean, self.running_var, self.weight, self.bias, self.eps)
        if self.training:
            self._update_running_statistics(x)
        return group_norm(x, self.num_features, self.weight, self.bias, self.eps)

    @torch.no_grad()
    def _update_running_statistics(self, x: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        mean, var = instance_statistics(x)
        self.running_mean.mul_(1 - self.momentum).add_(mean, alpha=self.momentum)
        self.running_var.mul_(1 - self.momentum).add_(var, alpha=self.momentum)

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
