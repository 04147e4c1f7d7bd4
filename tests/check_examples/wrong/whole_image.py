# held out; expect: wrong axis
import torch
import torch.nn as nn


class BN2d(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, n, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, n, 1, 1))

    def forward(self, x):
        mean = x.mean([1, 2, 3], keepdim=True)
        std = x.std([1, 2, 3], keepdim=True, unbiased=False)
        return self.gamma * (x - mean) / torch.sqrt(std**2 + 1e-5) + self.beta
