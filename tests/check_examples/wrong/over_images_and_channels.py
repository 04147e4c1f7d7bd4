# held out; expect: wrong axis
import torch
import torch.nn as nn


class BN(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d, 1, 1))
        self.bias = nn.Parameter(torch.zeros(d, 1, 1))

    def forward(self, x):
        mu = x.mean((0, 1), keepdim=True)
        s = ((x - mu) ** 2).mean((0, 1), keepdim=True).sqrt()
        return self.weight * (x - mu) / s + self.bias
