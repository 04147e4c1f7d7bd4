"""The checks of weight normalization, which has a layer's weights for its input."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bnbench import norms
from bnbench.norms import weight
from bnbench.verify import half
from bnbench.verify.checks import compare_derivatives
from bnbench.verify.rows import FLOAT32, FLOAT64, Errors
from bnbench.verify.subjects import inputs, upstream

Inputs = tuple[int, ...]
LAYERS: dict[Inputs, Callable[[], nn.Linear | nn.Conv2d]] = {
    (8, 5): lambda: nn.Linear(5, 7),
    (8, 3): lambda: nn.Linear(3, 1, bias=False),
    (4, 2, 6, 6): lambda: nn.Conv2d(2, 5, 3),
}


def _pair(shape: Inputs, dtype: torch.dtype) -> tuple[nn.Module, nn.Module, nn.Module]:
    """A layer as it is, by our weight norm and by PyTorch's, all of the same weights."""
    torch.manual_seed(0)
    plain = LAYERS[shape]().to(dtype)
    made = []
    for implementation in ("custom", "builtin"):
        layer = copy.deepcopy(plain)
        norms.WEIGHT_NORMS["weight"][implementation](layer)
        made.append(layer)
    return plain, made[0], made[1]


def _move_lengths(*layers: nn.Module) -> None:
    """Move g off ‖v‖, where it starts."""
    for layer in layers:
        g = layer.get_parameter("parametrizations.weight.original0")
        with torch.no_grad():
            g.mul_(torch.linspace(0.5, 2, g.numel(), dtype=g.dtype).view_as(g))


def starts_as_the_layer(dtype: torch.dtype) -> Errors:
    """g = ‖v‖ at first, which leaves the layer's function as it was."""
    errors = Errors()
    for shape in LAYERS:
        plain, ours, _ = _pair(shape, dtype)
        errors.compare(ours(inputs(shape, dtype)), plain(inputs(shape, dtype)), shape)
    return errors


def hundred_steps(dtype: torch.dtype) -> dict[str, Errors]:
    """Outputs and gradients against PyTorch's over 100 steps of gradient descent."""
    found = {"training output": Errors(), "gradients": Errors()}
    for shape in LAYERS:
        _, ours, theirs = _pair(shape, dtype)
        _move_lengths(ours, theirs)
        for step in range(100):
            for layer in (ours, theirs):
                layer.zero_grad()
            x = inputs(shape, dtype, step).requires_grad_()
            twin = x.detach().clone().requires_grad_()
            y, expected = ours(x), theirs(twin)
            where = f"input {shape}, step {step + 1}"
            found["training output"].compare(y, expected, where)
            for output in (y, expected):
                (output * upstream(tuple(output.shape), dtype, step)).sum().backward()
            assert x.grad is not None and twin.grad is not None
            found["gradients"].compare(x.grad, twin.grad, f"input of {where}")
            # Of g, a gradient is a difference of large terms: its scale is theirs.
            scale = max(p.grad.abs().max().item() for p in theirs.parameters() if p.grad is not None)
            for (name, parameter), other in zip(theirs.named_parameters(), ours.parameters(), strict=True):
                assert parameter.grad is not None
                own = torch.zeros_like(other) if other.grad is None else other.grad
                found["gradients"].compare(own, parameter.grad, f"{name} of {where}", scale=scale)
            with torch.no_grad():  # the same step for both, so that rounding does not grow
                for parameter, other in zip(theirs.parameters(), ours.parameters(), strict=True):
                    assert parameter.grad is not None
                    parameter.sub_(0.001 * parameter.grad)
                    other.copy_(parameter)
    return found


def gradcheck(dtype: torch.dtype) -> Errors | None:
    """Every partial derivative of w = g v / ‖v‖ against central differences."""
    if dtype != FLOAT64:
        return None
    errors = Errors()
    for shape in ((4, 3), (2, 3, 2, 2)):
        v, g = inputs(shape, dtype), inputs((shape[0], *[1] * (len(shape) - 1)), dtype, 1)
        compare_derivatives(errors, weight.weight_norm, [v, g], f"v {shape}")
    return errors


def published_gradients(dtype: torch.dtype) -> Errors:
    """∇g = ∇w·v / ‖v‖ and ∇v = g/‖v‖ ∇w - g ∇g/‖v‖² v (equation 3)."""
    errors = Errors()
    for shape in ((4, 3), (6, 20)):
        v = inputs(shape, dtype).requires_grad_()
        g = inputs((shape[0], 1), dtype, 1).requires_grad_()
        dw = upstream(shape, dtype)
        (weight.weight_norm(v, g) * dw).sum().backward()  # type: ignore[no-untyped-call]
        direction, length, lengths = v.detach().double(), g.detach().double(), v.detach().double().norm(dim=1)[:, None]
        dg = (dw * direction).sum(1, keepdim=True) / lengths
        dv = length / lengths * dw - length * dg / lengths**2 * direction
        assert v.grad is not None and g.grad is not None
        errors.compare(g.grad, dg, f"∇g of {shape}")
        errors.compare(v.grad, dv, f"∇v of {shape}")
    return errors


def gradient_is_across(dtype: torch.dtype) -> Errors:
    """⟨∇v, v⟩ = 0 for every unit: plain gradient descent never shrinks ‖v‖."""
    errors = Errors()
    for shape in LAYERS:
        _, ours, _ = _pair(shape, dtype)
        _move_lengths(ours)
        y = ours(inputs(shape, dtype))
        (y * upstream(tuple(y.shape), dtype)).sum().backward()
        v = ours.get_parameter("parametrizations.weight.original1")
        assert v.grad is not None
        along = (v.grad * v).flatten(1).sum(1)
        scale = (v.grad.flatten(1).norm(dim=1) * v.flatten(1).norm(dim=1)).max().item()
        errors.compare(along, torch.zeros_like(along), shape, scale=scale)
    return errors


def state_dict(dtype: torch.dtype) -> Errors:
    """The state goes into PyTorch's and back; of a deep copy, and in the other dtype, the layer is itself."""
    errors = Errors()
    for shape in LAYERS:
        _, ours, theirs = _pair(shape, dtype)
        _, again, _ = _pair(shape, dtype)
        _move_lengths(ours)
        theirs.load_state_dict(ours.state_dict())
        again.load_state_dict(theirs.state_dict())
        x = inputs(shape, dtype)
        errors.compare(theirs(x), ours(x), f"there: {shape}")
        errors.require(torch.equal(again(x), ours(x)), f"and back: {shape}")
        errors.require(torch.equal(copy.deepcopy(ours)(x), ours(x)), f"deep copy: {shape}")
        errors.compare(ours.double()(x.double()).to(dtype), theirs(x), f".to(float64): {shape}")
    return errors


def old_state(dtype: torch.dtype) -> Errors:
    """The keys of torch.nn.utils.weight_norm, PyTorch's older function, load."""
    errors = Errors()
    for shape in LAYERS:
        _, ours, again = _pair(shape, dtype)
        _move_lengths(ours)
        state = dict(ours.state_dict())
        for old, new in {"weight_g": "original0", "weight_v": "original1"}.items():
            state[old] = state.pop(f"parametrizations.weight.{new}")
        for layer in (again, _pair(shape, dtype)[1]):
            layer.load_state_dict(dict(state))
            errors.compare(layer(inputs(shape, dtype)), ours(inputs(shape, dtype)), shape)
    return errors


def half_precision(dtype: torch.dtype) -> Errors:
    """A layer of half-precision weights."""
    return half.of_weights([_pair(shape, FLOAT32)[1] for shape in LAYERS], dtype)


def under_autocast(dtype: torch.dtype) -> Errors:
    """A float32 layer under torch.autocast."""
    return half.of_weights_under_autocast({shape: _pair(shape, FLOAT32)[1] for shape in LAYERS}, dtype)


def start_from_data(dtype: torch.dtype) -> Errors:
    """Equation 6, layer by layer: every unit of every weight-normalized layer has mean 0 and variance 1."""
    errors = Errors()
    for model, shape in (
        (nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 3)), (200, 20)),
        (nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3)), (200, 2, 6, 6)),
    ):
        model.to(dtype)
        for layer in model[:-1]:
            if isinstance(layer, nn.Linear | nn.Conv2d):
                norms.WEIGHT_NORMS["weight"]["custom"](layer)
        x: Tensor = inputs(shape, dtype)
        weight.start_from_data(model, x)
        for layer in model:
            x = layer(x)
            if parametrize.is_parametrized(layer, "weight"):
                t = x.detach().transpose(0, 1).flatten(1)
                errors.compare(t.mean(1), torch.zeros_like(t[:, 0]), f"mean after {layer}")
                errors.compare(t.var(1, correction=0), torch.ones_like(t[:, 0]), f"variance after {layer}")
    return errors


TOLERANCES = {"start from data": {FLOAT64: 1e-8}}  # 1e-10 beside the variance

CHECKS: dict[str, Callable[[torch.dtype], dict[str, Errors] | Errors | None]] = {
    "100 steps": hundred_steps,
    "gradcheck": gradcheck,
    "state_dict": state_dict,
    "old state": old_state,
    "half precision": half_precision,
    "under autocast": under_autocast,
    "starts as the layer": starts_as_the_layer,
    "published gradients": published_gradients,
    "⟨∇v, v⟩ = 0": gradient_is_across,
    "start from data": start_from_data,
}
