"""The checks that every norm of activations goes through, one function a check.

Each takes a subject and a dtype and returns the errors it found. A check that does not apply returns None.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bnbench.verify.references import TorchReference
from bnbench.verify.rows import FLOAT32, FLOAT64, Errors
from bnbench.verify.subjects import Case, Subject, build, inputs, upstream

STEPS = 100
FEW_STEPS = 20  # with options that are not the usual ones

Check = Callable[[Subject, torch.dtype], dict[str, Errors] | Errors | None]


def hundred_steps(subject: Subject, dtype: torch.dtype) -> dict[str, Errors]:
    """Outputs, running statistics and (against a module of PyTorch's) gradients over 100 training steps.

    With unusual options, 20: time is better spent on more of them.
    """
    found = {"training output": Errors(), "evaluation output": Errors()}
    for case in subject.cases():
        layer, reference = build(subject.norm, case, dtype), subject.reference(case)
        if isinstance(reference, TorchReference):
            reference.module.to(dtype)
        reference.start(layer)
        for step in range(STEPS if case.options == subject.options[0] else FEW_STEPS):
            x = inputs(case.shape, dtype, step)
            where = f"{case}, step {step + 1}"
            # Gradients at every tenth step, which is where the input needs one.
            differentiate = isinstance(reference, TorchReference) and step % 10 == 0
            y, twin = layer(x.requires_grad_(differentiate)), x.detach().clone().requires_grad_(differentiate)
            expected = reference.train(twin)
            found["training output"].compare(y, expected, where)
            if differentiate and isinstance(reference, TorchReference):
                errors = found.setdefault("gradients", Errors())
                _compare_gradients(errors, (layer, x, y), (reference.module, twin, expected), where)
            for name, value in reference.running().items():
                errors = found.setdefault("running statistics", Errors())
                errors.compare(layer.get_buffer(name), value, f"{name} of {where}")
        layer.eval()
        x = inputs(case.shape, dtype, STEPS)
        found["evaluation output"].compare(layer(x), reference.evaluate(x), case)
    return found


def _compare_gradients(
    errors: Errors, ours: tuple[nn.Module, Tensor, Tensor], theirs: tuple[nn.Module, Tensor, Tensor], where: str
) -> None:
    for layer, _, y in (ours, theirs):
        layer.zero_grad()
        (y * upstream(tuple(y.shape), y.dtype)).sum().backward()  # type: ignore[no-untyped-call]
    assert theirs[1].grad is not None
    if ours[1].grad is None:
        return errors.fail(f"no gradient for the input: {where}")
    errors.compare(ours[1].grad, theirs[1].grad, f"input of {where}")
    for name, parameter in theirs[0].named_parameters():
        own = ours[0].get_parameter(name).grad
        assert parameter.grad is not None
        errors.compare(parameter.grad * 0 if own is None else own, parameter.grad, f"{name} of {where}")
    return None


def float32_gradients(subject: Subject, dtype: torch.dtype) -> Errors | None:
    """Gradients in float32 against the same layer's in float64, where PyTorch has no such layer."""
    if dtype != FLOAT32 or isinstance(subject.reference(subject.cases()[0]), TorchReference):
        return None
    errors = Errors()
    for case in subject.cases():
        gradients = []
        for precision in (FLOAT32, FLOAT64):
            layer = build(subject.norm, case, FLOAT32).to(precision)
            x = inputs(case.shape, FLOAT32).to(precision).requires_grad_()
            (layer(x) * upstream(case.shape, FLOAT32).to(precision)).sum().backward()
            gradients.append([x.grad, *(parameter.grad for parameter in layer.parameters())])
        for ours, expected in zip(*gradients, strict=True):
            errors.compare(ours, expected, case)
    return errors


def gradcheck(subject: Subject, dtype: torch.dtype) -> Errors | None:
    """Every partial derivative against central differences, for x, γ and β."""
    if dtype != FLOAT64:
        return None
    errors = Errors()
    shapes = [(8, 8), (8, 4, 2, 2)] if len(subject.few_shapes()) == 2 else [(2, 4, 2, 3)]
    for options in subject.options:
        if 4 % options.get("num_groups", 1):
            continue
        for shape in shapes:
            case = Case(shape, options)
            layer = build(subject.norm, case)
            arguments = [inputs(shape, dtype), *(p.detach().clone() for p in layer.parameters())]
            compare_derivatives(errors, _as_function(layer), arguments, case)
    return errors


def _as_function(layer: nn.Module) -> Callable[..., Tensor]:
    """(x, *parameters) → the training output, always from the layer's present state."""
    names = [name for name, _ in layer.named_parameters()]
    state = {name: value.clone() for name, value in layer.named_buffers()}

    def function(x: Tensor, *parameters: Tensor) -> Tensor:
        buffers = {name: value.clone() for name, value in state.items()}
        y: Tensor = torch.func.functional_call(layer, {**dict(zip(names, parameters, strict=True)), **buffers}, (x,))
        return y

    return function


def compare_derivatives(
    errors: Errors, function: Callable[..., Tensor], arguments: list[Tensor], case: object, step: float = 1e-6
) -> None:
    """Backward passes against (f(a + h) - f(a - h)) / 2h, for every element of every argument."""
    leaves = [argument.clone().requires_grad_() for argument in arguments]
    y = function(*leaves)
    weights = upstream(tuple(y.shape), y.dtype)
    for index, analytic in enumerate(torch.autograd.grad((y * weights).sum(), leaves, materialize_grads=True)):
        numeric = torch.zeros_like(analytic).flatten()
        for element in range(numeric.numel()):
            ends = []
            for sign in (1, -1):
                moved = [argument.clone() for argument in arguments]
                moved[index].view(-1)[element] += sign * step
                ends.append((function(*moved) * weights).sum().item())
            numeric[element] = (ends[0] - ends[1]) / (2 * step)
        errors.compare(analytic, numeric.view_as(analytic), f"argument {index} of {case}")


def trained(norm: str, case: Case, dtype: torch.dtype) -> nn.Module:
    """A layer after three training steps."""
    layer = build(norm, case, dtype)
    for step in range(3):
        layer(inputs(case.shape, dtype, step))
    return layer


def state_dict(subject: Subject, dtype: torch.dtype) -> Errors:
    """The state goes into PyTorch's module (or another of ours) and back, and the evaluated outputs are the same."""
    errors = Errors()
    for case in subject.cases():
        layer = trained(subject.norm, case, dtype)
        reference = subject.reference(case)
        other = reference.module.to(dtype) if subject.torch_state and isinstance(reference, TorchReference) else None
        other = other or build(subject.norm, case, dtype)
        other.load_state_dict(layer.state_dict())
        again = build(subject.norm, case, dtype)
        again.load_state_dict(other.state_dict())
        x = inputs(case.shape, dtype, 5)
        for module in (layer, other, again):
            module.eval()
        errors.compare(other(x), layer(x), f"there: {case}")
        errors.require(torch.equal(again(x), layer(x)), f"and back: {case}")
        for (name, buffer), back in zip(layer.named_buffers(), again.buffers(), strict=True):
            errors.require(torch.equal(back, buffer), f"{name}, and back: {case}")
        errors.require(torch.equal(again.train()(x), layer.train()(x)), f"and one training step more: {case}")
    return errors


def old_state(subject: Subject, dtype: torch.dtype) -> Errors | None:
    """A state of PyTorch 0.4.0 or older, which has no count of batches, loads and evaluates alike."""
    errors, found = Errors(), False
    for case in subject.cases():
        layer = trained(subject.norm, case, dtype).eval()
        old = dict(layer.state_dict())  # and no number of its format
        if not subject.torch_state or old.pop("num_batches_tracked", None) is None:
            continue
        found, again = True, build(subject.norm, case, dtype).eval()
        again.load_state_dict(old)
        x = inputs(case.shape, dtype, 5)
        errors.require(torch.equal(again(x), layer(x)), case)
        errors.require(int(again.get_buffer("num_batches_tracked")) == 0, f"the count is not 0: {case}")
    return errors if found else None


def copy_and_dtype(subject: Subject, dtype: torch.dtype) -> Errors:
    """A deep copy computes the same and is independent; .to() moves parameters and buffers."""
    errors = Errors()
    for shape in subject.few_shapes():
        for options in subject.options:
            if any(shape[1] % options.get("num_groups", 1) for shape in subject.few_shapes()):
                continue
            case = Case(shape, options)
            layer = trained(subject.norm, case, dtype)
            layer(inputs(shape, dtype).requires_grad_())  # a buffer in a graph could not be copied
            twin = copy.deepcopy(layer)
            x = inputs(shape, dtype, 7)
            before = {name: buffer.clone() for name, buffer in twin.named_buffers()}
            errors.compare(layer.eval()(x), twin.eval()(x), f"deep copy: {case}")
            layer.train()(x)
            same = all(torch.equal(before[name], buffer) for name, buffer in twin.named_buffers())
            errors.require(same, f"the copy changed with the original: {case}")
            other = FLOAT64 if dtype == FLOAT32 else FLOAT32
            moved = twin.to(other)
            y = moved(x.to(other))
            errors.require(y.dtype == other, f"output of {y.dtype} after .to({other}): {case}")
            loose = [name for name, value in vars(moved).items() if isinstance(value, Tensor)]
            errors.require(not loose, f"{loose} can be neither moved nor saved: no parameter or buffer")
            tensors = [t for t in (*moved.parameters(), *moved.buffers()) if t.is_floating_point()]
            errors.require(all(t.dtype == other for t in tensors), f"a tensor stayed behind at .to({other}): {case}")
    return errors


# The check's name in the table → how it is made. The first finds four.
CHECKS: dict[str, Check] = {
    "100 steps": hundred_steps,
    "gradients": float32_gradients,
    "gradcheck": gradcheck,
    "state_dict": state_dict,
    "old state": old_state,
    "deep copy, .to()": copy_and_dtype,
}

TOLERANCES = {"gradcheck": {FLOAT64: 1e-7}}  # central differences have no more digits
