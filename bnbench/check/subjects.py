"""A layer or function of the user's, behind one interface: build, train, evaluate, read the running statistics."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bnbench.check.load import ROLES, CannotLoad, Form, required, role
from bnbench.check.reference import GROUPS

GROUP_NAMES = {"num_groups", "groups", "n_groups", "g", "group"}
DIMS_NAMES = {"num_dims", "dims", "ndim", "n_dims", "ndims"}
SPATIAL_NAMES = {"spatial", "spatial_size", "image_size"}
SHAPE_NAMES = {"normalized_shape", "shape", "size"}

USUAL = {"eps": 1e-5, "epsilon": 1e-5, "momentum": 0.1}  # for a constructor without defaults


class WrongOutput(Exception):
    """What comes back is no tensor of the right kind; the message says what it is."""


class Subject:
    """One layer, freshly made for inputs of a shape and dtype. The base has what the forms share."""

    layer: nn.Module | None = None
    evaluates = True
    differentiates = True
    momentum: float | None = None
    eps: float | None = None

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.shape, self.dtype, self.channels = shape, dtype, shape[1]
        self.gamma: Tensor | None = None
        self.beta: Tensor | None = None
        self.notes: list[str] = []

    def train(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def evaluate(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def raw(self) -> dict[str, Any]:
        """mean and var → the running statistics as they are kept."""
        return {}

    def running(self) -> dict[str, Tensor]:
        """mean and var → the running statistics, (C,) in float64; none that are not kept."""
        found = {}
        for name, value in self.raw().items():
            tensor = torch.as_tensor(np.asarray(_plain(value), dtype=np.float64)).flatten()
            found[name] = tensor.expand(self.channels).clone() if tensor.numel() == 1 else tensor.clone()
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().double().cpu().numpy()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


class Layer(Subject):
    """A torch.nn.Module."""

    def __init__(self, cls: Callable[..., nn.Module], shape: tuple[int, ...], dtype: torch.dtype) -> None:
        super().__init__(shape, dtype)
        self.layer = cls(**_arguments(cls, shape)).to(dtype)
        self.flag = _training_flag(self.layer)
        self.momentum = _number(self.layer, cls, ("momentum", "decay", "moving_momentum", "alpha"))
        self.eps = _number(self.layer, cls, ("eps", "epsilon", "variance_epsilon", "ε"))
        named = [(name.rsplit(".", 1)[-1], p) for name, p in self.layer.named_parameters() if p.requires_grad]
        loose = [(k, v) for k, v in vars(self.layer).items() if isinstance(v, Tensor)]
        self.loose_affine = [k for k, _ in loose if role(k) in ("gamma", "beta") and k not in dict(named)]
        for kind in ("gamma", "beta"):
            given = [v for k, v in [*named, *loose] if k.lower() in ROLES[kind]]
            setattr(self, kind, given[0] if given else None)
        rest = [p for _, p in named if p is not self.gamma and p is not self.beta]
        if len(named) == 2 and rest:  # of other names: γ first, or what the other is not
            self.gamma = rest.pop(0) if self.gamma is None else self.gamma
            self.beta = rest.pop(0) if self.beta is None else self.beta

    def train(self, x: Tensor) -> Tensor:
        assert self.layer is not None
        self.layer.train()
        return self._output(self.layer(x, **({self.flag: True} if self.flag else {})))

    def evaluate(self, x: Tensor) -> Tensor:
        assert self.layer is not None
        self.layer.eval()
        return self._output(self.layer(x, **({self.flag: False} if self.flag else {})))

    @staticmethod
    def _output(y: Any) -> Tensor:
        if not isinstance(y, Tensor):
            kind = "nothing (None)" if y is None else f"a {type(y).__name__}"
            raise WrongOutput(f"forward returns {kind}, not a tensor")
        return y

    def raw(self) -> dict[str, Any]:
        assert self.layer is not None
        found = {}
        for kind, words in (("mean", ("mean", "mu", "avg")), ("var", ("var", "sigma", "std"))):
            names = [n for n in self._state() if any(w in n.rsplit(".", 1)[-1].lower() for w in words)]
            marked = [n for n in names if any(w in n.lower() for w in ("run", "mov", "ema", "pop", "glob", "exp"))]
            for name in (marked or names)[:1]:
                found[kind] = self._state()[name]
        if not found:  # of other names: two tensors of C numbers are mean and variance
            sized = [v for v in self._state().values() if isinstance(v, Tensor) and v.numel() == self.channels]
            if len(sized) == 2:
                return dict(zip(("mean", "var"), sized, strict=True))
        return found

    def names(self) -> list[str]:
        """The names of the running statistics."""
        raw = [id(v) for v in self.raw().values()]
        return [name for name, value in self._state().items() if id(value) in raw]

    def _state(self) -> dict[str, Any]:
        """Everything that may be a running statistic: buffers, tensors, arrays and numbers; and parameters."""
        assert self.layer is not None
        state: dict[str, Any] = {k: v for k, v in self.layer.named_buffers() if v.is_floating_point()}
        affine = {id(self.gamma), id(self.beta)}
        state |= {k: v for k, v in self.layer.named_parameters() if id(v) not in affine}
        for owner in self.layer.modules():
            for k, v in vars(owner).items():
                sized = v.size if isinstance(v, np.ndarray) else v.numel() if isinstance(v, Tensor) else 0
                numbers = isinstance(v, list) and v and all(isinstance(i, int | float | Tensor) for i in v)
                if (sized or numbers or type(v) in (int, float)) and k not in ("training", "eps", "momentum"):
                    state.setdefault(k, v)
        return state


def _arguments(cls: Callable[..., nn.Module], shape: tuple[int, ...]) -> dict[str, Any]:
    """The constructor's arguments for input of a shape, by the names of its parameters."""
    parameters = inspect.signature(cls).parameters
    needed = required(cls)
    given: dict[str, Any] = {}
    for number, name in enumerate(parameters):
        low = name.lower()
        if low in GROUP_NAMES and len(low) > 1:
            given[name] = GROUPS
        elif low in SPATIAL_NAMES:
            given[name] = shape[2:]
        elif low in DIMS_NAMES:
            given[name] = len(shape)
        elif low in SHAPE_NAMES and name in needed:
            given[name] = shape[1] if len(shape) == 2 else tuple(shape[1:])
        elif name in needed and low in USUAL:
            given[name] = USUAL[low]
        elif name in needed and (number == 0 or role(name) is None):
            if shape[1] in given.values():
                raise CannotLoad(f"its constructor needs {', '.join(needed)}; give all but the first a default")
            given[name] = shape[1]
    return given


def _training_flag(layer: nn.Module) -> str | None:
    """The parameter of forward that says whether it trains, as in the tutorial's network."""
    names = list(inspect.signature(layer.forward).parameters)[1:]
    return next((name for name in names if role(name) == "training"), None)


def _number(layer: nn.Module, cls: Callable[..., Any], names: tuple[str, ...]) -> float | None:
    """A number that the layer keeps, or that is its constructor's default."""
    for name in names:
        value = getattr(layer, name, None)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        parameter = inspect.signature(cls).parameters.get(name)
        if parameter is not None and isinstance(parameter.default, int | float):
            return float(parameter.default)
    return None


class Function(Subject):
    """A function with one of the three signatures that can be checked (see load.Form)."""

    def __init__(
        self, function: Callable[..., Any], form: Form, shape: tuple[int, ...], dtype: torch.dtype, style: str
    ) -> None:
        super().__init__(shape, dtype)
        self.function, self.form, self.style = function, form, style
        self.evaluates = form == "tutorial"
        self.differentiates = form != "note"
        self.shaped = (1, self.channels, *[1] * (len(shape) - 2)) if style == "wide" else (self.channels,)
        if form != "note":
            self.gamma = torch.ones(self.shaped, dtype=dtype, requires_grad=True)
            self.beta = torch.zeros(self.shaped, dtype=dtype, requires_grad=True)
        self.kept: dict[str, Any] = {}
        if form != "simple":
            start = {"mean": 0.0, "var": 1.0}
            for name, value in start.items():
                tensor = torch.full(self.shaped, value, dtype=dtype)
                list_or_array = [value] * self.channels if style == "list" else tensor.numpy().copy()
                self.kept[name] = list_or_array if style in ("list", "array") else tensor
        defaults = [p.default for p in inspect.signature(function).parameters.values() if "moment" in p.name]
        self.momentum = next((float(d) for d in defaults if isinstance(d, float)), None)

    def train(self, x: Tensor) -> Tensor:
        return self._call(x, training=True)

    def evaluate(self, x: Tensor) -> Tensor:
        return self._call(x, training=False)

    def _call(self, x: Tensor, *, training: bool) -> Tensor:
        given: Any = x.detach().numpy().copy() if self.style in ("list", "array") else x
        if self.form == "note" and self.style == "tensor":
            given = x.detach().clone()
        mean, var = self.kept.get("mean"), self.kept.get("var")
        arguments: tuple[Any, ...] = {
            "tutorial": (given, self.gamma, self.beta, training, mean, var),
            "simple": (given, self.gamma, self.beta),
            "note": (given, mean, var),
        }[self.form]
        y = self.function(*arguments)
        if y is None:
            y = given
            self.notes.append("it fills its input and returns nothing; it is judged on a copy")
        if isinstance(y, tuple):
            if len(y) == 3 and training:
                self.kept = {"mean": y[1], "var": y[2]}
            y = y[0]
        y = torch.from_numpy(y) if isinstance(y, np.ndarray) else y
        if not isinstance(y, Tensor):
            raise WrongOutput(f"{self.function.__name__} returns a {type(y).__name__}, not a tensor or an array")
        return y

    def raw(self) -> dict[str, Any]:
        return self.kept


Factory = Callable[[tuple[int, ...], torch.dtype], Subject]


def factory(found: Any, form: Form, shape: tuple[int, ...], x: Tensor, *, wide: bool) -> Factory:
    """How a subject is made for input like x. Raises what the user's code raises, in every style that it may have.

    `wide` tries γ and β of shape (1, C, 1, 1) too.
    """
    if form == "module":
        return lambda shape, dtype: Layer(found, shape, dtype)
    styles = ["list", "array", "tensor"] if form == "note" else ["tensor", "wide"][: 1 + wide]
    first: Exception | None = None
    for style in styles:

        def make(shape: tuple[int, ...], dtype: torch.dtype, style: str = style) -> Subject:
            return Function(found, form, shape, dtype, style)

        try:
            y = make(shape, x.dtype).train(copy.deepcopy(x))
            if y.shape == x.shape:
                return make
        except Exception as error:  # the user's code may raise anything
            first = first or error
    if first is not None:
        raise first
    return make
