# expect: eps outside, unbiased output, deviation averaged
# "I used x.std() and the numbers are a little off."
import torch
import torch.nn as nn


class BN1d(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))
        self.beta = nn.Parameter(torch.zeros(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_std", torch.ones(dim))

    def forward(self, x):
        if x.ndim != 2:
            raise ValueError("expected (N, C)")
        if self.training:
            mean, std = x.mean(0), x.std(0)
            self.running_mean = (0.9 * self.running_mean + 0.1 * mean).detach()
            self.running_std = (0.9 * self.running_std + 0.1 * std).detach()
        else:
            mean, std = self.running_mean, self.running_std
        return (x - mean) / (std + 1e-5) * self.gamma + self.beta
