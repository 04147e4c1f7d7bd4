"""Axes: which values have a tick, how they are written, and where a value stands in pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Span:
    """The values from `low` to `high` on the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def held(self, value: float) -> float:
        """Where a value stands; values beyond the ends stand at the ends."""
        return self(min(max(value, self.low), self.high))


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """At most `most` round values from `low` to `high`; `whole` allows only whole numbers."""
    width = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(width / most))
    sizes = [step * power * ten for ten in (1, 10) for step in STEPS]
    step = next(
        size
        for size in [*sizes, 1.0, 2.0, 5.0, width]
        if (not whole or size == round(size) >= 1) and math.floor(high / size) - math.ceil(low / size) < most
    )
    return [round(step * place, 12) for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def texts(values: Sequence[float], *, sign: bool = False) -> list[str]:
    """The values with as many decimals as they need; `sign` puts + before those above 0."""
    digits = max((_decimals(value) for value in values), default=0)
    return [f"{'+' if sign and value > 0 else ''}{value + 0.0:.{digits}f}" for value in values]


def _decimals(value: float) -> int:
    text = f"{value:.10f}".rstrip("0")
    return len(text) - text.index(".") - 1


def limits(inner: Sequence[float], outer: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis: it shows all of `inner`, and `outer` only as far as `inner` stays readable."""
    low, high = min(inner), max(inner)
    room = (high - low) or 0.02 * abs(high) or 1.0
    low, high = max(min([*outer, low]), low - room), min(max([*outer, high]), high + room)
    margin = 0.05 * (high - low) or room
    return low - margin, high + margin
