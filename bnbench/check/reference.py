"""A small norm with switches: each common mistake is a variant of the formula.

`variants()` gives the right formula, then each with one mistake, then each with two. What a layer computes is
compared with all of them, so that a mistake gets its name.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor

GROUPS = 2  # of a group norm that is checked
Norm = Literal["batch", "layer", "group", "instance", "rms"]
Over = tuple[int, ...] | Literal["group"]


@dataclass(frozen=True)
class Variant:
    """How the output is computed, and the names of the mistakes in it."""

    mean_over: Over
    var_over: Over
    around: Literal["own mean", "that mean", "zero"] = "own mean"  # what the variance is taken around
    centered: bool = True
    unbiased: bool = False
    eps: Literal["inside", "outside", "none"] = "inside"
    root: bool = True
    affine: Literal["right", "swapped", "no gamma", "no beta", "shift first"] = "right"
    constant: Literal["nothing", "variance", "mean", "both"] = "nothing"  # what no gradient flows through
    mistakes: tuple[str, ...] = ()


def right_axes(norm: Norm, dims: int) -> Over:
    """The dimensions that the norm's statistics are taken over, for input of that many dimensions."""
    if norm == "batch":
        return tuple(d for d in range(dims) if d != 1)
    if norm == "group":
        return "group"
    return tuple(range(2 if norm == "instance" else 1, dims))


def right(norm: Norm, dims: int) -> Variant:
    over = right_axes(norm, dims)
    rms = norm == "rms"
    return Variant(over, over, centered=not rms, around="zero" if rms else "own mean")


def normalize(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, variant: Variant) -> Tensor:
    """The output of a variant; γ and β have the shape of one sample, or broadcast to it."""
    mean = average(x, variant.mean_over)
    around = {"own mean": average(x, variant.var_over), "that mean": mean, "zero": torch.zeros_like(mean)}
    var = average((x - around[variant.around]).square(), variant.var_over)
    if variant.unbiased:
        m = values(x, variant.var_over)
        var = var * m / max(m - 1, 1)
    if variant.constant in ("variance", "both"):
        var = var.detach()
    if variant.constant in ("mean", "both"):
        mean = mean.detach()
    inside, outside = (eps if variant.eps == place else 0 for place in ("inside", "outside"))
    below = ((var + inside).sqrt() if variant.root else var + inside) + outside
    x_hat = (x - mean if variant.centered else x) / below
    return {
        "right": lambda: gamma * x_hat + beta,
        "swapped": lambda: beta * x_hat + gamma,
        "no gamma": lambda: x_hat + beta,
        "no beta": lambda: gamma * x_hat,
        "shift first": lambda: gamma * (x_hat + beta),
    }[variant.affine]()


def average(x: Tensor, over: Over) -> Tensor:
    if over == "group":
        each = x.reshape(x.shape[0], GROUPS, -1).mean(2).repeat_interleave(x.shape[1] // GROUPS, 1)
        return each.reshape(*x.shape[:2], *[1] * (x.dim() - 2))
    return x.mean(over, keepdim=True)


def values(x: Tensor, over: Over) -> int:
    """How many values each statistic is taken over."""
    if over == "group":
        return x[0].numel() // GROUPS
    m = 1
    for d in over:
        m *= x.shape[d]
    return m


@cache
def variants(norm: Norm, dims: int) -> tuple[tuple[Variant, ...], ...]:
    """The right formula; each with one mistake; each with two."""
    start = right(norm, dims)
    switches = list(_switches(norm, dims))
    one = [_changed(start, name, change) for switch in switches for name, change in switch]
    two = [
        _changed(_changed(start, *first), *second) for a, b in combinations(switches, 2) for first in a for second in b
    ]
    return (start,), tuple(one), tuple(two)


def _changed(variant: Variant, name: str, change: dict[str, Any]) -> Variant:
    return replace(variant, mistakes=(*variant.mistakes, name), **change)


def _switches(norm: Norm, dims: int) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Each switch is a list of its wrong positions: the mistake's name, and what it changes."""
    yield [("swapped", {"affine": "swapped"}), ("no gamma", {"affine": "no gamma"}),
           ("no beta", {"affine": "no beta"}), ("shift first", {"affine": "shift first"})]  # fmt: skip
    yield [("eps outside", {"eps": "outside"}), ("no eps", {"eps": "none"})]
    yield [("not the root", {"root": False})]
    yield [("unbiased output", {"unbiased": True})]
    if norm == "rms":
        yield [("centered", {"centered": True}), ("centered", {"centered": True, "around": "own mean"})]
    else:
        yield [("not centered", {"centered": False})]
        yield [("around zero", {"around": "zero"})]
    own = right_axes(norm, dims)
    axes: list[tuple[str, dict[str, Any]]] = []
    for size in range(dims, 0, -1):
        for over in combinations(range(dims), size):
            if over != own:
                name = "one mean" if len(over) == dims else "wrong axis"
                axes.append((name, {"mean_over": over, "var_over": over}))
                axes.append((name, {"mean_over": over}))
                if norm != "rms":
                    axes.append((name, {"mean_over": over, "around": "that mean"}))
                name = name if name == "wrong axis" else "one variance"
                axes.append((name, {"var_over": over}))
                axes.append((name, {"var_over": over, "around": "that mean"}))
    yield axes


def error(found: Tensor, expected: Tensor) -> float:
    """The largest error, relative to its channel's largest value."""
    if found.shape != expected.shape:
        return float("inf")
    channels = expected.shape[1] if expected.dim() > 1 else 1
    f, e = (t.double().reshape(t.shape[0], channels, -1).transpose(0, 1).flatten(1) for t in (found, expected))
    e, f = (torch.where(e.isnan() & f.isnan(), 0.0, t) for t in (e, f))  # NaN where NaN belongs is no error
    scale = e.abs().amax(1, keepdim=True) + 1e-6 * e.abs().max() + 1e-30
    worst = ((f - e).abs() / scale).max().item()
    return worst if worst == worst else float("inf")
