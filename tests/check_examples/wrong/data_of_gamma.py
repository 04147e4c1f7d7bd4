# held out; expect: no parameter gradient
import torch
import torch.nn as nn


class BN(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))
        self.bias = nn.Parameter(torch.zeros(d))
        self.register_buffer("running_mean", torch.zeros(d))
        self.register_buffer("running_var", torch.ones(d))

    def forward(self, x):
        if self.training:
            mu = x.mean(0)
            v = x.var(0, unbiased=False)
            self.running_mean.mul_(0.9).add_(0.1 * mu.data)
            self.running_var.mul_(0.9).add_(0.1 * x.data.var(0))
        else:
            mu, v = self.running_mean, self.running_var
        return self.weight.data * (x - mu) / (v + 1e-5).sqrt() + self.bias.data
