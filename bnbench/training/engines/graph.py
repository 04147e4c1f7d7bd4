"""Records the operations of a training step, so that they can be replayed without the layers' Python code.

A step of a small network takes much of its time in Python and in autograd's bookkeeping. `make_fx` runs the step
once and records every operation of the forward and of the backward pass, in its order. The replay calls the same
kernels on the same values, so that it gives the same bits. It is of one shape: another batch size is another trace.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from bnbench.training.engines.simplify import simplify
from bnbench.training.network import Batch

# (images, labels) → [logits, loss, *gradients of the parameters that are trained]
Replay = Callable[[Tensor, Tensor], Sequence[Any]]


class Untraceable(Exception):
    """A step cannot be traced, or its replay does not give the bits of the eager engine."""


@dataclass(frozen=True)
class Trace:
    """A recorded step of one shape. `once` makes the views of the state that every step needs."""

    once: fx.GraphModule  # (*parameters, *buffers) → tensors
    step: fx.GraphModule  # (*parameters, *buffers, *tensors, images, labels) → as Replay

    def of(self, state: Sequence[Tensor]) -> Replay:
        """The step with the parameters and buffers `state`, which it finds in the same memory at every call."""
        with torch.no_grad():
            return partial(self.step.forward, *state, *self.once.forward(*state))


def trace(models: Sequence[nn.Module], batch: Batch) -> Trace:
    """Record the step of one model, or of several equal models as one stacked model.

    `batch` has images (S, N, 1, 28, 28) and labels (S, N) for S models. Of several models, every input and output of
    the replay is stacked, (S, ...), and the loss is None. Of one model, nothing is stacked, and the batch's images
    are (N, 1, 28, 28). The replay changes the buffers in place, as the models do.

    Raises Untraceable where a step depends on a number that must be read from a tensor, or on something else that a
    trace cannot record.
    """
    from torch.fx.experimental.proxy_tensor import make_fx  # it imports torch's compiler, which takes a second

    model = models[0]
    names = [name for name, _ in (*model.named_parameters(), *model.named_buffers())]
    trained = [number for number, p in enumerate(model.parameters()) if p.requires_grad]

    def forward(*inputs: Tensor) -> Tensor:
        *state, images = inputs
        logits: Tensor = torch.func.functional_call(model, dict(zip(names, state, strict=True)), (images,))
        return logits

    def step(*inputs: Tensor) -> list[Tensor | None]:
        *state, images, labels = inputs
        logits = forward(*state, images)
        loss = F.cross_entropy(logits, labels)
        return [logits, loss, *torch.autograd.grad(loss, [state[i] for i in trained], allow_unused=True)]

    def stacked_step(*inputs: Tensor) -> list[Tensor | None]:
        *state, images, labels = inputs
        logits = torch.func.vmap(forward)(*state, images)
        # The sum over all networks gives each its own gradient: that of the mean over its N images.
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / labels.shape[1]
        return [logits, None, *torch.autograd.grad(loss, [state[i] for i in trained], allow_unused=True)]

    # Copies, because a trace runs the step, and the step changes the buffers.
    each = [[*one.parameters(), *one.buffers()] for one in models]
    state = [
        torch.stack(tensors).detach() if len(models) > 1 else tensors[0].detach().clone()
        for tensors in zip(*each, strict=True)
    ]
    for number in trained:
        state[number].requires_grad_()
    inputs = batch if len(models) > 1 else Batch(batch.images[0], batch.labels[0])
    try:
        graph = make_fx(stacked_step if len(models) > 1 else step)(*state, *inputs)
    except Exception as error:
        raise Untraceable(f"its step cannot be traced ({' '.join(str(error).split()):.100})") from error
    once = fx.GraphModule(graph, simplify(graph.graph, len(state)))
    graph.recompile()
    return Trace(once, graph)
