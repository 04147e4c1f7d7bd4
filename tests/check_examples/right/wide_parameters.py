import torch
from torch import nn


class Bn2d(nn.Module):
    def __init__(self, channels):
        super().__init__()
        one = (1, channels, 1, 1)
        self.weight = nn.Parameter(torch.ones(one))
        self.bias = nn.Parameter(torch.zeros(one))
        self.register_buffer("running_mean", torch.zeros(one))
        self.register_buffer("running_var", torch.ones(one))

    def forward(self, x):
        if not self.training:
            return torch.addcmul(self.bias, self.weight, (x - self.running_mean) * (self.running_var + 1e-5).rsqrt())
        var, mean = torch.var_mean(x, dim=(0, 2, 3), keepdim=True, correction=0)
        m = x.numel() // x.size(1)
        self.running_mean.lerp_(mean.detach(), 0.1)
        self.running_var.lerp_(var.detach() * m / (m - 1), 0.1)
        return torch.addcmul(self.bias, self.weight, (x - mean) * (var + 1e-5).rsqrt())
