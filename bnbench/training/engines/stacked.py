"""The stacked engine: several networks of one shape as one network, whose every tensor has a leading dimension.

A step of a small network has about as many operations as microseconds to spare for each. One operation on ten
networks costs much less than ten operations. Each network keeps its own images, parameters and statistics, and gets
the bits that it gets alone: a product of stacked matrices, a sum within a network and arithmetic do not mix networks.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bnbench.training.engines.graph import Replay, Untraceable, trace
from bnbench.training.network import Batch, Forward, Network
from bnbench.training.optimizers import SGD


class Stacked:
    """Makes one training step of several networks at once.

    Their parameters, buffers and optimizer states become views of the stacked ones, so that evaluation and checkpoints
    see each network as it is. It sets no `.grad` of theirs. Their optimizers must be SGD with equal numbers.
    """

    name = "stacked"

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._replays: dict[torch.Size, Replay] = {}
        self._state: list[Tensor] = []  # parameters and buffers, (S, ...)
        self._trained: list[Tensor] = []
        self._optimizer: SGD | None = None

    def backward(self, batch: Batch) -> list[Forward]:
        """Run each network's forward and backward pass on its own images of `batch`, (S, N, ...)."""
        replay = self._replays.get(batch.labels.shape)
        if replay is None:
            traced = trace([n.model for n in self._networks], batch)
            if self._optimizer is None:
                self._optimizer = self._stack()
            replay = self._replays[batch.labels.shape] = traced.of(self._state)
        with torch.inference_mode():
            logits, _, *gradients = replay(*batch)
        for parameter, gradient in zip(self._trained, gradients, strict=True):
            parameter.grad = gradient
        return [Forward(own, None) for own in logits]

    def update(self) -> None:
        """Make the optimizer step of all networks at once."""
        assert self._optimizer is not None
        self._optimizer.lr = self._networks[0].optimizer.lr  # a schedule may have set it
        new = not any(self._optimizer.states)
        self._optimizer.step()
        if new:
            self._share_states()

    def _stack(self) -> SGD:
        """Stack the networks' tensors; the networks keep views of them."""
        first = self._networks[0].optimizer
        if not isinstance(first, SGD) or any(_numbers(n.optimizer) != _numbers(first) for n in self._networks):
            raise Untraceable("it needs networks that train by SGD with the same numbers")
        parameters = list(zip(*(network.model.parameters() for network in self._networks), strict=True))
        buffers = list(zip(*(network.model.buffers() for network in self._networks), strict=True))
        self._state = [_share(tensors) for tensors in (*parameters, *buffers)]
        stacked = {own[0]: new for own, new in zip(parameters, self._state, strict=False)}
        self._trained = [new for own, new in stacked.items() if own.requires_grad]
        optimizer = copy.copy(first)
        optimizer.parameters = [stacked[parameter] for parameter in first.parameters]
        states = zip(*(network.optimizer.states for network in self._networks), strict=True)  # type: ignore[attr-defined]
        optimizer.states = [{name: torch.stack([one[name] for one in own]) for name in own[0]} for own in states]
        self._optimizer = optimizer
        self._share_states()
        return optimizer

    def _share_states(self) -> None:
        assert self._optimizer is not None
        for number, network in enumerate(self._networks):
            network.optimizer.states = [  # type: ignore[attr-defined]
                {name: value[number] for name, value in state.items()} for state in self._optimizer.states
            ]


def _share(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors as one, (S, ...); each becomes a view of it."""
    stacked = torch.stack([tensor.detach() for tensor in tensors])
    for tensor, view in zip(tensors, stacked, strict=True):
        tensor.data = view
    return stacked


def _numbers(optimizer: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(optimizer).items() if name not in ("parameters", "states")}
