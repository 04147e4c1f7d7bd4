"""The reference engine: the training step of every PyTorch tutorial, for one network after another."""

from collections.abc import Sequence

import torch.nn.functional as F

from bnbench.training.network import Batch, Forward, Network


class Eager:
    """Makes one training step of every network, in two calls: `backward`, then `update`."""

    name = "eager"

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def backward(self, batch: Batch) -> list[Forward]:
        """Run each network's forward and backward pass on its own batch; leave the gradients in `.grad`."""
        forward = []
        for network, (images, labels) in zip(self._networks, batch.each(), strict=True):
            network.optimizer.zero_grad()
            logits = network.model(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            forward.append(Forward(logits.detach(), loss.detach()))
        return forward

    def update(self) -> None:
        """Make each optimizer step with the gradients of the last backward pass."""
        for network in self._networks:
            network.optimizer.step()
