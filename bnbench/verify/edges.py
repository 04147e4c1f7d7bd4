"""Checks at the edges, which every norm of activations goes through too: large means, constants, single values,
images alone, and what a linear layer before a norm may change.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bnbench.config import norms as normconfig
from bnbench.verify.checks import Check, trained
from bnbench.verify.references import TorchReference
from bnbench.verify.rows import FLOAT32, FLOAT64, Errors
from bnbench.verify.subjects import Case, Shape, Subject, build, inputs, upstream

# |mean| / deviation is 10⁵ here: so many of the digits go into the mean, whatever the formula. A formula like
# E[x²] - E[x]² loses the square of that, all of them in float32.
LARGE_MEAN, SMALL_DEVIATION = 1_000, 0.01


def large_mean(subject: Subject, dtype: torch.dtype) -> Errors:
    """Outputs for x of mean 1000 and deviation 0.01."""
    # upstream() is N(0, 1).
    return _against_float64(subject, dtype, lambda shape: LARGE_MEAN + SMALL_DEVIATION * upstream(shape, FLOAT64))


def constant_channels(subject: Subject, dtype: torch.dtype) -> Errors:
    """Outputs for a constant x, which are β where the mean is subtracted."""
    return _against_float64(subject, dtype, lambda shape: torch.full(shape, 7.0, dtype=FLOAT64))


def _against_float64(subject: Subject, dtype: torch.dtype, make: Callable[[Shape], Tensor]) -> Errors:
    """One training step on `make(shape)` beside the reference in float64; gradients must be finite."""
    errors = Errors()
    for shape in subject.few_shapes():
        for options in subject.options:
            if shape[1] % options.get("num_groups", 1):
                continue
            case = Case(shape, options)
            layer, reference = build(subject.norm, case, dtype), subject.reference(case)
            if isinstance(reference, TorchReference):
                reference.module.to(FLOAT64)
            reference.start(layer)
            x = make(shape).to(dtype).requires_grad_()
            y = layer(x)
            errors.compare(y, reference.train(x.detach().double()), case)
            (y * upstream(shape, dtype)).sum().backward()
            errors.require(x.grad is not None and bool(x.grad.isfinite().all()), f"gradient not finite: {case}")
    return errors


def one_value_refused(subject: Subject, dtype: torch.dtype) -> Errors | None:
    """One value a channel (a group) in training is a ValueError, before anything of the layer has changed."""
    if subject.over_batch:
        refused, options = [(1, 4), (1, 4, 1, 1)], subject.options[0]
    elif subject.norm == "instance":
        refused, options = [(3, 4, 1, 1)], subject.options[-1]
    elif subject.norm in ("group", "evonorm_s0"):
        refused, options = [(3, 4)], {"num_groups": 4}
    else:
        return None
    errors = Errors()
    for shape in refused:
        layer = build(subject.norm, Case(shape, options), dtype)
        before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
        try:
            layer(inputs(shape, dtype))
            errors.fail(f"input {shape} was accepted")
        except ValueError:
            pass
        for name, buffer in layer.named_buffers():
            errors.require(torch.equal(buffer, before[name]), f"{name} changed at an input of {shape}")
    return errors


def alone(subject: Subject, dtype: torch.dtype) -> Errors:
    """An image evaluated alone gets what it gets in a batch, and evaluating changes nothing of the layer."""
    errors = Errors()
    for case in subject.cases():
        if case.options.get("track_running_stats") is False:
            continue  # asked for the batch's own statistics
        layer = trained(subject.norm, case, dtype).eval()
        before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
        x = inputs(case.shape, dtype, 9)
        together = layer(x)
        for i in range(min(3, len(x))):
            errors.compare(layer(x[i : i + 1]), together[i : i + 1], case)
        for name, buffer in layer.named_buffers():
            errors.require(torch.equal(buffer, before[name]), f"evaluation changed {name}: {case}")
    return errors


def bias_before(subject: Subject, dtype: torch.dtype) -> Errors | None:
    """norm(Wu + b) = norm(Wu), and b gets no gradient, where the mean of each channel is subtracted (§3.2)."""
    model = normconfig.NORMS[subject.norm]
    if not getattr(model, "cancels_bias", False):
        return None
    errors = Errors()
    for shape in subject.few_shapes():
        for options in subject.options:
            if "warmup_steps" in options:
                continue  # batch renorm beyond batch norm also shifts by running statistics
            case = Case(shape, options)
            if not model.model_validate({"type": subject.norm, **options}).makes_bias_useless:
                continue
            u = inputs(shape, dtype)
            b = (10 * torch.randn(shape[1], dtype=dtype, generator=torch.Generator().manual_seed(2))).requires_grad_()
            shifted = u + b.view(1, -1, *[1] * (len(shape) - 2))
            y = build(subject.norm, case, dtype)(shifted)
            expected = build(subject.norm, case, dtype)(u)
            errors.compare(y, expected, case)
            (y * upstream(shape, dtype)).sum().backward()
            assert b.grad is not None
            scale = upstream(shape, dtype).abs().sum().item()
            errors.compare(b.grad, torch.zeros_like(b.grad), f"gradient of the bias: {case}", scale=scale)
    return errors


def scaled_weights(subject: Subject, dtype: torch.dtype) -> Errors | None:
    """norm(aWu) = norm(Wu) and ∂/∂(aW) = 1/a ∂/∂W (§3.3), exact as ε → 0: here ε = 1e-20."""
    if not subject.ignores_scale:
        return None
    errors = Errors()
    options = {**subject.options[0], "eps": 1e-20}
    if subject.norm == "batch_renorm":
        options = {"eps": 1e-20}  # the batch norm of its first steps; later it divides by running statistics
    draw = torch.Generator().manual_seed(4)
    u = torch.randn(8, 5, dtype=FLOAT64, generator=draw).to(dtype)
    weights = torch.randn(8, 5, dtype=FLOAT64, generator=draw).to(dtype)
    spatial = (2, 2) if len(subject.few_shapes()) == 1 else ()

    def run(a: float) -> tuple[Tensor, Tensor]:
        scaled = (a * weights).requires_grad_()
        x = u @ scaled.T  # (8, 8), or as images (2, 8, 2, 2)
        x = x.view(2, 2, 2, 8).permute(0, 3, 1, 2) if spatial else x
        y = build(subject.norm, Case(tuple(x.shape), options), dtype)(x)
        (y * upstream(tuple(y.shape), dtype)).sum().backward()
        assert scaled.grad is not None
        return y.detach(), scaled.grad

    output, gradient = run(1)
    for a in (0.1, 0.5, 3, 10, 100):
        scaled_output, scaled_gradient = run(a)
        errors.compare(scaled_output, output, f"output at a = {a}")
        errors.compare(a * scaled_gradient, gradient, f"gradient at a = {a}")
    return errors


CHECKS: dict[str, Check] = {
    "large mean": large_mean,
    "constant channels": constant_channels,
    "one value refused": one_value_refused,
    "one image alone": alone,
    "bias before": bias_before,
    "scaled weights": scaled_weights,
}

TOLERANCES = {"large mean": {FLOAT64: 1e-10, FLOAT32: 0.01}}
