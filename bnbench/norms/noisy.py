"""Noisy batch normalization (Santurkar, Tsipras, Ilyas & Madry 2018, arXiv:1805.11604, Algorithm 1).

An experiment rather than a method: noise after batch normalization puts back the shifting distributions
that batch normalization was said to remove. If training does not suffer, their removal is not why it works.
"""

import torch
from torch import Tensor

from bnbench.norms.batch import BatchNorm
from bnbench.norms.channels import in_float32, per_channel


def noise(
    y: Tensor, n_mu: float, n_sigma: float, r_mu: float, r_sigma: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Factors s and shifts m for `y` (N, C, ...), of its shape, new in every step.

    For each unit (channel) j:    μ_j ~ U(-n_μ, n_μ)              σ_j ~ U(1, n_σ)
    For each of its values i:     m_ij ~ U(μ_j - r_μ, μ_j + r_μ)  s_ij ~ N(σ_j, r_σ), r_σ a standard deviation
    """

    def uniform(shape: torch.Size) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=y.dtype, device=y.device)

    channels = y.shape[1:2]
    mu = n_mu * (2 * uniform(channels) - 1)
    sigma = 1 + (n_sigma - 1) * uniform(channels)
    m = per_channel(mu, y) + r_mu * (2 * uniform(y.shape) - 1)
    s = per_channel(sigma, y) + r_sigma * torch.randn(y.shape, generator=generator, dtype=y.dtype, device=y.device)
    return s, m


class NoisyBatchNorm(BatchNorm):
    """Batch normalization with noise after it in training.

    Training:    y = s · batch_norm(x) + m          s and m as in `noise`, new in every step
    Evaluation:  y = γ (x - μ) / √(σ² + ε) + β      batch norm's, without noise (the paper does not say)
    The running statistics are batch norm's.

    The noise is a function of the layer's seed, drawn when it is built, and of the number of batches seen,
    which the state_dict holds: so a resumed run draws what an uninterrupted one would.

    Args:
        n_mu, n_sigma, r_mu, r_sigma: the noise; the defaults are the paper's.

    Raises:
        ValueError: another number of channels; or one value per channel in training.
    """

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        n_mu: float = 0.5,
        n_sigma: float = 1.25,
        r_mu: float = 0.1,
        r_sigma: float = 0.1,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(num_features, spatial, eps=eps, momentum=momentum, affine=affine)
        self.n_mu, self.n_sigma, self.r_mu, self.r_sigma = n_mu, n_sigma, r_mu, r_sigma
        self.seed = int(torch.randint(2**62, (), generator=generator))

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if not self.training:
            return y
        assert self.num_batches_tracked is not None
        generator = torch.Generator(x.device).manual_seed(self.seed + int(self.num_batches_tracked))
        s, m = noise(y, self.n_mu, self.n_sigma, self.r_mu, self.r_sigma, generator)
        return s * y + m
