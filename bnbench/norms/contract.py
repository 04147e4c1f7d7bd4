"""What every norm promises, as functions. `bnbench norms test FILE` calls them, and so do the repository's tests.

Each takes `build`, which returns the same new layer at every call, and an input `x` (N, C, ...), and raises
Broken where a promise is not kept. What the layer itself raises goes through.
"""

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

Build = Callable[[], nn.Module]


class Broken(Exception):
    """A promise that a norm does not keep, in words."""


def shapes(build: Build, x: Tensor) -> None:
    """It returns the shape and the dtype of its input, and leaves the input as it is."""
    layer = build()
    if not isinstance(layer, nn.Module):
        raise Broken(f"it is built as a {type(layer).__name__}, not as an nn.Module")
    for kind in (x.dtype, torch.float64):
        values = x.to(kind)
        before = values.clone()
        for mode in (True, False):
            y = layer.to(kind).train(mode)(values)
            when = "in training" if mode else "in evaluation"
            if not isinstance(y, Tensor):
                raise Broken(f"{when} it returns a {type(y).__name__}, not a tensor")
            if y.shape != values.shape:
                raise Broken(f"{when} it returns shape {tuple(y.shape)} for an input of shape {tuple(x.shape)}")
            if y.dtype != kind:
                raise Broken(f"{when} it returns {y.dtype} for an input of {kind}")
            if not torch.equal(values, before):
                raise Broken(f"{when} it changes its input in place")
            if not y.isfinite().all():
                raise Broken(f"{when} it returns values that are not finite")


def generators(build: Build, x: Tensor) -> None:
    """It draws from its own generator alone, and is the same whenever it is built by the same one."""
    outputs = []
    for seed in (1, 2):
        with _global_generators(seed):
            outputs.append(build()(x).detach())
    if not torch.equal(*outputs):
        raise Broken("built twice alike, it gives two results; draw from the parameter generator")


def state(build: Build, x: Tensor) -> None:
    """Its state_dict is all of its state, so that a resumed run goes on as if it had not stopped."""
    layer, other = build(), build()
    for step in range(3):
        layer(x + step)
    try:
        other.load_state_dict(layer.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split()).partition(": ")[2]
        raise Broken(f"its state_dict does not fit a new layer: {reason}") from None
    for name, buffer in layer.named_buffers():
        new = other.get_buffer(name)
        if new.shape != buffer.shape:  # PyTorch 2.6 takes the first value where a new layer has a single one
            raise Broken(
                f"its state_dict does not fit a new layer: size mismatch for {name}:"
                f" {tuple(buffer.shape)} after training, {tuple(new.shape)} before"
            )
    for mode in (True, False):
        if not torch.equal(layer.train(mode)(x), other.train(mode)(x)):
            raise Broken("its state_dict lacks some of its state; keep it in buffers, by register_buffer")
    for name, buffer in layer.named_buffers():
        if buffer.requires_grad:
            raise Broken(f"buffer {name} holds the graph of a batch; update it under torch.no_grad()")


def gradients(build: Build, x: Tensor) -> None:
    """The input and every parameter get a gradient."""
    layer, leaf = build(), x.clone().requires_grad_()
    y = layer(leaf)
    (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(7), dtype=y.dtype)).sum().backward()
    for name, tensor in (("its input", leaf), *layer.named_parameters()):
        if tensor.grad is None or not tensor.grad.any():
            raise Broken(f"{name} gets no gradient")
        if not tensor.grad.isfinite().all():
            raise Broken(f"{name} gets a gradient that is not finite")


def single_images(build: Build, x: Tensor) -> None:
    """In evaluation the result for an image depends on that image alone."""
    layer = build()
    layer(x)
    layer.eval()
    _close(layer(x)[:1], layer(x[:1]), "in evaluation the result for an image depends on the others of its batch")


def strides(build: Build, x: Tensor) -> None:
    """It takes inputs that are not contiguous."""
    layouts = [torch.stack([x, -x], dim=-1)[..., 0]]
    if x.dim() == 4:
        layouts.append(x.contiguous(memory_format=torch.channels_last))
    for strided in layouts:
        layer, other = build(), build()
        for mode in (True, False):
            y, expected = layer.train(mode)(strided), other.train(mode)(x)
            _close(y, expected, "it gives another result for the same values in another memory layout")


# Those that training needs come first: `bnbench run` tries them on a norm of one's own.
NEEDED = (shapes, generators, state)
PROMISES = (*NEEDED, gradients, single_images, strides)


def _close(a: Tensor, b: Tensor, otherwise: str) -> None:
    if not torch.allclose(a, b, atol=1e-5, rtol=1e-5):
        raise Broken(otherwise)


@contextmanager
def _global_generators(seed: int) -> Iterator[None]:
    """Seeds the global generators, and puts them back. Raises Broken where the block has drawn from one."""

    def states() -> dict[str, bytes]:
        return {
            "torch": torch.random.get_rng_state().numpy().tobytes(),
            "numpy.random": pickle.dumps(np.random.get_state()),
            "random": pickle.dumps(random.getstate()),
        }

    before = torch.random.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        seeded = states()
        yield
        drawn = [name for name, at in states().items() if at != seeded[name]]
        if drawn:
            raise Broken(f"it draws from the global generator of {drawn[0]}; draw from the parameter generator")
    finally:
        torch.random.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])
