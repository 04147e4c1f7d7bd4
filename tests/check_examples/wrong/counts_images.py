# expect: images counted
import torch
import torch.nn as nn


class ImageNorm(nn.Module):
    def __init__(self, num_channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(num_channels, 1, 1))
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))

    def forward(self, x):
        n, c, h, w = x.size()
        if self.training:
            mean = x.mean(3).mean(2).mean(0)
            var = (x - mean.view(1, c, 1, 1)).pow(2).mean(3).mean(2).mean(0)
            with torch.no_grad():
                self.running_mean = self.running_mean * 0.9 + mean * 0.1
                self.running_var = self.running_var * 0.9 + var * (n / (n - 1)) * 0.1
        else:
            mean, var = self.running_mean, self.running_var
        x = (x - mean.view(1, c, 1, 1)) / var.view(1, c, 1, 1).add(1e-5).sqrt()
        return x * self.gamma + self.beta
