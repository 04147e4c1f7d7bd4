"""Folding: a layer and the batch norm behind it, in evaluation, are one layer."""

import copy

import torch
from torch import nn

from bnbench.norms.channels import at_least_float32


@torch.no_grad()
def fold_batch_norm(layer: nn.Linear | nn.Conv2d, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Linear | nn.Conv2d:
    """A new layer that gives what `norm` gives, in evaluation, of the outputs of `layer`.

        W' = γ W / √(σ² + ε)        b' = β + (b - μ) γ / √(σ² + ε)

    μ and σ² are the running statistics. `norm` is bnbench's batch norm or PyTorch's.

    Raises:
        ValueError: a norm of another number of channels, or without running statistics.
    """
    outputs = layer.weight.shape[0]
    if norm.num_features != outputs:
        raise ValueError(f"batch norm of {norm.num_features} channels cannot be folded into a layer of {outputs}")
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("batch norm without running statistics cannot be folded: it needs the batch in evaluation")
    mean, var = at_least_float32(norm.running_mean), at_least_float32(norm.running_var)
    scale = torch.rsqrt(var + norm.eps)
    if norm.weight is not None:
        scale = norm.weight * scale
    shift = -mean if layer.bias is None else layer.bias - mean
    bias = shift * scale
    if norm.bias is not None:
        bias = norm.bias + bias
    folded = copy.deepcopy(layer)
    folded.weight.copy_(layer.weight * scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    folded.bias = nn.Parameter(bias.to(layer.weight.dtype))
    return folded
