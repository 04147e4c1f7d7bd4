"""The traced engine: the eager engine's step, recorded once for each batch size (graph.py) and replayed.

The optimizer is not traced. It has few operations, and its numbers change from step to step (Adam's t, a schedule).
"""

from collections.abc import Sequence

import torch

from bnbench.training.engines.graph import Replay, trace
from bnbench.training.network import Batch, Forward, Network


class Traced:
    """Makes the training steps of several networks, one after another, by replaying the trace of each."""

    name = "traced"

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._states = [[*network.model.parameters(), *network.model.buffers()] for network in networks]
        self._trained = [[p for p in network.model.parameters() if p.requires_grad] for network in networks]
        self._replays: dict[torch.Size, list[Replay]] = {}

    def backward(self, batch: Batch) -> list[Forward]:
        """Run each network's forward and backward pass on its own images; set every parameter's `.grad`."""
        replays = self._replays.get(batch.labels.shape)
        if replays is None:
            replays = self._replays[batch.labels.shape] = [
                trace([network.model], Batch(images[None], labels[None])).of(state)
                for network, state, (images, labels) in zip(self._networks, self._states, batch.each(), strict=True)
            ]
        forward = []
        for replay, trained, own in zip(replays, self._trained, batch.each(), strict=True):
            with torch.inference_mode():
                logits, loss, *gradients = replay(*own)
            for parameter, gradient in zip(trained, gradients, strict=True):
                parameter.grad = gradient
            forward.append(Forward(logits, loss))
        return forward

    def update(self) -> None:
        """Make each optimizer step with these gradients."""
        for network in self._networks:
            network.optimizer.step()
