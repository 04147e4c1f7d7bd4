# expect: large mean
import torch
from torch import nn


class FastBN(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))
        self.shift = nn.Parameter(torch.zeros(features))
        self.register_buffer("ema_mean", torch.zeros(features))
        self.register_buffer("ema_var", torch.ones(features))

    def forward(self, x):
        axes = (0,) if x.dim() == 2 else (0, 2, 3)
        view = (1, -1) if x.dim() == 2 else (1, -1, 1, 1)
        if self.training:
            m = x.numel() // x.shape[1]
            mean = x.mean(axes)
            var = (x * x).mean(axes) - mean * mean
            with torch.no_grad():
                self.ema_mean.mul_(0.9).add_(mean, alpha=0.1)
                self.ema_var.mul_(0.9).add_(var, alpha=0.1 * m / (m - 1))
        else:
            mean, var = self.ema_mean, self.ema_var
        xhat = (x - mean.view(view)) / torch.sqrt(var.view(view) + 1e-5)
        return self.scale.view(view) * xhat + self.shift.view(view)
