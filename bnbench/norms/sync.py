"""Synchronized batch normalization: one batch norm over the batches of all processes of data-parallel training."""

import torch
from torch import Tensor, distributed, nn

from bnbench.norms.batch import BatchNorm
from bnbench.norms.channels import channel_values, in_float32, per_channel, refuse_other_channels, scale_and_shift


def _sum_over_processes(values: Tensor) -> Tensor:
    """The sum over all processes; the gradient of every process's part is the sum of theirs."""
    from torch.distributed.nn.functional import all_reduce  # slow to import, and only needed here

    total: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return total


def sync_batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """This process's `x` (N, C, ...) by the statistics of all processes → (y like x, μ (C,), σ² (C,), M ()).

        M = Σ_p m_p        μ = 1/M Σ_p Σ x        σ² = 1/M Σ_p Σ (x - μ)²

    p counts the processes, whose batches may differ in size. Three sums cross the network: the count, one for the mean,
    then one for the variance around it, which keeps the digits that E[x²] - E[x]² would lose.
    """
    values = channel_values(x)
    M = _sum_over_processes(torch.tensor(float(values.shape[1]), dtype=torch.float64, device=x.device))  # noqa: N806
    total = _sum_over_processes(values.sum(1))
    mean = total / M
    deviation = x - per_channel(mean, x)
    var = _sum_over_processes(channel_values(deviation).square().sum(1)) / M
    y = scale_and_shift(deviation / torch.sqrt(per_channel(var, x) + eps), weight, bias)
    return y, mean, var, M


class SyncBatchNorm(BatchNorm):
    """Batch normalization over all processes of a torch.distributed group, on any device.

    Training:    y = γ (x - μ) / √(σ² + ε) + β, μ and biased σ² of the batches of all processes together
    Evaluation:  y = γ (x - μ) / √(σ² + ε) + β by the running statistics
    The running statistics are batch norm's, with M, the values a channel has in all processes, for m.

    Without a process group, or in a group of one, it is batch norm. torch.nn.SyncBatchNorm (`builtin`)
    is the same on GPUs, and refuses CPU tensors in a group.

    Raises:
        ValueError: another number of channels; or one value per channel in all processes together.
    """

    def __init__(
        self,
        num_features: int,
        spatial: tuple[int, ...] = (),
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, spatial, eps=eps, momentum=momentum, affine=affine)

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        alone = not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1)
        if alone or not self.training:
            return super().forward(x)
        refuse_other_channels(x, self.num_features, "sync batch norm")
        y, mean, var, count = sync_batch_norm(x, self.weight, self.bias, self.eps)
        if count == 1:
            raise ValueError("sync batch norm needs more than one value per channel in all processes together")
        self._update_running_statistics(mean, var, m=int(count))
        return y


def builtin_sync_batch_norm(
    num_features: int,
    spatial: tuple[int, ...] = (),
    *,
    eps: float = 1e-5,
    momentum: float | None = 0.1,
    affine: bool = True,
) -> nn.SyncBatchNorm:
    """torch.nn.SyncBatchNorm: on GPUs over all processes, elsewhere without a group."""
    return nn.SyncBatchNorm(num_features, eps, momentum, affine)
