"""The models by name, including the tutorial's two networks. Nothing here depends on configs.

`MODELS[type](shape, classes, norm, bias=..., norm_last=..., **options)` builds a model:

- `shape` is an image's (channels, height, width); the model maps (N, *shape) to (N, classes).
- `norm(num_features, spatial)` returns a norm or None; `spatial` is () after a linear layer and (H, W) after a
  convolution. The norm stands between a layer and its activation, or after the activation with `norm_last`.
- `bias` is the bias of the hidden layers; `options` come from the model's config (bnbench/config/models.py).

A model may be any module whose output layer is its attribute `classifier`. start.py sets the initial weights of its
linear and convolution layers, in the order of `modules()`.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

NormFactory = Callable[[int, tuple[int, ...]], nn.Module | None]

Shape = tuple[int, int, int]

# ReLU in place, as in the tutorial. This is safe because no norm needs its output for its gradient.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "none": nn.Identity,  # the norm brings its own
}


def mlp(
    shape: Shape,
    classes: int,
    norm: NormFactory,
    *,
    hidden: Sequence[int],
    activation: str,
    bias: bool = True,
    norm_last: bool = False,
    residual: bool = False,
    skip_init: bool = False,
) -> nn.Module:
    """784 → [linear, norm, activation] for each hidden width → linear → 10 logits.

    With `residual`, each of these blocks but the first is a residual block. All widths must then be equal.
    """
    layers: dict[str, nn.Module | None] = {"flatten": nn.Flatten()}  # (N, 1, 28, 28) → (N, 784)
    width = math.prod(shape)
    for i, next_width in enumerate(hidden, start=1):
        block = {
            f"linear{i}": nn.Linear(width, next_width, bias),
            **_norm_and_activation(i, norm(next_width, ()), activation, norm_last),
        }
        layers |= {f"residual{i}": Residual(block, skip_init)} if residual and i > 1 else block
        width = next_width
    layers["classifier"] = nn.Linear(width, classes)
    return _sequential(layers)


def cnn(
    shape: Shape,
    classes: int,
    norm: NormFactory,
    *,
    channels: Sequence[int],
    activation: str,
    bias: bool = True,
    norm_last: bool = False,
    residual: bool = False,
    skip_init: bool = False,
) -> nn.Module:
    """Two blocks of [convolution, norm, activation, max-pool 2], then linear → 10 logits.

    With the tutorial's 6 and 16 channels, the classifier is linear 400 → 10. With `residual`, a residual block of
    [convolution 3x3, norm, activation] follows each max-pool.
    """
    channels_before, *size = shape  # 1, (28, 28)
    layers: dict[str, nn.Module | None] = {}

    def block(i: int, conv: nn.Conv2d) -> dict[str, nn.Module | None]:
        normalized = norm(conv.out_channels, tuple(size))
        return {f"conv{i}": conv, **_norm_and_activation(i, normalized, activation, norm_last)}

    # (N, 1, 28, 28) → (N, 6, 28, 28) → (N, 6, 14, 14) → (N, 16, 10, 10) → (N, 16, 5, 5)
    number = 1
    for stage, (width, kernel, padding) in enumerate(zip(channels, (3, 5), (1, 0), strict=True), start=1):
        size = [length + 2 * padding - kernel + 1 for length in size]
        layers |= block(number, nn.Conv2d(channels_before, width, kernel, padding=padding, bias=bias))
        layers[f"pool{stage}"] = nn.MaxPool2d(2)
        size = [length // 2 for length in size]
        if residual:
            number += 1
            same = block(number, nn.Conv2d(width, width, 3, padding=1, bias=bias))
            layers[f"residual{number}"] = Residual(same, skip_init)
        number += 1
        channels_before = width
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(channels_before * math.prod(size), classes)
    return _sequential(layers)


MODELS: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "cnn": cnn}


class Residual(nn.Sequential):
    """A residual block, x + F(x), where F is `layers` in order and keeps the shape of x.

    With `skip_init` it is x + αF(x), with a trained scalar α from 0, so that it starts as the identity: SkipInit
    (De & Smith 2020, arXiv:2002.10444, section 3.2).
    """

    def __init__(self, layers: dict[str, nn.Module | None], skip_init: bool) -> None:
        super().__init__(_present(layers))
        self.alpha = nn.Parameter(torch.zeros(())) if skip_init else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) → (N, ...)."""
        y = x
        for layer in self:
            y = layer(y)
        return x + (y if self.alpha is None else self.alpha * y)


def _norm_and_activation(
    i: int, norm: nn.Module | None, activation: str, norm_last: bool
) -> dict[str, nn.Module | None]:
    named = (f"norm{i}", norm), (f"activation{i}", ACTIVATIONS[activation]())
    return dict(reversed(named) if norm_last else named)


def hidden_layers(model: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """The linear and convolution layers except the classifier, in the order of `modules()`."""
    output = set(model.get_submodule("classifier").modules())
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d) and layer not in output]


# The names of a layer's weights: plain, and the direction of parametrized ones (norms of weights); a gain is no weight.
_WEIGHTS = ("weight", "parametrizations.weight.original", "parametrizations.weight.original1")


def hidden_weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights of the hidden layers: no γ, no β, no bias, no gain, and nothing of the classifier."""
    return [
        parameter for layer in hidden_layers(model) for name, parameter in layer.named_parameters() if name in _WEIGHTS
    ]


def _sequential(layers: dict[str, nn.Module | None]) -> nn.Sequential:
    """The layers that are not None, by name. Arms with and without norms use the same names for shared layers."""
    return nn.Sequential(_present(layers))


def _present(layers: dict[str, nn.Module | None]) -> OrderedDict[str, nn.Module]:
    return OrderedDict((name, layer) for name, layer in layers.items() if layer is not None)


def parameter_count(model: nn.Module) -> int:
    """The number of trainable values; running statistics do not count."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
