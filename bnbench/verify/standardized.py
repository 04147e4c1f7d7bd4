"""The checks of scaled weight standardization, which has a layer's weights for its input."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bnbench import norms
from bnbench.norms import standardized
from bnbench.verify import formulas, half
from bnbench.verify.checks import compare_derivatives
from bnbench.verify.rows import FLOAT32, FLOAT64, Errors
from bnbench.verify.subjects import inputs, upstream

Inputs = tuple[int, ...]
OPTIONS: tuple[dict[str, float], ...] = ({}, {"activation_gain": 1.0}, {"eps": 10.0})


def _layers(dtype: torch.dtype, **options: float) -> dict[Inputs, tuple[nn.Module, nn.Module]]:
    """A linear layer and a convolution by the shape of their inputs, each as it is and standardized, g drawn."""
    torch.manual_seed(0)
    plain: dict[Inputs, nn.Linear | nn.Conv2d] = {(8, 5): nn.Linear(5, 7), (4, 2, 6, 6): nn.Conv2d(2, 5, 3)}
    made: dict[Inputs, tuple[nn.Module, nn.Module]] = {}
    for shape, layer in plain.items():
        layer.to(dtype)
        normed = copy.deepcopy(layer)
        norms.WEIGHT_NORMS["scaled_weight_standardization"]["custom"](normed, **options)
        with torch.no_grad():
            gain = normed.get_parameter("parametrizations.weight.0.gain")
            gain.copy_(torch.linspace(0.5, 2, gain.numel(), dtype=dtype).view_as(gain))
        made[shape] = layer, normed
    return made


def _expected(x: Tensor, plain: nn.Module, w: Tensor) -> Tensor:
    """What the layer gives by the weights `w`, in float64."""
    layer = copy.deepcopy(plain).double()
    with torch.no_grad():
        layer.get_parameter("weight").copy_(w)
    return layer(x.detach().double())  # type: ignore[no-any-return]


def outputs(dtype: torch.dtype) -> dict[str, Errors]:
    """Outputs against the formula in NumPy over 100 steps of gradient descent, of v and g; 20 with other options."""
    found = {"training output": Errors(), "evaluation output": Errors()}
    for options in OPTIONS:
        for shape, (plain, normed) in _layers(dtype, **options).items():
            for step in range(100 if options == OPTIONS[0] else 20):
                x = inputs(shape, dtype, step)
                v, gain = (
                    normed.get_parameter(f"parametrizations.weight.{name}").detach().double().numpy()
                    for name in ("original", "0.gain")
                )
                w = torch.from_numpy(formulas.standardized(v, gain, **options))
                with torch.no_grad():
                    assert isinstance(normed.bias, Tensor) and isinstance(plain.bias, Tensor)
                    plain.bias.copy_(normed.bias)
                where = f"input {shape}, {options}, step {step + 1}"
                for name, training in (("training output", True), ("evaluation output", False)):
                    found[name].compare(normed.train(training)(x), _expected(x, plain, w), where)
                normed.zero_grad()
                (normed.train()(x) * upstream(tuple(normed(x).shape), dtype, step)).sum().backward()
                with torch.no_grad():
                    for parameter in normed.parameters():
                        assert parameter.grad is not None
                        parameter.sub_(0.001 * parameter.grad)
    return found


def gradcheck(dtype: torch.dtype) -> Errors | None:
    """Every partial derivative of w against central differences, for v and g, also where ε decides."""
    if dtype != FLOAT64:
        return None
    errors = Errors()
    for eps in (1e-4, 1e3):
        for shape in ((4, 3), (2, 3, 2, 2)):
            v, gain = inputs(shape, dtype), inputs((shape[0], *[1] * (len(shape) - 1)), dtype, 1)

            def function(v: Tensor, gain: Tensor, eps: float = eps) -> Tensor:
                return standardized.standardize(v, gain, 1.7, eps)

            compare_derivatives(errors, function, [v, gain], f"v {shape}, ε = {eps:g}")
    return errors


def state_dict(dtype: torch.dtype) -> Errors:
    """The state is all of the layer; of a deep copy, and in float64, the layer is itself."""
    errors = Errors()
    for (shape, (_, normed)), (_, again) in zip(_layers(dtype).items(), _layers(dtype).values(), strict=True):
        x = inputs(shape, dtype)
        with torch.no_grad():
            for parameter in normed.parameters():
                parameter.add_(0.1 * upstream(tuple(parameter.shape), dtype))
        again.load_state_dict(normed.state_dict())
        errors.require(torch.equal(again(x), normed(x)), f"loaded: {shape}")
        errors.require(torch.equal(copy.deepcopy(normed)(x), normed(x)), f"deep copy: {shape}")
        errors.compare(again.double()(x.double()), normed(x), f".to(float64): {shape}")
    return errors


def large_mean(dtype: torch.dtype) -> Errors:
    """Weights of mean 1000 and deviation 0.01."""
    errors = Errors()
    for shape in ((4, 30), (2, 3, 4, 4)):
        v = (1_000 + 0.01 * upstream(shape, FLOAT64)).to(dtype)
        gain = inputs((shape[0], *[1] * (len(shape) - 1)), dtype, 1)
        expected = formulas.standardized(v.double().numpy(), gain.double().numpy())
        errors.compare(standardized.standardize(v, gain, standardized.RELU_GAIN, 1e-4), torch.from_numpy(expected))
    return errors


def constant_weights(dtype: torch.dtype) -> Errors:
    """Equal weights, whose mean is exact, have the deviation 0 and give 0, not NaN; gradients are finite."""
    errors = Errors()
    v = torch.full((3, 8), 0.75, dtype=dtype).requires_grad_()
    w = standardized.standardize(v, torch.ones(3, 1, dtype=dtype), standardized.RELU_GAIN, 1e-4)
    errors.compare(w, torch.zeros_like(w))
    (w * upstream((3, 8), dtype)).sum().backward()  # type: ignore[no-untyped-call]
    errors.require(v.grad is not None and bool(v.grad.isfinite().all()), "gradient not finite")
    return errors


def mean_and_length(dtype: torch.dtype) -> Errors:
    """Each unit's weights have the mean 0 and the length c g."""
    errors = Errors()
    for shape, (_, normed) in _layers(dtype, activation_gain=1.5).items():
        w = normed.weight.detach().flatten(1)  # type: ignore[operator]
        gain = normed.get_parameter("parametrizations.weight.0.gain").flatten()
        errors.compare(w.mean(1), torch.zeros_like(w[:, 0]), f"mean: {shape}")
        errors.compare(w.norm(dim=1), 1.5 * gain, f"length: {shape}")
    return errors


def ignores_scale_and_shift(dtype: torch.dtype) -> Errors:
    """w(a v + b) = w(v) for a > 0, where ε does not decide."""
    errors = Errors()
    for shape in ((4, 30), (2, 3, 4, 4)):
        v, gain = inputs(shape, dtype), torch.ones(shape[0], *[1] * (len(shape) - 1), dtype=dtype)
        moved = standardized.standardize(4 * v + 8, gain, 1.0, 1e-4)
        errors.compare(moved, standardized.standardize(v, gain, 1.0, 1e-4), shape)
    return errors


def keeps_a_variance(dtype: torch.dtype) -> Errors:
    """Through ReLU and a standardized layer, standard Gaussian values keep the variance 1: what c is for."""
    errors = Errors()
    stream = torch.Generator().manual_seed(3)
    x = torch.randn(2_000, 400, generator=stream, dtype=FLOAT64).to(dtype)
    layer = nn.Linear(400, 300).to(dtype)
    norms.WEIGHT_NORMS["scaled_weight_standardization"]["custom"](layer)
    var = layer(x.relu()).var(0).mean()
    errors.compare(var, torch.ones_like(var))
    return errors


def half_precision(dtype: torch.dtype) -> Errors:
    """A layer of half-precision weights."""
    return half.of_weights([normed for _, normed in _layers(FLOAT32).values()], dtype)


def under_autocast(dtype: torch.dtype) -> Errors:
    """A float32 layer under torch.autocast."""
    layers = {shape: normed for shape, (_, normed) in _layers(FLOAT32).items()}
    return half.of_weights_under_autocast(layers, dtype)


TOLERANCES = {"keeps a variance": {FLOAT64: 0.01, FLOAT32: 0.01}}  # of samples

CHECKS: dict[str, Callable[[torch.dtype], dict[str, Errors] | Errors | None]] = {
    "100 steps": outputs,
    "gradcheck": gradcheck,
    "state_dict": state_dict,
    "half precision": half_precision,
    "under autocast": under_autocast,
    "large mean": large_mean,
    "constant weights": constant_weights,
    "mean and length": mean_and_length,
    "w(av + b) = w(v)": ignores_scale_and_shift,
    "keeps a variance": keeps_a_variance,
}
