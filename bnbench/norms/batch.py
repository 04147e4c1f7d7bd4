"""Batch normalization (Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithms 1 and 2).

N is the batch, C the channels (features), H and W an image's height and width. A vector input is
(N, C), an image input (N, C, H, W); statistics are taken per channel over all other dimensions,
m = N·H·W values.
"""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from bnbench.norms.channels import (
    ChannelNorm,
    at_least_float32,
    channel_values,
    in_float32,
    move_average,
    per_channel,
    refuse_other_channels,
    refuse_single_values,
    scale_and_shift,
)


def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The training pass: `x` (N, C, ...) by its own statistics → (y like x, μ (C,), σ² (C,)).

        μ = 1/m Σ x        σ² = 1/m Σ (x - μ)²        x̂ = (x - μ) / √(σ² + ε)        y = γ x̂ + β

    σ² is the biased variance, taken around the mean: E[x²] - E[x]² loses its digits where the mean is
    large. ε is inside the root, so a constant channel gives β. γ is `weight` and β is `bias`, or None
    for 1 and 0. Gradients flow through μ and σ² too; else a step could undo the normalization.
    """
    over = [d for d in range(x.dim()) if d != 1]
    mean = x.mean(over, keepdim=True)  # (1, C, 1, ...)
    deviation = x - mean
    var = deviation.square().mean(over, keepdim=True)
    x_hat = deviation / torch.sqrt(var + eps)
    return scale_and_shift(x_hat, weight, bias), mean.flatten(), var.flatten()


def batch_norm_eval(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """The evaluation pass: y = γ (x - μ) / √(σ² + ε) + β by given statistics, (C,) each."""
    x_hat = (x - per_channel(mean, x)) / torch.sqrt(per_channel(var, x) + eps)
    return scale_and_shift(x_hat, weight, bias)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalization of vectors (N, C) or images (N, C, H, W), written out.

    Training:    y = γ (x - μ_B) / √(σ²_B + ε) + β      with the batch's mean and *biased* variance
    Evaluation:  y = γ (x - μ) / √(σ² + ε) + β          with the running statistics, so that the output
                                                        for one image does not depend on the others
    After each training batch, with m values a channel:

        running_mean = (1 - momentum) * running_mean + momentum * μ_B
        running_var  = (1 - momentum) * running_var  + momentum * σ²_B * m / (m - 1)

    `momentum` is the weight of the *new* batch, as in PyTorch; the tutorial's `moving_momentum=0.1`
    is the weight of the old value, 0.9 here. `momentum=None` averages all batches alike (factor
    1 / num_batches_tracked). The defaults are those of torch.nn.BatchNorm1d/2d; the tutorial's
    choices are momentum=0.9, running_var="biased" (no m / (m - 1)), running_var_init="zeros",
    weight_init="normal", bias_init="normal".

    The formulas are ours. The state is PyTorch's: its `state_dict` goes to PyTorch's module and back, old ones
    load, and PyTorch's tools (`torch.optim.swa_utils.update_bn`) know the layer.

    Args:
        num_features: C.
        spatial: () for vectors, (H, W) for images; not used, since one formula serves both.
        eps: ε, inside the root.
        momentum: weight of the new batch, 0 to 1, or None for the cumulative average.
        affine: whether there are γ and β.
        bias: without it there is no β.
        track_running_stats: without it, evaluation too uses the batch's statistics.
        running_var: whether running_var averages the unbiased or the biased variance.
        running_var_init: what running_var starts from. With "zeros", evaluating before the first
            training batch divides by √ε.
        weight_init: γ starts as ones, from N(0, 1), or from U(0, 1) (PyTorch's default until 1.1).
        bias_init: β starts as zeros or from N(0, 1).
        generator: where the random starts are drawn from.

    Raises:
        ValueError: another number of channels; or one value per channel in training, which is its own
            mean, so that nothing could be learned.
    """

    weight: nn.Parameter | None  # type: ignore[assignment]  # PyTorch declares no None
    bias: nn.Parameter | None  # type: ignore[assignment]

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        bias: bool = True,
        track_running_stats: bool = True,
        running_var: Literal["unbiased", "biased"] = "unbiased",
        running_var_init: Literal["ones", "zeros"] = "ones",
        weight_init: Literal["ones", "normal", "uniform"] = "ones",
        bias_init: Literal["zeros", "normal"] = "zeros",
        generator: torch.Generator | None = None,
    ) -> None:
        # γ, β and the running statistics, as parameters and buffers: state_dict() saves them and .to() moves them.
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        if not bias:
            self.register_parameter("bias", None)
        self.unbiased = running_var == "unbiased"
        self.running_var_init = running_var_init
        _initialize(self, running_var_init, weight_init, bias_init, generator)

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        refuse_other_channels(x, self.num_features, "batch norm")
        if not self.training and self.running_mean is not None and self.running_var is not None:
            mean, var = at_least_float32(self.running_mean), at_least_float32(self.running_var)
            return batch_norm_eval(x, mean, var, self.weight, self.bias, self.eps)
        if x.numel():  # PyTorch takes an empty batch
            refuse_single_values(x, "batch norm")
        y, mean, var = batch_norm(x, self.weight, self.bias, self.eps)
        if self.training:
            self._update_running_statistics(mean, var, m=x.numel() // self.num_features)
        return y

    @torch.no_grad()  # the averages are not trained, and must not keep the batch's graph alive
    def _update_running_statistics(self, mean: Tensor, var: Tensor, *, m: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        if m == 0:
            return  # an empty batch counts, as in PyTorch, and changes no average
        momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        correction = m / (m - 1) if self.unbiased else 1
        move_average(self.running_mean, mean, momentum)
        move_average(self.running_var, var, momentum, correction)

    def reset_running_stats(self) -> None:
        """Forget all batches; the running variance starts again where it started."""
        super().reset_running_stats()
        if self.running_var is not None and getattr(self, "running_var_init", "ones") == "zeros":
            self.running_var.zero_()

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.weight is not None},"
            f" track_running_stats={self.running_mean is not None},"
            f" running_var={'unbiased' if self.unbiased else 'biased'}"
        )


def builtin_batch_norm(
    num_features: int,
    spatial: tuple[int, ...] = (),
    *,
    eps: float = 1e-5,
    momentum: float | None = 0.1,
    affine: bool = True,
    track_running_stats: bool = True,
    running_var: Literal["unbiased"] = "unbiased",
    running_var_init: Literal["ones", "zeros"] = "ones",
    weight_init: Literal["ones", "normal", "uniform"] = "ones",
    bias_init: Literal["zeros", "normal"] = "zeros",
    generator: torch.Generator | None = None,
) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """torch.nn.BatchNorm1d, or 2d where there is a `spatial` size, started as BatchNorm is."""
    layer = nn.BatchNorm2d if spatial else nn.BatchNorm1d
    module = layer(num_features, eps, momentum, affine, track_running_stats)
    _initialize(module, running_var_init, weight_init, bias_init, generator)
    return module


OverBatch = nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm | ChannelNorm


def over_batch(model: nn.Module) -> list[OverBatch]:
    """The norms over the batch in a model: batch norm, ours and PyTorch's, and its relatives."""
    return [layer for layer in model.modules() if isinstance(layer, OverBatch)]


@torch.no_grad()
def precise_statistics(
    model: nn.Module, batches: Iterable[Tensor], form: Literal["batches", "population"] = "batches"
) -> None:
    """Set the running statistics of every norm over the batch to those of `batches`, by the model as it is now.

    "batches" is Algorithm 2, step 10: E[x] = mean of the μ_B, Var[x] = mean of the m / (m - 1) σ²_B (of the σ²_B,
    for a layer with running_var="biased"). "population" takes the variance of all values together,
    E[μ²_B + σ²_B] - E[μ_B]², where a batch weighs as many values as it has: it also holds the variance between the
    batches' means, which is large where batches are sorted by class. It is for norms with a running mean and variance.
    A moving average mixes statistics of weights that are gone; these do not. Leaves the model in training mode.
    """
    layers = over_batch(model)
    momenta = [layer.momentum for layer in layers]
    seen: dict[OverBatch, list[Tensor]] = {layer: [] for layer in layers}  # m, μ_B and σ²_B of each batch

    def measure(layer: OverBatch, inputs: tuple[Tensor]) -> None:
        values = channel_values(inputs[0].double())
        mean = values.mean(1)
        seen[layer].append(torch.stack([torch.full_like(mean, values.shape[1]), mean, values.var(1, correction=0)]))

    hooks = [layer.register_forward_pre_hook(measure) for layer in layers if form == "population"]
    for layer in layers:
        layer.momentum = None  # the cumulative average; the first batch replaces what was there
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked.zero_()
    model.train()
    try:
        for batch in batches:
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    for layer, measured in seen.items():
        if not measured or isinstance(layer, ChannelNorm):
            continue
        if layer.running_mean is not None and layer.running_var is not None:
            m, mean, var = torch.stack(measured, 1)  # (batches, C) each
            share = m / m.sum(0)
            population_mean = (share * mean).sum(0)
            # E[σ²] + E[(μ - E[μ])²] is the same number, without the difference of large squares.
            layer.running_var.copy_((share * (var + (mean - population_mean).square())).sum(0))
            layer.running_mean.copy_(population_mean)


@torch.no_grad()
def _initialize(
    module: BatchNorm | nn.BatchNorm1d | nn.BatchNorm2d,
    running_var_init: str,
    weight_init: str,
    bias_init: str,
    generator: torch.Generator | None,
) -> None:
    """Set γ, β and the running variance to their starting values, in place; γ is drawn before β."""
    if module.weight is not None:
        if weight_init == "normal":
            module.weight.normal_(generator=generator)
        elif weight_init == "uniform":
            module.weight.uniform_(generator=generator)
        else:
            module.weight.fill_(1)
    if module.bias is not None:
        if bias_init == "normal":
            module.bias.normal_(generator=generator)
        else:
            module.bias.zero_()
    if module.running_var is not None:
        module.running_var.fill_(0 if running_var_init == "zeros" else 1)
