"""The formulas again in NumPy, image by image, of norms that PyTorch does not have and that keep no mean of a batch.

As plain as can be, in float64, and sharing no code with bnbench/norms/. Gradients are checked by finite differences.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from bnbench.verify.references import Array

Parameters = dict[str, Array]
# One image (C, ...), the layer's parameters → its output.
OfOneImage = Callable[[Array, Parameters], Array]


class FormulaReference:
    """A norm whose output for an image depends on that image alone, in training as in evaluation."""

    def __init__(self, formula: OfOneImage) -> None:
        self.formula = formula
        self.parameters: Parameters = {}

    def start(self, layer: nn.Module) -> None:
        """Take over the parameters."""
        self.parameters = {name: value.detach().double().numpy() for name, value in layer.named_parameters()}

    def train(self, x: Tensor) -> Tensor:
        images = x.detach().double().numpy()
        return torch.from_numpy(np.stack([self.formula(image, self.parameters) for image in images]))

    def evaluate(self, x: Tensor) -> Tensor:
        return self.train(x)

    def running(self) -> dict[str, Tensor]:
        return {}


class EvoNormB0Reference(FormulaReference):
    """EvoNorm-B0, channel by channel: the variance over the batch, and its average."""

    def __init__(self, num_features: int, eps: float = 1e-3, momentum: float | None = 0.1) -> None:
        super().__init__(lambda image, _: image)
        self.eps, self.momentum = eps, momentum
        self.average, self.steps = np.ones(num_features), 0

    def train(self, x: Tensor) -> Tensor:
        data = x.detach().double().numpy()
        over = tuple(d for d in range(data.ndim) if d != 1)
        y = self._normalize(data, data.var(axis=over))
        self.steps += 1
        factor = 1 / self.steps if self.momentum is None else self.momentum
        self.average = (1 - factor) * self.average + factor * data.var(axis=over, ddof=1)
        return torch.from_numpy(y)

    def evaluate(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self._normalize(x.detach().double().numpy(), self.average))

    def running(self) -> dict[str, Tensor]:
        return {"running_var": torch.from_numpy(self.average)}

    def _normalize(self, data: Array, variances: Array) -> Array:
        y = np.empty_like(data)
        for n, image in enumerate(data):
            for c, values in enumerate(image):
                one = self.parameters["v"][c] * values + math.sqrt(np.var(values) + self.eps)
                y[n, c] = values / np.maximum(math.sqrt(variances[c] + self.eps), one)
            y[n] = affine(y[n], self.parameters)
        return y


def affine(image: Array, parameters: Parameters) -> Array:
    """γ x + β with one γ and one β a channel."""
    shape = (-1, *[1] * (image.ndim - 1))
    y = image * parameters["weight"].reshape(shape) if "weight" in parameters else image
    return y + parameters["bias"].reshape(shape) if "bias" in parameters else y


def dynamic_tanh() -> FormulaReference:
    def formula(image: Array, parameters: Parameters) -> Array:
        # By exponentials: (1 - e^-2z) / (1 + e^-2z), of |z|, which overflows nowhere.
        z = parameters["alpha"] * image
        decay = np.exp(-2 * np.abs(z))
        return affine(np.sign(z) * (1 - decay) / (1 + decay), parameters)

    return FormulaReference(formula)


def dynamic_erf() -> FormulaReference:
    def formula(image: Array, parameters: Parameters) -> Array:
        z = parameters["alpha"] * image + parameters["shift"]
        return affine(np.vectorize(math.erf)(z), parameters)

    return FormulaReference(formula)


def filter_response(*, eps: float = 1e-5) -> FormulaReference:
    def formula(image: Array, parameters: Parameters) -> Array:
        scaled = np.stack([channel / math.sqrt((channel**2).sum() / channel.size + eps) for channel in image])
        shifted = affine(scaled, parameters)
        return np.stack([np.where(c > tau, c, tau) for c, tau in zip(shifted, parameters["tau"], strict=True)])

    return FormulaReference(formula)


def evonorm_s0(*, num_groups: int, eps: float = 1e-5) -> FormulaReference:
    def formula(image: Array, parameters: Parameters) -> Array:
        size = len(image) // num_groups
        y = np.empty_like(image)
        for first in range(0, len(image), size):
            group = image[first : first + size]
            v = parameters["v"][first : first + size].reshape(-1, *[1] * (image.ndim - 1))
            sigmoid = (1 + np.tanh(v * group / 2)) / 2  # which overflows nowhere
            y[first : first + size] = group * sigmoid / math.sqrt(group.var() + eps)
        return affine(y, parameters)

    return FormulaReference(formula)


def partial_rms(*, p: float, eps: float = 1e-8) -> FormulaReference:
    def formula(image: Array, parameters: Parameters) -> Array:
        ranks = np.arange(1, image.size + 1) / image.size
        first = image.ravel()[ranks <= p + 1e-12]
        y = image / (np.linalg.norm(first) / math.sqrt(len(first)) + eps)
        return y * parameters["weight"] if "weight" in parameters else y

    return FormulaReference(formula)


def standardized(v: Array, gain: Array, activation_gain: float = 1.7139588594436646, eps: float = 1e-4) -> Array:
    """Scaled weight standardization, unit by unit: `v` (out, ...), `gain` (out, ...) → w."""
    w = np.empty_like(v)
    for unit, weights in enumerate(v):
        fan_in = weights.size
        scale = 1 / math.sqrt(max(weights.var() * fan_in, eps)) * float(gain[unit].item())
        w[unit] = activation_gain * (weights * scale - weights.mean() * scale)
    return w
