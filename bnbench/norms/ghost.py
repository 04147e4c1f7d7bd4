"""Ghost batch normalization (Hoffer, Hubara & Soudry 2017, arXiv:1705.08741, Algorithm 1)."""

import torch
from torch import Tensor

from bnbench.norms.batch import BatchNorm
from bnbench.norms.channels import in_float32


def ghost_batches(x: Tensor, size: int) -> tuple[Tensor, ...]:
    """`x` (N, ...) cut along the batch into parts of `size`; a last part of one image joins the part before it."""
    parts = torch.split(x, size)
    if len(parts) > 1 and len(parts[-1]) == 1 < size:
        return (*parts[:-2], x[-size - 1 :])
    return parts


class GhostBatchNorm(BatchNorm):
    """Batch normalization of small parts of the batch, so that large batches keep small batches' noise.

    Training:    every part of `virtual_batch_size` images is normalized by its own μ and biased σ²
    Evaluation:  y = γ (x - μ) / √(σ² + ε) + β by the running statistics
    After each part, one after the other, with m values a channel:

        running_mean = (1 - momentum) * running_mean + momentum * μ_part
        running_var  = (1 - momentum) * running_var  + momentum * σ²_part * m / (m - 1)

    So K parts keep (1 - momentum)^K of the old average. With one part it is batch normalization.

    Args:
        virtual_batch_size: images in a part, at least 1 (2 for vectors); the paper's is 128.

    Raises:
        ValueError: another number of channels; or one value per channel in a part.
    """

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        virtual_batch_size: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, spatial, eps=eps, momentum=momentum, affine=affine)
        self.virtual_batch_size = virtual_batch_size

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        forward = super().forward
        return torch.cat([forward(part) for part in ghost_batches(x, self.virtual_batch_size)])
