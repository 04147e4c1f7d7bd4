# expect: in place, biased
import torch
import torch.nn as nn


class LoopNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        for c in range(x.shape[1]):
            if self.training:
                mean = x[:, c].mean()
                var = ((x[:, c] - mean) ** 2).mean()
                with torch.no_grad():
                    self.running_mean[c] = 0.9 * self.running_mean[c] + 0.1 * mean
                    self.running_var[c] = 0.9 * self.running_var[c] + 0.1 * var
            else:
                mean, var = self.running_mean[c].clone(), self.running_var[c].clone()
            x[:, c] = (x[:, c] - mean) / (var + 1e-5).sqrt() * self.weight[c] + self.bias[c]
        return x
