"""Measures of single runs → paired effects, one for each seed. Pure functions.

A value may be known only to lie above or below a bound, as the steps of a run that never reached its target. A diverged
run has a place in every measure:

    accuracy          the share of the largest class, as if the network always answered it
    loss              above 1,000, where bnbench calls a run diverged
    steps to a target more than the run was planned to have, even if it reached the target before
    usable rate       the rate is not usable
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bnbench.analysis.statistics import Difference, mean_interval
from bnbench.errors import ConfigError
from bnbench.runs.format import DIVERGED_LOSS


@dataclass(frozen=True)
class Value:
    """A measure of one run. It lies in [low, high]; `value` is the bound if it is known from one side only.

    >>> Value.known(0.5)
    Value(value=0.5, low=0.5, high=0.5)
    >>> Value.at_least(1875)
    Value(value=1875, low=1875, high=inf)
    """

    value: float
    low: float
    high: float

    @classmethod
    def known(cls, value: float) -> "Value":
        return cls(value, value, value)

    @classmethod
    def at_least(cls, bound: float) -> "Value":
        return cls(bound, bound, math.inf)

    @classmethod
    def at_most(cls, bound: float) -> "Value":
        return cls(bound, -math.inf, bound)

    def __sub__(self, other: "Value") -> "Value":
        return Value(self.value - other.value, self.low - other.high, self.high - other.low)

    def __neg__(self) -> "Value":
        return Value(-self.value, -self.high, -self.low)

    def log(self) -> "Value":
        """The natural logarithm. Raises ConfigError if the value is not above 0."""
        if self.value <= 0:
            raise ConfigError(f"a ratio needs values above 0, and one is {self.value:g}")
        return Value(math.log(self.value), -math.inf if self.low <= 0 else math.log(self.low), _log(self.high))


def _log(value: float) -> float:
    return value if math.isinf(value) else math.log(value)


def diverged_accuracy(largest_class: float) -> Value:
    """The place of a diverged run among accuracies: the share of the largest class of the images, 0.1135 for MNIST."""
    return Value.known(largest_class)


def diverged_loss() -> Value:
    """The place of a diverged run among losses: above 1,000."""
    return Value.at_least(DIVERGED_LOSS)


def never(planned_steps: int) -> Value:
    """The steps to a target of a run that did not reach it, or that diverged: more than it was planned to have."""
    return Value.at_least(planned_steps)


@dataclass(frozen=True)
class Interval:
    """A mean effect with its standard error and degrees of freedom, over seeds, or over seeds and images."""

    mean: float
    se: float
    df: float

    @classmethod
    def of_values(cls, values: Sequence[float]) -> "Interval":
        """The t interval over seeds. At least two values."""
        of = mean_interval(values)
        assert of.sd is not None
        return cls(of.mean, of.sd / math.sqrt(of.n), of.n - 1)

    @classmethod
    def of_difference(cls, of: Difference) -> "Interval | None":
        """The interval of `bnbench.analysis.intervals.difference`. None if it has none."""
        return None if of.se is None or of.df is None else cls(of.mean, of.se, of.df)


@dataclass(frozen=True)
class Paired:
    """One paired effect for each seed, in the unit of the claim.

    Parameters
    ----------
    values
        First arm minus second; log(first / second) for a ratio. Positive where the claim says that the first is larger.
        For `exact`, one value for each run.
    low, high
        What is known of each value where a run was censored: it lies in [low, high]; -inf or inf where nothing is known
        on that side. None if every value is known.
    interval
        The crossed interval (bnbench/analysis/crossed.py) of the same effect. None: the t interval over seeds. It is
        not used if a value is censored.
    step
        The resolution of the measure: one step of the grid of learning rates, one epoch, one image. The interval
        reaches at least one step to each side, because equal values do not show that the truth is that value.
    missing
        Planned seeds without a value. One is enough to make the claim inconclusive.
    diverged
        Seeds with a diverged run. Their values come from the place of a diverged run.
    sd, sd_images
        The spread that the claim declares. The interval is never narrower than this spread makes it: a few seeds often
        miss the one seed of ten that is far away, and then their own spread is too small.
    """

    values: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    interval: Interval | None = None
    step: float = 0.0
    missing: int = 0
    diverged: int = 0
    sd: float = 0.0
    sd_images: float = 0.0

    @classmethod
    def of(cls, effects: Iterable[Value], *, step: float = 0.0, missing: int = 0, diverged: int = 0) -> "Paired":
        """From one effect for each seed. Without censored ones, `low` and `high` are None.

        >>> Paired.of([Value.known(2.0), Value.known(1.0) - Value.at_least(3.0)]).low
        (2.0, -inf)
        """
        effects = list(effects)
        if all(effect.low == effect.high for effect in effects):
            return cls(tuple(effect.value for effect in effects), step=step, missing=missing, diverged=diverged)
        values, low, high = zip(*((effect.value, effect.low, effect.high) for effect in effects), strict=True)
        return cls(values, low, high, None, step, missing, diverged)

    @property
    def lowest(self) -> tuple[float, ...]:
        return self.values if self.low is None else self.low

    @property
    def highest(self) -> tuple[float, ...]:
        return self.values if self.high is None else self.high

    @property
    def known(self) -> bool:
        """Whether no value is censored."""
        return self.low is None and self.high is None

    @property
    def estimate(self) -> Interval:
        """The interval of the values as they stand, censored ones at their bounds."""
        return self.interval if self.interval is not None and self.known else Interval.of_values(self.values)

    def __neg__(self) -> "Paired":
        """The same effects of second minus first."""

        def minus(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
            return None if values is None else tuple(-value for value in values)

        interval = None if self.interval is None else replace(self.interval, mean=-self.interval.mean)
        values = tuple(-value for value in self.values)
        return replace(self, values=values, low=minus(self.high), high=minus(self.low), interval=interval)


def differences(first: Mapping[int, Value], second: Mapping[int, Value], seeds: Iterable[int]) -> list[Value]:
    """First minus second for each of the seeds that both have."""
    return [first[seed] - second[seed] for seed in seeds if seed in first and seed in second]


def log_ratios(first: Mapping[int, Value], second: Mapping[int, Value], seeds: Iterable[int]) -> list[Value]:
    """log(first / second) for each of the seeds that both have. Raises ConfigError for a value that is not above 0."""
    return [first[seed].log() - second[seed].log() for seed in seeds if seed in first and seed in second]
