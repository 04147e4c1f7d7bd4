# held out; expect: no eps
import torch
import torch.nn as nn


class BN(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(n))
        self.beta = nn.Parameter(torch.zeros(n))
        self.register_buffer("running_mean", torch.zeros(n))
        self.register_buffer("running_var", torch.ones(n))

    def forward(self, x):
        if self.training:
            mean, var = x.mean(0), x.var(0, unbiased=False)
            with torch.no_grad():
                self.running_mean.mul_(0.5).add_(0.5 * mean)
                self.running_var.mul_(0.5).add_(0.5 * x.var(0))
            return self.gamma * (x - mean) / torch.sqrt(var + 1e-5) + self.beta
        return self.gamma * (x - self.running_mean) / torch.sqrt(self.running_var) + self.beta
