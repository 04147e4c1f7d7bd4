# held out; expect: one variance
import torch
import torch.nn as nn


class BN(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))
        self.bias = nn.Parameter(torch.zeros(d))

    def forward(self, x):
        mu = x.mean(0)
        v = torch.mean((x - mu) ** 2)
        return self.weight * (x - mu) / (v + 1e-5).sqrt() + self.bias
