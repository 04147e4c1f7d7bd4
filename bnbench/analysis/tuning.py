"""The tuning rule: from the results over a fixed grid to a choice. Numbers in, numbers out; no torch.

    choose({(0.1,): {7: 0.91, 8: 0.93}, (1.0,): {7: 0.95, 8: None}}).value   # (0.1,): a run diverged at 1

The rule is fixed before the first run:

1. Every value of the grid is trained with the same seeds.
2. A value at which a run diverged is the worst. It is never chosen.
3. The best mean over the seeds wins. Of equal means, the smaller value wins.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bnbench.analysis.statistics import difference

Value = tuple[float, ...]  # a number for each key of the grid
Results = Mapping[Value, Mapping[int, float | None]]  # the metric by seed; None: the run diverged

WITHIN = 0.01  # a value is near the best if it is at most one point worse
DIGITS = 12  # means that agree to so many digits are equal: the rest is rounding
WIDE = 1.5  # from this ratio of neighbours on, a grid is extended by a factor, else by a step

End = Literal["smallest", "largest"]


@dataclass(frozen=True)
class Edge:
    """The chosen value is the end of the grid on the axis with this number. `beyond` is a value outside."""

    axis: int
    end: End
    beyond: float


@dataclass(frozen=True)
class Choice:
    """What the rule chooses, and how flat the optimum is. Without a choice, a run diverged at every value.

    `near` has the values within a margin of the best mean, the best included. `perhaps` has those that the paired
    interval does not rule out. `smaller` and `larger` are the losses of one step to the side, for each axis: NaN
    outside the grid, infinite where a run diverged.
    """

    value: Value | None = None
    mean: float | None = None
    near: tuple[Value, ...] = ()
    perhaps: tuple[Value, ...] = ()
    smaller: tuple[float, ...] = ()
    larger: tuple[float, ...] = ()
    edges: tuple[Edge, ...] = ()


def choose(results: Results, *, lower_is_better: bool = False, within: float = WITHIN) -> Choice:
    """Apply the rule. `within` is the margin of `near`, in units of the metric.

    Raises ValueError if there are no results, or if the values do not have the same seeds.
    """
    if not results or len({frozenset(seeds) for seeds in results.values()}) != 1 or not min(map(len, results.values())):
        raise ValueError("the rule needs results, and the same seeds at each value")
    sign = -1 if lower_is_better else 1
    good = {  # larger is better; the smallest value first
        value: {seed: sign * result for seed, result in of.items() if result is not None}
        for value, of in sorted(results.items())
        if None not in of.values()
    }
    if not good:
        return Choice()
    means = {value: math.fsum(of.values()) / len(of) for value, of in good.items()}
    best = max(means, key=lambda value: round(means[value], DIGITS))  # of equal ones, the first
    loss = {value: means[best] - mean for value, mean in means.items()}
    near = [value for value in good if round(loss[value] - within, DIGITS) <= 0]
    axes = [sorted({value[axis] for value in results}) for axis in range(len(best))]
    return Choice(
        best,
        sign * means[best],
        tuple(near),
        tuple(value for value in good if value not in near and _perhaps(good[best], good[value], within)),
        tuple(_step(results, loss, best, axis, axes[axis], -1) for axis in range(len(best))),
        tuple(_step(results, loss, best, axis, axes[axis], 1) for axis in range(len(best))),
        tuple(edge for axis, values in enumerate(axes) if (edge := _edge(axis, values, best[axis]))),
    )


def _perhaps(best: Mapping[int, float], other: Mapping[int, float], within: float) -> bool:
    """Whether the paired interval of best minus other reaches below the margin."""
    gap = difference(best, other)
    return gap is not None and gap.low is not None and gap.low < within


def _step(
    results: Results, loss: Mapping[Value, float], best: Value, axis: int, values: list[float], to: Literal[-1, 1]
) -> float:
    """What one step from the best costs on an axis."""
    place = values.index(best[axis]) + to
    there = (*best[:axis], values[place], *best[axis + 1 :]) if 0 <= place < len(values) else None
    if there is None or there not in results:
        return math.nan
    return loss.get(there, math.inf)


def _edge(axis: int, values: list[float], best: float) -> Edge | None:
    if len(values) < 2 or best not in (values[0], values[-1]):
        return None
    end: End = "smallest" if best == values[0] else "largest"
    return Edge(axis, end, beyond(values, end))


def beyond(values: list[float], end: End) -> float:
    """The next value outside sorted values: a factor further as the last two, or a step if they lie close.

    >>> beyond([0.01, 0.03, 0.1, 0.3, 1], "largest"), beyond([16, 32, 64], "smallest"), beyond([0.7, 0.8], "largest")
    (3.0, 8, 0.9)
    """
    last, before = (values[0], values[1]) if end == "smallest" else (values[-1], values[-2])
    if min(last, before) > 0 and max(last, before) >= WIDE * min(last, before):
        further = last * last / before
        whole = isinstance(last, int) and further == int(further)
        return int(further) if whole else float(f"{further:.1g}")
    further = 2 * last - before
    return further if isinstance(further, int) else float(f"{further:.6g}")
