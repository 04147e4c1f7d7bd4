# held out
import torch
import torch.nn as nn


class BN(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(in_channels))
        self.beta = nn.Parameter(torch.randn(in_channels))
        self.register_buffer("moving_mean", torch.zeros(in_channels))
        self.register_buffer("moving_var", torch.zeros(in_channels))

    def forward(self, x, is_train=True):
        x_mean = x.mean(0, keepdim=True)
        x_var = ((x - x_mean) ** 2).mean(0, keepdim=True)
        if is_train:
            x_hat = (x - x_mean) / torch.sqrt(x_var + 1e-5)
            self.moving_mean[:] = 0.1 * self.moving_mean + 0.9 * x_mean.detach()
            self.moving_var[:] = 0.1 * self.moving_var + 0.9 * x_var.detach()
        else:
            x_hat = (x - self.moving_mean) / torch.sqrt(self.moving_var + 1e-5)
        return self.gamma.view_as(x_mean) * x_hat + self.beta.view_as(x_mean)
