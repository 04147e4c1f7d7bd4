"""The types that the train loop, its engines and its probes exchange."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from bnbench.training.events import Measurement
from bnbench.training.optimizers import Optimizer


@dataclass(eq=False)
class Network:
    """One network in training. If `training` is set to False, the loop stops training it before the next epoch.

    `rate` gives the learning rate of a step, counted from 0; None keeps the optimizer's.
    """

    model: nn.Module
    optimizer: Optimizer
    seed: int
    training: bool = True
    rate: Callable[[int], float] | None = None


class Batch(NamedTuple):
    """`images` (N, 1, 28, 28) and `labels` (N,) int64 of one training step."""

    images: Tensor
    labels: Tensor


class Forward(NamedTuple):
    """`logits` (N, 10) and mean `loss` () of one training step, without their graphs."""

    logits: Tensor
    loss: Tensor


class Engine(Protocol):
    """Makes the training steps of several networks. The reference is engines/eager.py."""

    def backward(self, batches: Sequence[Batch]) -> Sequence[Forward]:
        """Run each network's forward and backward pass on its own batch; set every parameter's `.grad`."""

    def update(self) -> None:
        """Make each network's optimizer step with these gradients."""


# Builds an engine for the networks that train. It is called again when one of them has stopped.
MakeEngine = Callable[[Sequence[Network]], Engine]


@dataclass(frozen=True)
class Moment:
    """The time and the objects of a measurement. `step` counts the updates so far: 0 at the first backward pass."""

    step: int
    network: Network
    batch: Batch
    forward: Forward


class Probe(Protocol):
    """Measures in each training step, at two moments. It must not change the network or any random state."""

    def after_backward(self, moment: Moment) -> Iterable[Measurement]:
        """Measure when the gradients are set. The first call is at step 0, before the first update."""

    def after_update(self, moment: Moment) -> Iterable[Measurement]:
        """Measure after the optimizer's step."""
