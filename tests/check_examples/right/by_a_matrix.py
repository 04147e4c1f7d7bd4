# held out
import torch
import torch.nn.functional as F
from torch import nn


class BN1d(nn.Module):
    """The scale is a product with a diagonal matrix."""

    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    @staticmethod
    def moments(x):
        mean = x.sum(0).div(x.shape[0])
        return mean, x.sub(mean).square().sum(0).div(x.shape[0])

    def forward(self, x):
        if self.training:
            mean, var = self.moments(x)
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                for buffer, new in ((self.running_mean, mean), (self.running_var, var * len(x) / (len(x) - 1))):
                    buffer.copy_(buffer + 0.1 * (new - buffer))
        else:
            mean, var = self.running_mean, self.running_var
        return F.linear((x - mean) * torch.pow(var + self.eps, -0.5), torch.diag(self.weight), self.bias)
