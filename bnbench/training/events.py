"""The events that a run reports while it trains, in this process, in a worker or on a cluster."""

from collections.abc import Callable
from dataclasses import dataclass

from bnbench.runs.format import EpochRow


@dataclass(frozen=True)
class Started:
    """Training starts. `epochs` epochs are already finished: 0, or more if the run resumes.

    They are those of the run in the folder `shorter`, if the run continues a shorter one.
    """

    epochs: int
    shorter: str | None = None


@dataclass(frozen=True)
class Measurement:
    """A number that a probe measured during training, after `step` updates."""

    step: int
    name: str
    value: float


@dataclass(frozen=True)
class Notice:
    """A message for the user about something unexpected."""

    text: str


Event = Started | EpochRow | Measurement | Notice
Report = Callable[[Event], None]
