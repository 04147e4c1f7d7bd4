"""Checks in float16 and bfloat16: a layer gives what float32 gives for the same numbers, rounded at the end.

CHECKS are those of the norms of activations. The norms of weights use the two functions `of_weights…`.
"""

import copy
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from bnbench.verify.references import TorchReference
from bnbench.verify.rows import BFLOAT16, FLOAT16, FLOAT32, Errors
from bnbench.verify.subjects import Case, Subject, build, inputs, upstream

DTYPES = (FLOAT16, BFLOAT16)
LARGE = 400  # its square, 160,000, is infinite in float16


def half_precision(subject: Subject, dtype: torch.dtype) -> Errors:
    """A layer of half-precision parameters and buffers."""
    return _against_float32(subject, dtype, autocast=False)


def under_autocast(subject: Subject, dtype: torch.dtype) -> Errors:
    """A float32 layer under torch.autocast, with inputs of half precision."""
    return _against_float32(subject, dtype, autocast=True)


def _against_float32(subject: Subject, dtype: torch.dtype, *, autocast: bool) -> Errors:
    """One training step and one evaluation beside the reference; the gradients beside our layer's in float32."""
    errors = Errors()
    for shape in subject.few_shapes():
        for options in subject.options:
            if shape[1] % options.get("num_groups", 1):
                continue
            case, x = Case(shape, options), large_inputs(shape, dtype)
            layer = build(subject.norm, case, FLOAT32).to(FLOAT32 if autocast else dtype)
            twin, reference = copy.deepcopy(layer).float(), subject.reference(case)
            if isinstance(reference, TorchReference):
                reference.module.to(FLOAT32)
            reference.start(layer)
            with torch.autocast("cpu", dtype) if autocast else nullcontext():
                y = layer(x)
            errors.compare(y, reference.train(x.detach().float()), case)
            errors.require(y.dtype == dtype, f"output of {y.dtype} for an input of {dtype}: {case}")
            compare_gradients(errors, layer, twin, x, y, case)
            for name, value in reference.running().items():
                errors.compare(layer.get_buffer(name), value, f"{name} of {case}")
            with torch.autocast("cpu", dtype) if autocast else nullcontext():
                y = layer.eval()(x)
            errors.compare(y, reference.evaluate(x.detach().float()), f"in evaluation: {case}")
            errors.require(y.dtype == dtype, f"output of {y.dtype} in evaluation: {case}")
    return errors


def large_inputs(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Between 0 and LARGE; a leaf."""
    x = LARGE * torch.rand(shape, generator=torch.Generator().manual_seed(3))
    return x.to(dtype).requires_grad_()


def compare_gradients(errors: Errors, layer: nn.Module, twin: nn.Module, x: Tensor, y: Tensor, case: object) -> None:
    """The gradients of y = layer(x) beside those of the same layer in float32."""
    wide = x.detach().float().requires_grad_()
    expected = twin(wide)
    weights = upstream(tuple(y.shape), y.dtype)
    ours = torch.autograd.grad(y, [x, *layer.parameters()], weights)
    theirs = torch.autograd.grad(expected, [wide, *twin.parameters()], weights.float())
    for (name, _), own, right in zip([("x", x), *layer.named_parameters()], ours, theirs, strict=True):
        errors.compare(own, right, f"gradient of {name}: {case}")


def of_weights(layers: list[nn.Module], dtype: torch.dtype) -> Errors:
    """The weight of each layer, of large half-precision parameters, and its gradients beside float32's."""
    errors = Errors()
    for layer in layers:
        layer.to(dtype)
        parameters = [p for name, p in layer.named_parameters() if name.startswith("parametrizations.")]
        with torch.no_grad():
            for parameter in parameters:
                parameter.copy_(large_inputs(tuple(parameter.shape), dtype))
        twin = copy.deepcopy(layer).float()
        wide = [p for name, p in twin.named_parameters() if name.startswith("parametrizations.")]
        w, expected = layer.weight, twin.weight
        assert isinstance(w, Tensor) and isinstance(expected, Tensor)
        errors.compare(w, expected, f"weight of {layer}")
        errors.require(w.dtype == dtype, f"weight of {w.dtype} in {layer}")
        weights = upstream(tuple(w.shape), dtype)
        ours = torch.autograd.grad(w, parameters, weights)
        for own, right in zip(ours, torch.autograd.grad(expected, wide, weights.float()), strict=True):
            errors.compare(own, right, f"gradient of {layer}")
    return errors


def of_weights_under_autocast(layers: dict[tuple[int, ...], nn.Module], dtype: torch.dtype) -> Errors:
    """The outputs of float32 layers, by the shapes of their inputs, beside those without autocast."""
    errors = Errors()
    for shape, layer in layers.items():
        x = inputs(shape, dtype)
        with torch.autocast("cpu", dtype):
            y = layer(x)
        errors.compare(y, layer(x.float()), f"input {shape}")
        errors.require(y.dtype == dtype, f"output of {y.dtype} for an input of {dtype}")
    return errors


CHECKS: dict[str, Callable[[Subject, torch.dtype], Errors]] = {
    "half precision": half_precision,
    "under autocast": under_autocast,
}
