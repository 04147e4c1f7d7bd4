"""Records the operations of a training step, so that they can be replayed without the layers' Python code.

A step of a small network takes much of its time in Python and in autograd's bookkeeping. `make_fx` runs the step
once and records every operation of the forward and of the backward pass, in its order. The replay calls the same
kernels on the same values, so that it gives the same bits. It is of one shape: another batch size is another trace.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from bnbench.training.network import Batch

# (*parameters, *buffers, images, labels) → [logits, loss, *gradients of the parameters that are trained]
Replay = Callable[..., Sequence[Any]]

aten = torch.ops.aten
RESHAPES = (aten.view.default, aten._unsafe_view.default, aten.expand.default)
SAME = (aten.detach.default, aten.alias.default)
VIEWS = (*RESHAPES, *SAME, aten.t.default, aten.transpose.int, aten.squeeze.dims, aten.unsqueeze.default)
# Operations that give the same bits whenever they get the same values; a trace need not make them twice.
ARITHMETIC = (aten.div.Tensor, aten.mul.Tensor, aten.sub.Tensor, aten.add.Tensor, aten.sqrt.default, aten.neg.default)


class Untraceable(Exception):
    """A step cannot be traced, or its replay does not give the bits of the eager engine."""


def trace(models: Sequence[nn.Module], batch: Batch) -> Replay:
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
    _simplify(graph.graph)
    graph.recompile()
    return graph.forward


def _simplify(graph: fx.Graph) -> None:
    """Remove operations that change no bit: autograd and vmap need them, a replay does not."""
    changed = {_root(node.args[0]) for node in graph.nodes if _is_in_place(node)}
    seen: dict[Any, fx.Node] = {}
    for node in graph.nodes:
        constant = not changed & {_root(argument) for argument in node.all_input_nodes}
        if (same := _same_as(node, constant)) is not None:
            _replace(graph, node, same)
        elif (product := _product_with_bias(node)) is not None:
            with graph.inserting_before(node):
                _replace(graph, node, graph.call_function(aten.baddbmm.default, product))
        elif constant and node.target in ARITHMETIC and not node.kwargs:
            key = (node.target, node.args)
            if key in seen:
                _replace(graph, node, seen[key])
            else:
                seen[key] = node


def _replace(graph: fx.Graph, old: fx.Node, new: fx.Node) -> None:
    old.replace_all_uses_with(new)
    graph.erase_node(old)


def _same_as(node: fx.Node, constant: bool) -> fx.Node | None:
    """The input that `node` returns as it is, or a copy of it; None if it does something."""
    if not node.args or not isinstance(node.args[0], fx.Node):
        return None
    source = node.args[0]
    if node.target in SAME:
        return source
    if node.target in RESHAPES:
        return source if _shape(node) == _shape(source) is not None else None
    if node.target in (aten.pow.Tensor_Scalar, aten.mul.Scalar) and node.args[1] == 1:
        return source if constant else None
    return None


def _product_with_bias(node: fx.Node) -> tuple[fx.Node, ...] | None:
    """(bias, input, weight) if `node` adds a bias to a stacked matrix product; None else.

    A linear layer is one operation, which starts from the bias. vmap makes two of it, which round differently.
    """
    if node.target is not aten.add.Tensor or len(node.args) != 2 or node.kwargs:
        return None
    bias, product = node.args
    if not isinstance(bias, fx.Node) or not isinstance(product, fx.Node) or product.target is not aten.bmm.default:
        return None
    left, right = product.args
    assert isinstance(left, fx.Node) and isinstance(right, fx.Node)
    return bias, left, right


def _is_in_place(node: fx.Node) -> bool:
    """Whether an operation changes its first argument: PyTorch's names of such operations end with an underscore."""
    return node.op == "call_function" and getattr(node.target, "__name__", "").split(".")[0].endswith("_")


def _root(node: Any) -> Any:
    """The node whose memory `node` shares."""
    while isinstance(node, fx.Node) and (node.target in VIEWS or _is_in_place(node)):
        node = node.args[0]
    return node


def _shape(node: fx.Node) -> Any:
    value = node.meta.get("val")
    return None if value is None else tuple(value.shape)
