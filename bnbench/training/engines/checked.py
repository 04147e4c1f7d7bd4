"""Makes the first steps twice, by a fast engine and by the eager one, and compares every bit."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from bnbench.training.engines.eager import Eager
from bnbench.training.engines.graph import Untraceable
from bnbench.training.network import Batch, Engine, Forward, Network

CHECKED_STEPS = 3  # the first steps with each batch size

Say = Callable[[str], None]  # receives a message for the user


class Checked:
    """A fast engine that must give the bits of the eager engine, on this machine, from this start.

    If a number differs, or the step cannot be traced, `say` gets one message, and the engine `instead` takes over, from
    the state that the eager engine gives. `fast.backward` must raise Untraceable, with the networks as they were, where
    a step cannot be traced.
    """

    def __init__(self, networks: Sequence[Network], fast: Engine, instead: Engine, say: Say) -> None:
        self._networks = networks
        self._fast = fast
        self._instead = instead
        self._engine = fast
        self._say = say
        self._checked: dict[torch.Size, int] = {}  # steps so far, by the shape of the labels
        self._expected: tuple[Sequence[Network], Eager] | None = None

    @property
    def name(self) -> str:
        """The engine that makes the steps."""
        return self._engine.name

    def backward(self, batch: Batch) -> Sequence[Forward]:
        """Run each network's forward and backward pass on its own images of `batch`."""
        if self._engine is not self._fast:
            return self._engine.backward(batch)
        done = self._checked.get(batch.labels.shape, 0)
        if done == CHECKED_STEPS:
            return self._fast.backward(batch)
        self._checked[batch.labels.shape] = done + 1
        networks = copy.deepcopy(self._networks)
        eager = Eager(networks)
        expected = eager.backward(batch)
        self._expected = networks, eager
        try:
            forward = self._fast.backward(batch)
        except Untraceable as reason:
            self._give_up(str(reason))
            return expected
        if not all(torch.equal(a.logits, b.logits) for a, b in zip(forward, expected, strict=True)):
            self._give_up("it does not give the same bits on this machine")
            return expected
        return forward

    def update(self) -> None:
        """Make each network's optimizer step with these gradients."""
        if self._expected is None:
            self._engine.update()
            return
        networks, eager = self._expected
        for network, copied in zip(self._networks, networks, strict=True):
            copied.optimizer.lr = network.optimizer.lr  # a schedule may have set it since the copy
        eager.update()
        if self._engine is self._fast:
            self._fast.update()
            same = all(map(_same, self._networks, networks))
            if not same:
                self._give_up("it does not give the same bits on this machine")
        if self._engine is not self._fast:
            for network, right in zip(self._networks, networks, strict=True):
                network.model.load_state_dict(right.model.state_dict())
                network.optimizer.load_state_dict(right.optimizer.state_dict())
        self._expected = None

    def _give_up(self, reason: str) -> None:
        self._engine = self._instead
        self._say(f"trains by the {self._instead.name} engine, not the {self._fast.name} one: {reason}")


def _same(a: Network, b: Network) -> bool:
    """Whether two networks have the same parameters, buffers and optimizer state, bit for bit."""
    pairs = zip(_values(a), _values(b), strict=True)
    return all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in pairs)


def _values(network: Network) -> Iterator[Any]:
    yield from network.model.state_dict().values()
    for _, state in sorted(network.optimizer.state_dict()["state"].items()):
        yield from (state[name] for name in sorted(state))
