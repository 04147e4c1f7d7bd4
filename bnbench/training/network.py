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
    """`images` (N, 1, 28, 28) and `labels` (N,) int64 of one training step, or of S networks: (S, N, ...)."""

    images: Tensor
    labels: Tensor

    def each(self) -> "list[Batch]":
        """The batch of each of the S networks."""
        return [Batch(images, labels) for images, labels in zip(self.images, self.labels, strict=True)]


class Forward(NamedTuple):
    """`logits` (N, 10) and mean `loss` () of one training step, without their graphs.

    The loss is None if the engine leaves it to the loop, which then computes it from the logits.
    """

    logits: Tensor
    loss: Tensor | None


class Engine(Protocol):
    """Makes the training steps of several networks. The reference is engines/eager.py."""

    @property
    def name(self) -> str:
        """The engine's name in run.json."""

    def backward(self, batch: Batch) -> Sequence[Forward]:
        """Run each network's forward and backward pass on its own images of `batch`, (S, N, ...).

        Set every parameter's `.grad` if there are probes: the stacked engine, which does not, is not used with them.
        """

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
