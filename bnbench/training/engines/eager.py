"""The reference engine: the step that every PyTorch tutorial writes, one network after the other."""

from collections.abc import Sequence

import torch.nn.functional as F

from bnbench.training.network import Batch, Forward, Network


class Eager:
    """Takes one training step of every network, in two halves: `backward`, then `update`."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def backward(self, batches: Sequence[Batch]) -> list[Forward]:
        """The forward and the backward pass of each network on its own batch; the gradients are in `.grad` then."""
        forward = []
        for network, batch in zip(self._networks, batches, strict=True):
            network.optimizer.zero_grad()
            logits = network.model(batch.images)
            loss = F.cross_entropy(logits, batch.labels)
            loss.backward()  # type: ignore[no-untyped-call]
            forward.append(Forward(logits.detach(), loss.detach()))
        return forward

    def update(self) -> None:
        """Each optimizer's step by the gradients of the last backward pass."""
        for network in self._networks:
            network.optimizer.step()
