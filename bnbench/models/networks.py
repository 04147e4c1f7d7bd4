"""The models by name, including the tutorial's two networks. Nothing here depends on configs.

`MODELS[type](shape, classes, norm, bias=..., norm_last=..., **options)` builds a model:

- `shape` is an image's (channels, height, width); the model maps (N, *shape) to (N, classes).
- `norm(num_features, spatial)` returns a norm or None; `spatial` is () after a linear layer and (H, W) after a
  convolution. The norm stands between a layer and its activation, or after the activation with `norm_last`.
- `bias` is the bias of the hidden layers; `options` come from the model's config (bnbench/config/models.py).

A model may be any module whose output layer is its attribute `classifier`. `initialize_weights` sets its linear
and convolution layers, in the order of `modules()`.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import nn

from bnbench.randomness import generator

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
) -> nn.Module:
    """784 → [linear, norm, activation] for each hidden width → linear → 10 logits."""
    layers: dict[str, nn.Module | None] = {"flatten": nn.Flatten()}  # (N, 1, 28, 28) → (N, 784)
    width = math.prod(shape)
    for i, next_width in enumerate(hidden, start=1):
        layers[f"linear{i}"] = nn.Linear(width, next_width, bias)
        layers |= _norm_and_activation(i, norm(next_width, ()), activation, norm_last)
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
) -> nn.Module:
    """Two blocks of [convolution, norm, activation, max-pool 2], then linear → 10 logits.

    With the tutorial's 6 and 16 channels, the classifier is linear 400 → 10.
    """
    colours, *before = shape
    first, second = channels
    after = [size // 2 - 4 for size in before]  # after the second convolution: (10, 10)
    layers: dict[str, nn.Module | None] = {
        "conv1": nn.Conv2d(colours, first, 3, padding=1, bias=bias),  # (N, 1, 28, 28) → (N, 6, 28, 28)
        **_norm_and_activation(1, norm(first, tuple(before)), activation, norm_last),
        "pool1": nn.MaxPool2d(2),  # → (N, 6, 14, 14)
        "conv2": nn.Conv2d(first, second, 5, bias=bias),  # → (N, 16, 10, 10)
        **_norm_and_activation(2, norm(second, tuple(after)), activation, norm_last),
        "pool2": nn.MaxPool2d(2),  # → (N, 16, 5, 5)
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(second * math.prod(size // 2 for size in after), classes),
    }
    return _sequential(layers)


MODELS: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "cnn": cnn}


def _norm_and_activation(
    i: int, norm: nn.Module | None, activation: str, norm_last: bool
) -> dict[str, nn.Module | None]:
    named = (f"norm{i}", norm), (f"activation{i}", ACTIVATIONS[activation]())
    return dict(reversed(named) if norm_last else named)


def hidden_layers(model: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """The linear and convolution layers except the classifier, in the order of `modules()`."""
    output = set(model.get_submodule("classifier").modules())
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d) and layer not in output]


def _sequential(layers: dict[str, nn.Module | None]) -> nn.Sequential:
    """The layers that are not None, by name. Arms with and without norms use the same names for shared layers."""
    return nn.Sequential(OrderedDict((name, layer) for name, layer in layers.items() if layer is not None))


@torch.no_grad()
def initialize_weights(model: nn.Module, seed: int) -> None:
    """PyTorch's default initialization of linear and convolution layers, drawn from streams of `seed`.

    Weights and biases are U(-1/√fan_in, 1/√fan_in). Each layer has its own stream and draws its weight first,
    so norms and missing biases do not change the values of any other weight.
    """
    weighted = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for i, layer in enumerate(weighted):
        stream = generator(seed, "weights", i)
        bound = 1 / math.sqrt(layer.weight[0].numel())
        layer.weight.uniform_(-bound, bound, generator=stream)
        if layer.bias is not None:
            layer.bias.uniform_(-bound, bound, generator=stream)


def parameter_count(model: nn.Module) -> int:
    """The number of trainable values; running statistics do not count."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
