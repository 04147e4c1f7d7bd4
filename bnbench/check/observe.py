"""What a layer does with fixed inputs: its outputs, gradients and running statistics over many steps."""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bnbench.check.load import place
from bnbench.check.subjects import Factory, Layer, Subject
from bnbench.plugins.execute import described

STEPS = 100
# Distinct sizes, so that a wrong axis shows; two groups of three channels.
SHAPES = {"vectors": (12, 6), "images": (7, 6, 3, 4)}
# The second smallest deviation is small beside √ε, so that the place of ε shows.
DEVIATIONS = (1.0, 0.03, 3.0, 0.5, 0.001, 2.0)
MEANS = (0.5, 0.02, -2.0, 3.0, 0.004, -1.0)


@dataclass
class Observed:
    """Everything that was seen of one layer, for vectors or for images."""

    shape: tuple[int, ...]
    subject: Subject
    gamma: Tensor  # float64, as it broadcasts to the input
    beta: Tensor
    batches: list[Tensor]
    y: Tensor
    running: list[dict[str, Tensor]]  # before the first step, and after each
    weights: Tensor  # of the output in the loss
    gradients: dict[str, Tensor | None] | None = None
    graph: list[str] = field(default_factory=list)  # running statistics that keep the batch's graph
    x_eval: Tensor | None = None
    y_eval: Tensor | None = None
    eval_error: str | None = None
    one: Tensor | None = None  # the first image of x_eval alone
    one_error: str | None = None
    changed_in_eval: bool = False
    in_place: str | None = None  # the line
    drew: tuple[str, str] | None = None  # whose generator, and the line


def inputs(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    view = (1, -1, *[1] * (len(shape) - 2))
    return (x * torch.tensor(DEVIATIONS).view(view) + torch.tensor(MEANS).view(view)).to(dtype)


def upstream(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(99), dtype=torch.float64)


def affine(subject: Subject) -> tuple[Tensor, Tensor]:
    """Give γ and β values that differ from channel to channel; return them as they broadcast to the input."""
    found = []
    for tensor, start, step, absent in ((subject.gamma, 0.5, 0.3, 1.0), (subject.beta, -0.7, 0.4, 0.0)):
        if tensor is None:
            found.append(torch.tensor(absent, dtype=torch.float64))
            continue
        channels = start + step * torch.arange(subject.channels, dtype=torch.float64)
        values = channels
        if tensor.numel() != subject.channels:
            values = torch.linspace(start, start + 2, tensor.numel(), dtype=torch.float64)
        with torch.no_grad():
            tensor.copy_(values.view(tensor.shape))
        rest = [1] * (len(subject.shape) - 2)
        sample = int(np.prod(subject.shape[1:]))
        shape = (1, *subject.shape[1:]) if values.numel() == sample else (1, values.numel(), *rest)
        found.append(values.to(tensor.dtype).double().view(shape))
    return found[0], found[1]


def observe(make: Factory, shape: tuple[int, ...], path: Path) -> Observed:
    """Raises what the layer raises in training."""
    subject = make(shape, torch.float32)
    gamma, beta = affine(subject)
    batches = [inputs(shape, seed) for seed in range(4)]
    before = subject.running()
    generators = _generators()
    leaf = batches[0].clone().requires_grad_()
    x = leaf * 1  # no leaf, so that it may be changed in place
    y = subject.train(x)
    seen = Observed(shape, subject, gamma, beta, batches, y.detach().double(), [before], upstream(tuple(y.shape)))
    if isinstance(subject, Layer) and not torch.equal(x.detach(), batches[0]):
        seen.in_place = _line(make, shape, path, lambda given: given.detach().clone())
    if (whose := _changed(generators, _generators())) is not None:
        seen.drew = whose, _line(make, shape, path, lambda _: _generators())
    if subject.differentiates:
        seen.gradients = _gradients(subject, leaf, y, seen.weights)
    if isinstance(subject, Layer) or subject.form == "tutorial":  # type: ignore[attr-defined]
        raw = subject.raw()
        seen.graph = [n for n, v in raw.items() if isinstance(v, Tensor) and v.grad_fn is not None]
    seen.running.append(subject.running())
    for step in range(1, STEPS):
        subject.train(batches[step % 4].clone())
        seen.running.append(subject.running())
    if subject.evaluates:
        _evaluate(seen, path)
    return seen


def _gradients(subject: Subject, leaf: Tensor, y: Tensor, weights: Tensor) -> dict[str, Tensor | None]:
    names = {"x": leaf, "gamma": subject.gamma, "beta": subject.beta}
    wanted = {name: t for name, t in names.items() if t is not None and t.requires_grad}
    if not y.requires_grad:
        return dict.fromkeys(wanted)
    loss = (y * weights.to(y.dtype)).sum()
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    return {name: None if g is None else g.double() for name, g in zip(wanted, found, strict=True)}


@torch.no_grad()
def _evaluate(seen: Observed, path: Path) -> None:
    subject, x = seen.subject, inputs(seen.shape, 77)
    before = subject.running()
    try:
        y = subject.evaluate(x.clone())
    except Exception as error:  # the user's code may raise anything
        seen.eval_error = f"{place(error, path)}: {described(error)}"
        return
    after = subject.running()
    seen.x_eval, seen.y_eval = x, y.double()
    seen.changed_in_eval = any(not torch.equal(before[k], v) for k, v in after.items() if k in before)
    try:
        seen.one = subject.evaluate(x[:1].clone()).double()
    except Exception as error:
        seen.one_error = f"{place(error, path)}: {described(error)}"


def _generators() -> tuple[Any, ...]:
    return torch.random.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()


def _changed(before: tuple[Any, ...], after: tuple[Any, ...]) -> str | None:
    names = ("torch", "numpy", "random")
    return next((n for n, a, b in zip(names, before, after, strict=True) if a != b), None)


def _line(make: Factory, shape: tuple[int, ...], path: Path, probe: Callable[[Tensor], Any]) -> str:
    """FILE:LINE of the first line of the user's file after which `probe` of the input is another."""
    subject, x = make(shape, torch.float32), inputs(shape, 0).requires_grad_() * 1
    last, value = [0], [probe(x)]
    found: list[int] = []

    def same(a: Any, b: Any) -> bool:
        return torch.equal(a, b) if isinstance(a, Tensor) else bool(a == b)

    def trace(frame: Any, event: str, _: Any) -> Any:
        if Path(frame.f_code.co_filename) != path:
            return None
        if not found and event != "call":
            now = probe(x)
            if not same(now, value[0]):
                found.append(last[0])
        last[0] = frame.f_lineno
        return trace

    sys.settrace(trace)
    try:
        subject.train(x)
    finally:
        sys.settrace(None)
    return f"{path.name}:{found[0]}" if found else path.name
