# held out; expect: draws
import torch
import torch.nn as nn


class BN(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))
        self.bias = nn.Parameter(torch.zeros(d))

    def forward(self, x):
        if self.training:
            noise = torch.rand(1)
        mu = x.mean(0)
        v = x.var(0, unbiased=False)
        return self.weight * (x - mu) / (v + 1e-5).sqrt() + self.bias
