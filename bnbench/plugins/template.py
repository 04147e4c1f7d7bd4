"""The file that `bnbench norms new` writes: a norm that keeps the contract, to be changed."""

import keyword
import re

from bnbench.errors import ConfigError
from bnbench.plugins.source import SHIPPED, TYPE

TEXT = '''"""A norm of one's own for bnbench.

bnbench norms test {name}.py                    checks what every norm promises
bnbench run my.yaml --norms {name}.py           trains a config with norm: {{type: {name}}}
"""

import torch
from torch import Tensor, nn


class {layer}(nn.Module):
    """Normalizes each image by its mean and its deviation over all of its values. Change it to your formula.

    Training and evaluation:  y = γ (x - μ) / √(σ² + ε) + β

    Args:
        num_features: C, the size of dimension 1 of the input.
        spatial: () for vectors (N, C), and (H, W) for images (N, C, H, W).
        eps, affine: the options. Every option needs a type. A config sets it: norm: {{type: {name}, eps: 1e-3}}

    Keep what training changes in parameters and buffers (`self.register_buffer`), so that a run can resume.
    A norm that draws at random takes a parameter `generator` and draws from it alone.
    """

    def __init__(
        self, num_features: int, spatial: tuple[int, ...] = (), *, eps: float = 1e-5, affine: bool = True
    ) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        dims = tuple(range(1, x.dim()))
        mean = x.mean(dims, keepdim=True)
        variance = (x - mean).square().mean(dims, keepdim=True)
        y = (x - mean) / torch.sqrt(variance + self.eps)
        if self.weight is None or self.bias is None:
            return y
        channels = (1, -1) + (1,) * (x.dim() - 2)
        return y * self.weight.view(channels) + self.bias.view(channels)


NORMS = {{"{name}": {layer}}}
'''


def template(name: str) -> str:
    """The file for a norm of this type. Raises ConfigError where no norm can be called so."""
    layer = "".join(part.capitalize() for part in re.split("_+", name))
    if not TYPE.fullmatch(name) or keyword.iskeyword(layer):
        raise ConfigError(f"{name!r} is not a norm's name: use small letters, digits and '_', as in my_norm")
    if name in SHIPPED:
        raise ConfigError(f"bnbench has a norm {name} already; give yours another name")
    return TEXT.format(name=name, layer=layer)
