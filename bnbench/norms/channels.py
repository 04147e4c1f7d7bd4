"""What the norms share: values per channel, γ and β, running statistics.

N is the batch, C the channels (features), H and W an image's height and width. A vector input is
(N, C), an image input (N, C, H, W); a channel has m = N·H·W values (N for a vector).
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

HALF = (torch.float16, torch.bfloat16)


def at_least_float32(values: Tensor) -> Tensor:
    """float16 and bfloat16 become float32; other dtypes stay."""
    return values.float() if values.dtype in HALF else values


def in_float32(forward: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """Let a layer's `forward` see half-precision inputs in float32, and round its output to the input's dtype.

    In float16 the square of 256 overflows. γ and β may be in half precision: PyTorch's arithmetic promotes them.
    """

    @functools.wraps(forward)
    def wide(self: Any, x: Tensor) -> Tensor:
        y = forward(self, at_least_float32(x))
        # Under autocast on a GPU, PyTorch's layer, group and RMS norm return float32; on a CPU they do not.
        stays = getattr(self, "float32_under_autocast", False) and x.is_cuda and torch.is_autocast_enabled("cuda")
        return y.to(x.dtype) if x.dtype in HALF and not stays else y

    return wide


def move_average(running: Tensor, new: Tensor, momentum: float, correction: float = 1) -> None:
    """running = (1 - momentum) * running + momentum * correction * new, in place; half precision is rounded once."""
    running.copy_(at_least_float32(running).mul(1 - momentum).add(new, alpha=momentum * correction))


def per_channel(values: Tensor, x: Tensor) -> Tensor:
    """(C,) → (1, C, 1, ...), so that it broadcasts along dimension 1 of `x`."""
    return values.view(1, -1, *[1] * (x.dim() - 2))


def channel_values(x: Tensor) -> Tensor:
    """(N, C, ...) → (C, m): a row holds all values of one channel."""
    return x.transpose(0, 1).flatten(1)


def scale_and_shift(x_hat: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """y = γ x̂ + β with one γ and one β a channel, (C,) each; None stands for 1 and 0."""
    y = x_hat if weight is None else per_channel(weight, x_hat) * x_hat
    return y if bias is None else y + per_channel(bias, x_hat)


def refuse_other_channels(x: Tensor, num_features: int, name: str) -> None:
    if x.dim() < 2 or x.shape[1] != num_features:  # else one channel would silently stand for all
        raise ValueError(f"{name} of {num_features} channels got an input of shape {tuple(x.shape)}")


def refuse_single_values(x: Tensor, name: str) -> None:
    """ValueError where a channel has one value: it is its own mean, so that nothing could be learned."""
    if x.numel() <= x.shape[1]:
        has = "one" if x.numel() else "none"
        raise ValueError(
            f"{name} needs more than one value per channel for its statistics: an input of shape"
            f" {tuple(x.shape)} has {has}. Use a larger batch, or evaluate with running statistics"
        )


def add_weight_and_bias(module: nn.Module, shape: tuple[int, ...], affine: bool, *, bias: bool = True) -> None:
    """γ of ones as `weight` and β of zeros as `bias`; None where there are none, as in PyTorch's norms."""
    module.register_parameter("weight", nn.Parameter(torch.ones(shape)) if affine else None)
    module.register_parameter("bias", nn.Parameter(torch.zeros(shape)) if affine and bias else None)


class ChannelNorm(nn.Module):
    """The state of a norm by statistics of the batch; a family says which statistics, and how they normalize.

    Training:    y = normalize(x, *statistics(x)), and each statistic s is averaged:
                 running_s = (1 - momentum) * running_s + momentum * s
    Evaluation:  y = normalize(x, *running statistics)

    `momentum` is the weight of the *new* batch; None averages all batches alike. PyTorch's `update_bn` knows only
    its own batch norm and what extends it, and leaves these norms as they are.

    Args:
        num_features: C.
        starts: the statistics' names, and what their running averages start from.
        momentum: weight of the new batch, 0 to 1, or None for the cumulative average.
        affine: whether there are γ and β.
    """

    weight: Tensor | None
    bias: Tensor | None
    num_batches_tracked: Tensor
    name = "a norm"  # in messages

    def __init__(self, num_features: int, starts: dict[str, float], *, momentum: float | None, affine: bool) -> None:
        super().__init__()
        self.num_features, self.momentum = num_features, momentum
        add_weight_and_bias(self, (num_features,), affine)
        self.running = [f"running_{statistic}" for statistic in starts]
        self.starts = [float(start) for start in starts.values()]
        for buffer, start in zip(self.running, self.starts, strict=True):
            self.register_buffer(buffer, torch.full((num_features,), start))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def statistics(self, x: Tensor) -> tuple[Tensor, ...]:
        """What is measured of a batch, (C,) each."""
        raise NotImplementedError  # pragma: no cover

    def normalize(self, x: Tensor, *statistics: Tensor) -> Tensor:
        raise NotImplementedError  # pragma: no cover

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        refuse_other_channels(x, self.num_features, self.name)
        if not self.training:
            return self.normalize(x, *self.running_statistics())
        refuse_single_values(x, self.name)
        statistics = self.statistics(x)
        y = self.normalize(x, *statistics)
        self.update_running_statistics(*statistics)
        return y

    def running_statistics(self) -> tuple[Tensor, ...]:
        return tuple(at_least_float32(self.get_buffer(name)) for name in self.running)

    def reset_running_stats(self) -> None:
        """Forget all batches, as PyTorch's method of this name does."""
        for name, start in zip(self.running, self.starts, strict=True):
            self.get_buffer(name).fill_(start)
        self.num_batches_tracked.zero_()

    @torch.no_grad()  # the averages are not trained, and must not keep the batch's graph alive
    def update_running_statistics(self, *statistics: Tensor) -> None:
        self.num_batches_tracked += 1
        momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        for name, new in zip(self.running, statistics, strict=True):
            move_average(self.get_buffer(name), new, momentum)

    def extra_repr(self) -> str:
        return f"{self.num_features}, momentum={self.momentum}, affine={self.weight is not None}"
