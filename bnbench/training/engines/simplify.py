"""Removes operations from a recorded step that change no bit of what it gives.

Autograd and vmap need them, and so does readable code. Each operation of a small network takes some microseconds,
whatever it does, so a step with fewer of them is faster.
"""

from typing import Any

import torch
from torch import fx

aten = torch.ops.aten
RESHAPES = (aten.view.default, aten._unsafe_view.default, aten.expand.default)
SAME = (aten.detach.default, aten.alias.default)
TRANSPOSES = (aten.t.default, aten.transpose.int)
VIEWS = (*RESHAPES, *SAME, *TRANSPOSES, aten.squeeze.dims, aten.unsqueeze.default)
# Operations that give the same bits whenever they get the same values; a trace need not make them twice.
ARITHMETIC = (aten.div.Tensor, aten.mul.Tensor, aten.sub.Tensor, aten.add.Tensor, aten.sqrt.default, aten.neg.default)
BROADCASTING = ARITHMETIC[:4]
BY_A_NUMBER = (aten.div.Scalar, aten.mul.Scalar)


def simplify(graph: fx.Graph, state: int) -> fx.Graph:
    """Simplify the step `graph` in place; return a graph of what every step finds as it was.

    The first `state` inputs of the step are the parameters and buffers, which stay in their memory. The returned graph
    makes their views, and constants, once: (*state) → tensors. The step gets these tensors after the state.
    """
    changed = {_root(node.args[0]) for node in graph.nodes if _is_in_place(node)}
    seen: dict[Any, fx.Node] = {}
    for node in graph.nodes:
        constant = not changed & {_root(argument) for argument in node.all_input_nodes}
        if (same := _same_as(node, constant)) is not None:
            _replace(node, same)
        elif (product := _product_with_bias(node)) is not None:
            _replace(node, _insert(node, aten.baddbmm.default, product))
        elif (total := _sum_without_keepdim(node)) is not None:
            _replace(node, _insert(node, aten.sum.dim_IntList, total))
        elif (small := _before_expand(node)) is not None:
            node.args = (small, node.args[1])
        elif (average := _moved_average(node)) is not None:
            running, factor, new, alpha = average
            shrunk = _insert(node, aten.mul_.Tensor, (running, factor))
            _replace(node, _insert(node, aten.add_.Tensor, (shrunk, new), alpha))
        elif constant and node.target in ARITHMETIC and not node.kwargs:
            key = (node.target, node.args)
            if key in seen:
                _replace(node, seen[key])
            else:
                seen[key] = node
    for node in reversed(graph.nodes):  # what is no longer used
        if node.target in (*VIEWS, *ARITHMETIC, aten.sum.dim_IntList, aten.bmm.default) and not node.users:
            graph.erase_node(node)
    return _hoist(graph, state)


def _insert(before: fx.Node, target: Any, arguments: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> fx.Node:
    with before.graph.inserting_before(before):
        node = before.graph.call_function(target, arguments, kwargs)
    node.meta = dict(before.meta)
    return node


def _replace(old: fx.Node, new: fx.Node) -> None:
    old.replace_all_uses_with(new)
    old.graph.erase_node(old)


def _same_as(node: fx.Node, constant: bool) -> fx.Node | None:
    """The input that `node` returns as it is, or a copy of it; None if it does something."""
    if not node.args or not isinstance(node.args[0], fx.Node):
        return None
    source = node.args[0]
    if node.target in SAME:
        return source
    if node.target in RESHAPES:
        return source if _shape(node) == _shape(source) is not None else None
    if node.target in TRANSPOSES and source.target is node.target and source.args[1:] == node.args[1:]:
        return source.args[0] if isinstance(source.args[0], fx.Node) else None  # transposed twice
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


def _sum_without_keepdim(node: fx.Node) -> tuple[Any, ...] | None:
    """(values, dimensions) if `node` is a view of their sum which only drops the dimensions of length 1; None else."""
    if node.target is not aten.view.default:
        return None
    total = node.args[0]
    assert isinstance(total, fx.Node)
    if total.target is not aten.sum.dim_IntList or len(total.args) != 3 or total.kwargs or len(total.users) > 1:
        return None
    (values, over, _), shape = total.args, _shape(total)
    assert isinstance(over, list)
    if shape is None or _shape(node) != tuple(n for d, n in enumerate(shape) if d not in over):
        return None
    return values, over


def _before_expand(node: fx.Node) -> fx.Node | None:
    """What `node` multiplies or divides by a number, before it is expanded, if all that use it expand it too.

    Their results must have the same memory layout as before, since a sum over another layout rounds differently.
    """
    if node.target not in BY_A_NUMBER:
        return None
    expanded = node.args[0]
    assert isinstance(expanded, fx.Node)
    if expanded.target is not aten.expand.default:
        return None
    for user in node.users:
        others = [other for other in user.all_input_nodes if other is not node]
        if user.target not in BROADCASTING or [_shape(other) for other in others] != [_shape(node)]:
            return None
        if others[0].meta["val"].stride() != user.meta["val"].stride():
            return None
    small = expanded.args[0]
    assert isinstance(small, fx.Node)
    return small


def _moved_average(node: fx.Node) -> tuple[fx.Node, Any, Any, dict[str, Any]] | None:
    """(r, factor, new, alpha) if `node` copies r · factor + alpha · new to r (see `move_average`); None else."""
    if node.target is not aten.copy_.default:
        return None
    running, added = node.args[:2]
    assert isinstance(running, fx.Node) and isinstance(added, fx.Node)
    if added.target is not aten.add.Tensor or len(added.users) > 1:
        return None
    shrunk, new = added.args
    if not isinstance(shrunk, fx.Node) or shrunk.target is not aten.mul.Tensor or len(shrunk.users) > 1:
        return None
    if shrunk.args[0] is not running or isinstance(shrunk.args[1], fx.Node) or shrunk.kwargs:
        return None
    return running, shrunk.args[1], new, dict(added.kwargs)


def _hoist(graph: fx.Graph, state: int) -> fx.Graph:
    """Move the views of the state, and constants, from `graph` to a graph of their own, and return that."""
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    once = fx.Graph()
    moved: dict[fx.Node, fx.Node] = {node: once.placeholder(node.name) for node in inputs[:state]}
    for node in graph.nodes:
        if node.target in VIEWS and node.args[0] in moved:
            moved[node] = once.node_copy(node, lambda argument: moved[argument])
        elif node.target is aten.ones_like.default and _shape(node) is not None:
            kind = {"dtype": node.meta["val"].dtype, "device": node.meta["val"].device}
            moved[node] = once.call_function(torch.ones, (_shape(node),), kind)
    needed = [node for node in moved if node not in inputs and any(user not in moved for user in node.users)]
    once.output([moved[node] for node in needed])
    for node in needed:
        with graph.inserting_before(inputs[state]):
            given = graph.placeholder(f"once_{node.name}")
        given.meta = dict(node.meta)
        node.replace_all_uses_with(given, delete_user_cb=lambda user: user not in moved)
    for node in reversed(moved):
        if node not in inputs:
            graph.erase_node(node)
    return once


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
