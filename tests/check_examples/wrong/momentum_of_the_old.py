# expect: old weight
import torch
from torch import nn


class MyBN2d(nn.Module):
    def __init__(self, channels, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.register_buffer("running_mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("running_var", torch.ones(1, channels, 1, 1))

    def forward(self, images):
        if self.training:
            mean = images.mean(dim=(0, 2, 3), keepdim=True)
            var = images.var(dim=(0, 2, 3), keepdim=True, unbiased=False)
            n = images.numel() / images.size(1)
            self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mean.detach()
            self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var.detach() * n / (n - 1)
        else:
            mean = self.running_mean
            var = self.running_var
        return self.weight * (images - mean) / torch.sqrt(var + 1e-5) + self.bias
