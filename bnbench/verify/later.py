"""Identities of the norms since 2018, and of a batch norm that is folded into the layer before it."""

import torch
from torch import nn

from bnbench import norms
from bnbench.norms.folding import fold_batch_norm
from bnbench.verify.identities import WITHOUT_EPS, Identity, plain
from bnbench.verify.rows import Errors
from bnbench.verify.subjects import IMAGES, VECTORS, Case, build, inputs


def _set(layer: nn.Module, **values: float) -> nn.Module:
    """The layer with every number of the named parameters set."""
    with torch.no_grad():
        for name, value in values.items():
            layer.get_parameter(name).fill_(value)
    return layer


def folded_batch_norm(dtype: torch.dtype) -> Errors:
    """A layer with its batch norm folded in gives what the two give in evaluation, ours and PyTorch's."""
    errors = Errors()
    layers: tuple[tuple[nn.Linear | nn.Conv2d, tuple[int, ...]], ...] = (
        (nn.Linear(6, 4), (8, 6)),
        (nn.Linear(6, 4, bias=False), (8, 6)),
        (nn.Conv2d(2, 5, 3, padding=1), (4, 2, 6, 6)),
    )
    for layer, shape in layers:
        layer.to(dtype)
        outputs = layer(inputs(shape, dtype)).detach()
        for affine in (True, False):
            ours = build("batch", Case(tuple(outputs.shape), affine=affine), dtype)
            theirs = norms.NORMS["batch"]["builtin"](outputs.shape[1], outputs.shape[2:], affine=affine).to(dtype)
            theirs.load_state_dict(ours.state_dict())
            for norm in (ours, theirs):
                assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
                for step in range(3):
                    norm(layer(inputs(shape, dtype, step)))
                x = inputs(shape, dtype, 9)
                folded = fold_batch_norm(layer, norm.eval())
                errors.compare(folded(x), norm(layer(x)), f"{layer}, affine={affine}")
    return errors


def whole_rms_is_rms(dtype: torch.dtype) -> Errors:
    """With p = 1 and ε → 0, where its place makes no difference."""
    errors = Errors()
    for shape in ((8, 6), (4, 6, 5, 5)):
        x, eps = inputs(shape, dtype), WITHOUT_EPS[dtype]
        errors.compare(plain("rms", shape, dtype, p=1.0, eps=eps)(x), plain("rms", shape, dtype, eps=eps)(x), shape)
    return errors


def is_odd(dtype: torch.dtype) -> Errors:
    """tanh(-α x) = -tanh(α x)."""
    errors = Errors()
    for shape in ((8, 6), (4, 6, 5, 5)):
        layer, x = plain("dyt", shape, dtype), inputs(shape, dtype)
        errors.compare(layer(-x), -layer(x), shape)
    return errors


def erf_is_the_normal_distribution(dtype: torch.dtype) -> Errors:
    """erf(α x + s) = 2 Φ(√2 (α x + s)) - 1."""
    errors = Errors()
    for shape in ((8, 6), (4, 6, 5, 5)):
        layer, x = plain("derf", shape, dtype), inputs(shape, dtype)
        alpha, shift = layer.get_parameter("alpha").detach(), layer.get_parameter("shift").detach()
        errors.compare(layer(x), 2 * torch.special.ndtr(2**0.5 * (alpha * x + shift)) - 1, shape)
    return errors


def ignores_a_channels_scale(dtype: torch.dtype) -> Errors:
    """f(a x) = f(x) with an a of each channel of each image, as ε → 0."""
    errors = Errors()
    for shape in IMAGES:
        layer, x = build("filter_response", Case(shape, {"eps": WITHOUT_EPS[dtype]}), dtype), inputs(shape, dtype)
        a = torch.linspace(0.1, 50, shape[0] * shape[1], dtype=dtype).view(*shape[:2], 1, 1)
        errors.compare(layer(a * x), layer(x), shape)
    return errors


def low_threshold_is_rms_of_a_channel(dtype: torch.dtype) -> Errors:
    """With τ → -∞, an image of one channel is normalized as by RMS norm."""
    errors, shape = Errors(), (4, 1, 5, 5)
    layer = _set(plain("filter_response", shape, dtype), tau=-1e30)
    errors.compare(layer(inputs(shape, dtype)), plain("rms", shape, dtype, eps=1e-5)(inputs(shape, dtype)), shape)
    return errors


def zero_v_is_half_a_group_norm(dtype: torch.dtype) -> Errors:
    """sigmoid(0) = ½: of x whose groups have the mean 0, S0 is half of group norm."""
    errors = Errors()
    for shape in ((8, 12), (4, 6, 5, 5)):
        groups = inputs(shape, dtype).reshape(shape[0], 2, -1)
        x = (groups - groups.mean(2, keepdim=True)).reshape(shape)
        layer = _set(plain("evonorm_s0", shape, dtype, num_groups=2), v=0)
        errors.compare(layer(x), plain("group", shape, dtype, num_groups=2)(x) / 2, shape)
    return errors


def zero_v_of_vectors_is_variance_only(dtype: torch.dtype) -> Errors:
    """A vector's own variance is 0: without v, B0 divides by the deviation of the batch."""
    errors = Errors()
    for shape in VECTORS:
        layer = _set(plain("evonorm_b0", shape, dtype, eps=1e-5), v=0)
        x = inputs(shape, dtype)
        errors.compare(layer(x), plain("variance_only_batch", shape, dtype)(x), shape)
    return errors


IDENTITIES: dict[str, dict[str, Identity]] = {
    "batch": {"folded": folded_batch_norm},
    "rms": {"p = 1 is rms": whole_rms_is_rms},
    "dyt": {"is odd": is_odd},
    "derf": {"is 2Φ(√2 z) - 1": erf_is_the_normal_distribution},
    "filter_response": {
        "ignores a scale": ignores_a_channels_scale,
        "τ = -∞ is rms": low_threshold_is_rms_of_a_channel,
    },
    "evonorm_s0": {"v = 0 is group / 2": zero_v_is_half_a_group_norm},
    "evonorm_b0": {"v = 0 is var. only": zero_v_of_vectors_is_variance_only},
}
