"""What a run tells while it trains, to whoever shows it: here, from a worker process or from a cluster."""

from collections.abc import Callable
from dataclasses import dataclass

from bnbench.runs.format import EpochRow


@dataclass(frozen=True)
class Began:
    """Training starts, after `epochs` epochs that an earlier start had finished."""

    epochs: int


@dataclass(frozen=True)
class Measurement:
    """A number that a probe took inside training, after `step` updates."""

    step: int
    name: str
    value: float


@dataclass(frozen=True)
class Notice:
    """Something to say that changes what a person expects."""

    text: str


Event = Began | EpochRow | Measurement | Notice
Report = Callable[[Event], None]
