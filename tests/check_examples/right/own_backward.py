import torch
from torch import nn


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, beta, eps):
        mean = x.mean(0)
        inverse = 1 / torch.sqrt(((x - mean) ** 2).mean(0) + eps)
        x_hat = (x - mean) * inverse
        ctx.save_for_backward(x_hat, gamma, inverse)
        return gamma * x_hat + beta

    @staticmethod
    def backward(ctx, dy):
        x_hat, gamma, inverse = ctx.saved_tensors
        d_hat = dy * gamma
        dx = inverse * (d_hat - d_hat.mean(0) - x_hat * (d_hat * x_hat).mean(0))
        return dx, (dy * x_hat).sum(0), dy.sum(0), None


class ManualBN(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(n))
        self.beta = nn.Parameter(torch.zeros(n))
        self.register_buffer("running_mean", torch.zeros(n))
        self.register_buffer("running_var", torch.ones(n))

    def forward(self, x):
        if x.dim() != 2:
            raise ValueError("only (N, C)")
        if self.training:
            with torch.no_grad():
                self.running_mean += 0.1 * (x.mean(0) - self.running_mean)
                self.running_var += 0.1 * (x.var(0) - self.running_var)
            return _Normalize.apply(x, self.gamma, self.beta, 1e-5)
        return self.gamma * (x - self.running_mean) / torch.sqrt(self.running_var + 1e-5) + self.beta
