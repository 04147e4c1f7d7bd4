"""Filter response normalization with its activation (Singh & Krishnan 2020, arXiv:1911.09737)."""

import torch
from torch import Tensor, nn

from bnbench.norms.channels import add_weight_and_bias, in_float32, per_channel, refuse_other_channels, scale_and_shift


def filter_response_norm(x: Tensor, tau: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """`x` (N, C, H, W), each channel of each image by the root of its mean square over H·W positions.

        ν² = mean(x²)        y = γ x / √(ν² + ε) + β        z = max(y, τ)

    No mean is subtracted. max(y, τ) is the thresholded linear unit; γ, β and τ, (C,), are of each channel.
    """
    mean_square = x.square().mean(list(range(2, x.dim())), keepdim=True)  # (N, C, 1, 1)
    y = scale_and_shift(x / torch.sqrt(mean_square + eps), weight, bias)
    return torch.maximum(y, per_channel(tau, y))


class FilterResponseNorm(nn.Module):
    """Filter response normalization of images (N, C, H, W), with its thresholded linear unit.

    Training and evaluation:  z = max(γ x / √(mean(x²) + ε) + β, τ), the mean over one channel's H·W values
    No running statistics. τ is learned and starts at 0, where the activation is ReLU: no other activation
    follows. ε is constant, as for images in the paper, and is that of timm's layer.

    A vector has one value in a channel, of which x / √(x² + ε) keeps the sign and almost nothing else. The paper
    learns a large ε for this case. This layer takes images only.

    Raises:
        ValueError: an input without positions, or with another number of channels.
    """

    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        eps: float = 1e-5,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps = num_features, eps
        add_weight_and_bias(self, (num_features,), affine)
        self.tau = nn.Parameter(torch.zeros(num_features))

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        refuse_other_channels(x, self.num_features, "filter response norm")
        if x.dim() < 3:
            raise ValueError(
                f"filter response norm needs images (N, C, H, W); an input of shape {tuple(x.shape)} has none"
            )
        return filter_response_norm(x, self.tau, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"
