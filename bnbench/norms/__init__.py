"""Normalization layers: one family a file, a pure function with the formula, a thin module with the state.

A norm is built as `NORMS[type][implementation](num_features, spatial, generator=..., **options)`:
`num_features` is C, the size of dimension 1; `spatial` is () for vectors (N, C) and (H, W) for
images (N, C, H, W); the options are keyword-only and a wrong one is a TypeError.
To add one: a file here, a line in NORMS, a model in bnbench/config.py.
"""

from collections.abc import Callable, Mapping

from torch import nn

from bnbench.norms.batch import BatchNorm, builtin_batch_norm

NORMS: Mapping[str, Mapping[str, Callable[..., nn.Module]]] = {
    "batch": {"custom": BatchNorm, "builtin": builtin_batch_norm},
}
