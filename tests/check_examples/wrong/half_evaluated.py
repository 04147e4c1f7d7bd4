# held out; expect: evaluates half the batch
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
        mean = x.mean(0) if self.training else self.running_mean
        var = x.var(0, unbiased=False)
        if self.training:
            with torch.no_grad():
                self.running_mean += 0.1 * (mean - self.running_mean)
                self.running_var += 0.1 * (x.var(0) - self.running_var)
        return self.weight * (x - mean) / (var + 1e-5).sqrt() + self.bias
