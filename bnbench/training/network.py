"""What the train loop, its engines and its probes pass to each other."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from bnbench.training.events import Measurement
from bnbench.training.optimizers import Optimizer


@dataclass(eq=False)
class Network:
    """One network in training. Whoever sets `training` to False takes it out of the loop before its next epoch."""

    model: nn.Module
    optimizer: Optimizer
    seed: int
    training: bool = True


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
        """The forward and the backward pass of each network; every parameter's `.grad` is set then."""

    def update(self) -> None:
        """The optimizer's step of each network, by these gradients."""


# Builds an engine for the networks that train; called again when one of them has left.
MakeEngine = Callable[[Sequence[Network]], Engine]


@dataclass(frozen=True)
class Moment:
    """When and on what a probe measures. `step` counts the updates made so far: 0 after the first backward pass."""

    step: int
    network: Network
    batch: Batch
    forward: Forward


class Probe(Protocol):
    """Measures inside training, at two moments. It changes neither the network nor any random state."""

    def after_backward(self, moment: Moment) -> Iterable[Measurement]:
        """What the gradients tell; the first call is step 0, before the first update."""

    def after_update(self, moment: Moment) -> Iterable[Measurement]:
        """What the update has changed."""
