"""EvoNorms: normalization and activation in one formula, found by search (Liu, Brock, Simonyan & Le 2020,
arXiv:2004.02967). S0 uses the statistics of one sample, B0 those of the batch.
"""

import torch
from torch import Tensor, nn

from bnbench.norms.channels import (
    ChannelNorm,
    add_weight_and_bias,
    channel_values,
    in_float32,
    per_channel,
    refuse_other_channels,
    refuse_single_values,
    scale_and_shift,
)


def evonorm_s0(x: Tensor, num_groups: int, v: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """`x` (N, C, ...), divided by the deviation of each sample's G groups of C/G channels, over (C/G)·H·W values.

        σ² = mean((x - μ)²)        y = γ x sigmoid(v x) / √(σ² + ε) + β

    μ is in the variance alone. x sigmoid(v x) is the activation; v, γ and β, (C,), are of each channel.
    """
    groups = x.reshape(x.shape[0], num_groups, x.shape[1:].numel() // num_groups)  # (N, G, C/G·H·W)
    var = (groups - groups.mean(2, keepdim=True)).square().mean(2, keepdim=True)
    activated = x * torch.sigmoid(per_channel(v, x) * x)
    y = (activated.reshape(groups.shape) / torch.sqrt(var + eps)).reshape(x.shape)
    return scale_and_shift(y, weight, bias)


def evonorm_b0(x: Tensor, var: Tensor, v: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """`x` (N, C, ...) by `var`, σ² of each channel, (C,), and by σᵢ² of each channel of each sample, over H·W values.

        y = γ x / max(√(σ² + ε), v x + √(σᵢ² + ε)) + β

    The second part of the maximum is the activation: where it is the larger, y grows more slowly than x. σᵢ² of a
    vector is 0. v, γ and β, (C,), are of each channel.
    """
    one = x.reshape(*x.shape[:2], x.shape[2:].numel())  # (N, C, H·W)
    own_var = (one - one.mean(2, keepdim=True)).square().mean(2).view(*x.shape[:2], *[1] * (x.dim() - 2))
    own = per_channel(v, x) * x + torch.sqrt(own_var + eps)
    return scale_and_shift(x / torch.maximum(torch.sqrt(per_channel(var, x) + eps), own), weight, bias)


class EvoNormS0(nn.Module):
    """EvoNorm-S0 of vectors (N, C) or images (N, C, H, W).

    Training and evaluation:  y = γ x sigmoid(v x) / √(σ² + ε) + β, biased σ² of each sample's group
    No running statistics. v is learned and starts at 1, where x sigmoid(v x) is SiLU: no other activation follows.

    Args:
        num_groups: G, which divides num_features. The paper's 32 fits no network as small as these.

    Raises:
        ValueError: no groups, or groups that do not divide the channels; another number of channels in the
            input; or groups of one value, whose variance is 0.
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
        if num_groups < 1:
            raise ValueError(f"EvoNorm-S0: num_groups must be at least 1; got {num_groups}")
        if num_features % num_groups:
            raise ValueError(f"EvoNorm-S0: {num_groups} groups do not divide {num_features} channels")
        self.num_features, self.num_groups, self.eps = num_features, num_groups, eps
        add_weight_and_bias(self, (num_features,), affine)
        self.v = nn.Parameter(torch.ones(num_features))

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        refuse_other_channels(x, self.num_features, "EvoNorm-S0")
        if x.shape[1:].numel() == self.num_groups:
            raise ValueError(f"EvoNorm-S0 needs more than one value per group; got an input of shape {tuple(x.shape)}")
        return evonorm_s0(x, self.num_groups, self.v, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_features}, eps={self.eps}, affine={self.weight is not None}"


class EvoNormB0(ChannelNorm):
    """EvoNorm-B0 of vectors (N, C) or images (N, C, H, W).

    Training:    y = γ x / max(√(σ²_B + ε), v x + √(σᵢ² + ε)) + β    with the batch's *biased* variance
    Evaluation:  y = γ x / max(√(σ² + ε), v x + √(σᵢ² + ε)) + β      with the running variance
    After each training batch, with m values a channel:

        running_var = (1 - momentum) * running_var + momentum * σ²_B * m / (m - 1)

    σᵢ² is the biased variance of one channel of one sample, in evaluation too. v is learned and starts at 1; no
    other activation follows. The unbiased average and ε are those of timm's layer.

    Raises:
        ValueError: another number of channels; or one value per channel in training.
    """

    name = "EvoNorm-B0"

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        eps: float = 1e-3,
        momentum: float | None = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, {"var": 1}, momentum=momentum, affine=affine)
        self.eps = eps
        self.v = nn.Parameter(torch.ones(num_features))

    def statistics(self, x: Tensor) -> tuple[Tensor, ...]:
        values = channel_values(x)
        return ((values - values.mean(1, keepdim=True)).square().mean(1),)

    def normalize(self, x: Tensor, *statistics: Tensor) -> Tensor:
        (var,) = statistics
        return evonorm_b0(x, var, self.v, self.weight, self.bias, self.eps)

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        refuse_other_channels(x, self.num_features, self.name)
        if not self.training:
            return self.normalize(x, *self.running_statistics())
        refuse_single_values(x, self.name)
        (var,) = self.statistics(x)
        y = self.normalize(x, var)
        m = x.numel() // self.num_features
        self.update_running_statistics(var * m / (m - 1))
        return y
