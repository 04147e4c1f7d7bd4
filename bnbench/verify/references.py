"""What the custom norms are held against: PyTorch's modules, or the formula again in NumPy, channel by channel.

The NumPy references are as plain as can be, in float64, and share no code with bnbench/norms/. They give
outputs and running statistics; gradients are checked by finite differences.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Array = npt.NDArray[np.float64]
Statistics = tuple[float, ...]


class TorchReference:
    """A module of PyTorch's; `parts` cuts the batch first, as ghost batches do."""

    def __init__(self, module: nn.Module, part: int | None = None) -> None:
        self.module, self.part = module, part

    def start(self, layer: nn.Module) -> None:
        """Take over γ and β."""
        self.module.load_state_dict(layer.state_dict())

    def train(self, x: Tensor) -> Tensor:
        self.module.train()
        if self.part is None:
            return self.module(x)  # type: ignore[no-any-return]
        return torch.cat([self.module(x[i : i + self.part]) for i in range(0, len(x), self.part)])

    def evaluate(self, x: Tensor) -> Tensor:
        self.module.eval()
        return self.module(x)  # type: ignore[no-any-return]

    def running(self) -> dict[str, Tensor]:
        return dict(self.module.named_buffers())


class NumpyReference:
    """A norm over the batch, by `measure` (a channel's values → statistics) and `normalize` (values, statistics → x̂).

    `measure` and `normalize` see one channel's numbers; `normalize` also sees the channel's running
    statistics and the number of batches before. `corrected(statistics, m)` is what the average takes in.
    """

    def __init__(
        self,
        num_features: int,
        starts: dict[str, float],
        measure: Callable[[Array], Statistics],
        normalize: Callable[..., Array],
        *,
        momentum: float | None,
        corrected: Callable[[Statistics, int], Statistics] = lambda statistics, m: statistics,
    ) -> None:
        self.averages = {f"running_{name}": np.full(num_features, float(start)) for name, start in starts.items()}
        self.measure, self.normalize, self.corrected, self.momentum = measure, normalize, corrected, momentum
        self.steps = 0
        self.weight: Array | None = None
        self.bias: Array | None = None

    def start(self, layer: nn.Module) -> None:
        parameters = {name: value.detach().double().numpy() for name, value in layer.named_parameters()}
        self.weight, self.bias = parameters.get("weight"), parameters.get("bias")

    def train(self, x: Tensor) -> Tensor:
        data = x.detach().double().numpy()
        y = np.empty_like(data)
        factor = 1 / (self.steps + 1) if self.momentum is None else self.momentum
        for c in range(data.shape[1]):
            statistics = self.measure(data[:, c].ravel())
            running = self._running(c)
            y[:, c] = self._affine(c, self.normalize(data[:, c], statistics, running, self.steps))
            new = self.corrected(statistics, data[:, c].size)
            for average, value in zip(self.averages.values(), new, strict=True):
                average[c] = (1 - factor) * average[c] + factor * value
        self.steps += 1
        return torch.from_numpy(y)

    def evaluate(self, x: Tensor) -> Tensor:
        data = x.detach().double().numpy()
        y = np.empty_like(data)
        for c in range(data.shape[1]):
            y[:, c] = self._affine(c, self.normalize(data[:, c], self._running(c), None, self.steps))
        return torch.from_numpy(y)

    def running(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(average) for name, average in self.averages.items()}

    def _running(self, c: int) -> Statistics:
        return tuple(float(average[c]) for average in self.averages.values())

    def _affine(self, c: int, x_hat: Array) -> Array:
        gamma = 1.0 if self.weight is None else self.weight[c]
        beta = 0.0 if self.bias is None else self.bias[c]
        return gamma * x_hat + beta


def batch(
    num_features: int, *, eps: float = 1e-5, momentum: float | None = 0.1, unbiased: bool = True, **_: Any
) -> NumpyReference:
    return NumpyReference(
        num_features,
        {"mean": 0, "var": 1},
        lambda v: (v.mean(), v.var()),
        lambda v, s, *_: (v - s[0]) / math.sqrt(s[1] + eps),
        momentum=momentum,
        corrected=lambda s, m: (s[0], s[1] * m / (m - 1) if unbiased else s[1]),
    )


def mean_only(num_features: int, *, momentum: float | None = 0.1) -> NumpyReference:
    return NumpyReference(
        num_features, {"mean": 0}, lambda v: (v.mean(),), lambda v, s, *_: v - s[0], momentum=momentum
    )


def variance_only(num_features: int, *, eps: float = 1e-5, momentum: float | None = 0.1) -> NumpyReference:
    return NumpyReference(
        num_features, {"var": 1}, lambda v: (v.var(),), lambda v, s, *_: v / math.sqrt(s[0] + eps), momentum=momentum
    )


def by_deviation(
    num_features: int, deviation: Callable[[Array], float], *, eps: float = 1e-5, momentum: float | None = 0.1
) -> NumpyReference:
    """(x - μ) / (D + ε)."""
    return NumpyReference(
        num_features,
        {"mean": 0, "deviation": 1},
        lambda v: (v.mean(), deviation(v)),
        lambda v, s, *_: (v - s[0]) / (s[1] + eps),
        momentum=momentum,
    )


def l1(num_features: int, *, gaussian: bool = False, **options: Any) -> NumpyReference:
    factor = 1.2533141373155003 if gaussian else 1.0  # √(π/2)
    return by_deviation(num_features, lambda v: factor * np.mean(np.abs(v - v.mean())), **options)


def lp(num_features: int, *, p: int | str, centered: bool = True, **options: Any) -> NumpyReference:
    def deviation(v: Array) -> float:
        d = v - v.mean() if centered else v
        return float(np.linalg.norm(d, np.inf) if p == "inf" else np.linalg.norm(d, 2) / math.sqrt(len(d)))

    return by_deviation(num_features, deviation, **options)


def upper_tail_mean(v: Array, alpha: float) -> float:
    """CVaR_α by its definition: the mean of the largest (1 - α) m values, the last of them in part."""
    weight = (1 - alpha) * len(v)
    largest = np.sort(v)[::-1]
    whole = min(int(weight), len(v))
    part = (weight - whole) * largest[whole] if whole < len(v) else 0.0
    return float((largest[:whole].sum() + part) / weight)


def generalized(
    num_features: int, *, pair: str, alpha: float = 0.75, eps: float = 1e-5, momentum: float | None = 0.1
) -> NumpyReference:
    def quantile(v: Array) -> Statistics:
        # The smallest value that at least α of the values do not exceed, by counting.
        q = next(x for x in np.sort(v) if np.mean(v <= x) >= alpha - 1e-12)
        return float(q), float(upper_tail_mean(v, alpha) - v.mean()) ** 2

    measures: dict[str, Callable[[Array], Statistics]] = {
        "mean_deviation": lambda v: (v.mean(), v.var()),
        "median_mad": lambda v: (float(np.median(v)), float(np.mean(np.abs(v - np.median(v)))) ** 2),
        "midrange": lambda v: ((v.max() + v.min()) / 2, float(np.ptp(v) / 2) ** 2),
        "quantile": quantile,
    }
    return NumpyReference(
        num_features,
        {"center": 0, "squared_deviation": 1},
        measures[pair],
        lambda v, s, *_: (v - s[0]) / math.sqrt(s[1] + eps),
        momentum=momentum,
    )


def renorm(
    num_features: int,
    *,
    r_max: float = 3.0,
    d_max: float = 5.0,
    warmup_steps: int = 5_000,
    r_max_steps: int = 40_000,
    d_max_steps: int = 25_000,
    eps: float = 1e-5,
    momentum: float | None = 0.01,
) -> NumpyReference:
    """As the paper's Algorithm 1 has it."""

    def normalize(v: Array, s: Statistics, running: Statistics | None, step: int) -> Array:
        x_hat = (v - s[0]) / s[1]
        if running is None:  # evaluation
            return x_hat
        mean, std = running
        r_limit, d_limit = (
            last if step >= end else float(np.interp(step, [warmup_steps, end], [first, last]))
            for end, first, last in ((r_max_steps, 1, r_max), (d_max_steps, 0, d_max))
        )
        r = np.clip(s[1] / std, 1 / r_limit, r_limit)
        d = np.clip((s[0] - mean) / std, -d_limit, d_limit)
        return np.asarray(x_hat * r + d)

    return NumpyReference(
        num_features,
        {"mean": 0, "std": 1},
        lambda v: (v.mean(), math.sqrt(v.var() + eps)),
        normalize,
        momentum=momentum,
    )
