"""Normalization layers: one family a file, a pure function with the formula, a thin module with the state.

A norm is built as `NORMS[type][implementation](num_features, spatial, **options)`: `num_features` is C,
the size of dimension 1; `spatial` is () for vectors (N, C) and (H, W) for images (N, C, H, W); the
options are keyword-only and a wrong one is a TypeError. A norm that draws at random has a parameter
`generator` besides, and `build` gives it one.
`WEIGHT_NORMS[type][implementation](layer, **options)` normalizes a linear or convolution layer's weights in place.
To add a norm: a file here, its entry in NORMS, and its options with their entry in bnbench/config/norms/.
`NORMS[type] = {"custom": ...}` and `bnbench.config.norms.register` add one at run time.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from bnbench.norms.batch import BatchNorm, builtin_batch_norm
from bnbench.norms.dynamic import DynamicErf, DynamicTanh
from bnbench.norms.evonorm import EvoNormB0, EvoNormS0
from bnbench.norms.filter_response import FilterResponseNorm
from bnbench.norms.generalized import GeneralizedBatchNorm
from bnbench.norms.ghost import GhostBatchNorm
from bnbench.norms.group import GroupNorm, InstanceNorm, builtin_group_norm, builtin_instance_norm
from bnbench.norms.halves import MeanOnlyBatchNorm, VarianceOnlyBatchNorm
from bnbench.norms.layer import LayerNorm, RMSNorm, builtin_layer_norm, builtin_rms_norm
from bnbench.norms.lp import L1BatchNorm, LpBatchNorm
from bnbench.norms.noisy import NoisyBatchNorm
from bnbench.norms.renorm import BatchRenorm
from bnbench.norms.standardized import scaled_weight_standardization
from bnbench.norms.sync import SyncBatchNorm, builtin_sync_batch_norm
from bnbench.norms.weight import builtin_weight_norm, custom_weight_norm

NORMS: dict[str, dict[str, Callable[..., nn.Module]]] = {
    "batch": {"custom": BatchNorm, "builtin": builtin_batch_norm},
    "layer": {"custom": LayerNorm, "builtin": builtin_layer_norm},
    "instance": {"custom": InstanceNorm, "builtin": builtin_instance_norm},
    "group": {"custom": GroupNorm, "builtin": builtin_group_norm},
    "rms": {"custom": RMSNorm, "builtin": builtin_rms_norm},
    "l1_batch": {"custom": L1BatchNorm},
    "lp_batch": {"custom": LpBatchNorm},
    "generalized_batch": {"custom": GeneralizedBatchNorm},
    "batch_renorm": {"custom": BatchRenorm},
    "ghost_batch": {"custom": GhostBatchNorm},
    "noisy_batch": {"custom": NoisyBatchNorm},
    "sync_batch": {"custom": SyncBatchNorm, "builtin": builtin_sync_batch_norm},
    "mean_only_batch": {"custom": MeanOnlyBatchNorm},
    "variance_only_batch": {"custom": VarianceOnlyBatchNorm},
    "dyt": {"custom": DynamicTanh},
    "derf": {"custom": DynamicErf},
    "filter_response": {"custom": FilterResponseNorm},
    "evonorm_s0": {"custom": EvoNormS0},
    "evonorm_b0": {"custom": EvoNormB0},
}

WEIGHT_NORMS: dict[str, dict[str, Callable[..., None]]] = {
    "weight": {"custom": custom_weight_norm, "builtin": builtin_weight_norm},
    "scaled_weight_standardization": {"custom": scaled_weight_standardization},
}


def build(
    norm: str,
    implementation: str,
    num_features: int,
    spatial: tuple[int, ...],
    generator: torch.Generator,
    **options: Any,
) -> nn.Module:
    """A norm of activations as a layer; `generator` is for those that draw at random."""
    builder = NORMS[norm][implementation]
    if "generator" in inspect.signature(builder).parameters:
        options["generator"] = generator
    return builder(num_features, spatial, **options)
