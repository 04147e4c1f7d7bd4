"""The file of a layer: it is run, and the layer or function in it is found."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from torch import nn

from bnbench.plugins.execute import described, execute, line_of

Form = Literal["module", "tutorial", "simple", "note"]

ROLES = {
    "x": {"x", "input", "inputs", "feature", "features", "inp", "data", "batch", "z", "h", "x_in"},
    "gamma": {"gamma", "weight", "scale", "g", "w"},
    "beta": {"beta", "bias", "shift", "b", "offset"},
    "training": {"is_training", "training", "is_train", "train", "train_mode", "mode"},
    "mean": {"moving_mean", "running_mean", "mean", "calculate_mean", "mu", "run_mean", "moving_avg"},
    "var": {"moving_var", "running_var", "var", "calculate_var", "variance", "moving_variance", "run_var", "sigma2"},
}
FORMS: dict[Form, tuple[str, ...]] = {
    "tutorial": ("x", "gamma", "beta", "training", "mean", "var"),
    "simple": ("x", "gamma", "beta"),
    "note": ("x", "mean", "var"),
}


class CannotLoad(Exception):
    """There is nothing to check; the message is a sentence."""


def place(error: BaseException, path: Path) -> str:
    """FILE:LINE of an error, in the user's file if it passed there."""
    line = line_of(error, str(path), 0)
    return f"{path.name}:{line}" if line else path.name


def load(path: Path, name: str | None) -> tuple[Any, Form]:
    """The layer's class or function in a file, and its form. Runs the file."""
    module = _run(path)
    if name is not None:
        if not hasattr(module, name):
            raise CannotLoad(f"{path.name}: defines no {name}; it defines {', '.join(_named(module)) or 'nothing'}")
        found = getattr(module, name)
        return found, _form(found, name, path)
    here = [v for v in vars(module).values() if getattr(v, "__module__", None) == module.__name__]
    norms = getattr(module, "NORMS", None)
    layers = list(norms.values()) if isinstance(norms, dict) else _layers(here)
    functions = [v for v in here if inspect.isfunction(v) and _form_of(v)]
    found = layers or functions
    if len(found) > 1:
        names = [v.__name__ for v in found]
        raise CannotLoad(f"{path.name}: defines {', '.join(names)}; choose one, as in {path.name}:{names[-1]}")
    if not found:
        others = [v for v in here if inspect.isfunction(v)]
        if len(others) == 1:
            raise CannotLoad(_adapter(others[0], path))
        raise CannotLoad(
            f"{path.name}: defines no norm; write a class that extends torch.nn.Module, or a function"
            " batch_norm_1d(x, gamma, beta, is_training, moving_mean, moving_var)"
        )
    return found[0], _form(found[0], found[0].__name__, path)


def _run(path: Path) -> ModuleType:
    if path.suffix != ".py":
        raise CannotLoad(f"{path.name}: is not a Python file; its name must end in .py")
    sys.path.insert(0, str(path.parent))
    try:
        return execute(str(path), path.read_bytes())
    except (Exception, SystemExit) as error:
        raise CannotLoad(f"{place(error, path)}: cannot be imported: {described(error)}") from error


def _named(module: ModuleType) -> list[str]:
    return [k for k, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__]


def _layers(values: list[Any]) -> list[type[nn.Module]]:
    """The classes of layers that no other class of the file extends."""
    layers = [v for v in values if inspect.isclass(v) and issubclass(v, nn.Module)]
    return [v for v in layers if not any(v is not other and issubclass(other, v) for other in layers)]


def _form(value: Any, name: str, path: Path) -> Form:
    if inspect.isclass(value) and issubclass(value, nn.Module):
        return "module"
    if isinstance(value, nn.Module):
        raise CannotLoad(
            f"{path.name}: {name} is a layer that is already built; name its class, {type(value).__name__}"
        )
    if not inspect.isfunction(value):
        raise CannotLoad(f"{path.name}: {name} is neither a torch.nn.Module nor a function")
    form = _form_of(value)
    if form is None:
        raise CannotLoad(_adapter(value, path))
    return form


def required(function: Callable[..., Any]) -> list[str]:
    """The parameters without a default that can be given by position."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind in kinds and p.default is p.empty]


def role(name: str) -> str | None:
    return next((role for role, names in ROLES.items() if name.lower() in names), None)


def _form_of(function: Callable[..., Any]) -> Form | None:
    """The document's form that a function has: as many parameters, and none in another's place."""
    names = required(function)
    for form, roles in FORMS.items():
        if len(names) == len(roles) and all(role(n) in (None, r) for n, r in zip(names, roles, strict=True)):
            return form
    return None


def _adapter(function: Callable[..., Any], path: Path) -> str:
    """A sentence with the function that would make this one fit."""
    given = {"gamma": "gamma", "beta": "beta", "training": "is_training", "mean": "moving_mean", "var": "moving_var"}
    first, *others = required(function) or ["x"]
    roles = {role(name) for name in (first, *others)}
    call = ", ".join(["x", *(f"{name}={given.get(role(name) or '', '...')}" for name in others)])
    call = f"{function.__name__}({call})"
    if not roles & {"gamma", "beta"}:
        call = f"gamma * {call} + beta"
    name, parameters = "simple_batch_norm_1d", "x, gamma, beta"
    if roles & {"training", "mean", "var"}:
        name, parameters = "batch_norm_1d", f"{parameters}, is_training, moving_mean, moving_var"
    return (
        f"{path.name}:{function.__code__.co_firstlineno}: {function.__name__} has another signature than the functions"
        f" that can be checked; add def {name}({parameters}): return {call} and check {path.name}:{name}"
    )
