"""The `evaluations` of a config: by which statistics the final network is evaluated besides. No torch here.

    evaluations: [running, precise, {batch: 4}, {momentum: 0.01}]

They change nothing in training, so they are not part of the arm. runs/evaluations.py has the table that they give.
"""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from bnbench.config.base import Strict

MAX_BATCH = 1_000_000  # images
Kind = Literal["running", "precise", "batch", "momentum"]
KINDS: tuple[Kind, ...] = ("running", "precise", "batch", "momentum")


class BatchStatistics(Strict):
    """Batches of `batch` images, each normalized by its own statistics."""

    batch: int = Field(ge=1, le=MAX_BATCH)


class MovingAverage(Strict):
    """Running statistics that are kept with another momentum during training: the weight of the new batch."""

    momentum: float = Field(gt=0, le=1)


Evaluation = Literal["running", "precise"] | BatchStatistics | MovingAverage


def label(evaluation: Evaluation) -> str:
    """The name of an evaluation in tables: running, precise, batch=4, momentum=0.01."""
    if isinstance(evaluation, BatchStatistics):
        return f"batch={evaluation.batch}"
    return f"momentum={evaluation.momentum!r}" if isinstance(evaluation, MovingAverage) else evaluation


def order(name: str) -> tuple[int, float]:
    """The place of an evaluation, by its label, in a table. Raises ValueError for what is not a label."""
    kind, _, number = name.partition("=")
    if name in ("running", "precise"):
        return KINDS.index(name), 0
    value = int(number) if kind == "batch" else float(number)
    if name != f"{kind}={value!r}" or kind not in ("batch", "momentum"):
        raise ValueError(f"{name!r} is not an evaluation")
    return KINDS.index(kind), value


def momenta(evaluations: Iterable[Evaluation]) -> tuple[float, ...]:
    """The momenta of the moving averages among `evaluations`."""
    return tuple(one.momentum for one in evaluations if isinstance(one, MovingAverage))


def parse(value: Any) -> list[Evaluation]:
    """The value of the key `evaluations`. Raises ValueError with a message for users."""
    if not isinstance(value, list):
        raise ValueError(f"must be a list, as in [running, precise, {{batch: 4}}]; got {value!r:.60}")
    evaluations = [_parse_one(one) for one in value]
    names = [label(one) for one in evaluations]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"names {twice[0]} twice")
    return evaluations


def _parse_one(value: Any) -> Evaluation:
    if isinstance(value, BatchStatistics | MovingAverage):
        return value
    if value in ("running", "precise"):
        return "running" if value == "running" else "precise"
    if isinstance(value, dict) and len(value) == 1:
        ((key, number),) = value.items()
        if key == "batch":
            if type(number) is int and 1 <= number <= MAX_BATCH:
                return BatchStatistics(batch=number)
            raise ValueError(f"batch must be a number of images from 1 to {MAX_BATCH:,}; got {number!r:.60}")
        if key == "momentum":
            if type(number) in (int, float) and 0 < number <= 1:
                return MovingAverage(momentum=float(number))
            raise ValueError(f"momentum must be a number above 0 and at most 1; got {number!r:.60}")
    raise ValueError(f"{value!r:.60} is unknown; use running, precise, {{batch: 4}} or {{momentum: 0.01}}")
