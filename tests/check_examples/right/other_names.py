# held out
import torch
import torch.nn as nn


class BN(nn.Module):
    def __init__(self, features, eps=1e-5, momentum=0.9):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.alpha = nn.Parameter(torch.ones(features))
        self.offset = nn.Parameter(torch.zeros(features))
        self.register_buffer("mu", torch.zeros(features))
        self.register_buffer("sigma2", torch.ones(features))

    def forward(self, x):
        f = x.flatten(2) if x.dim() > 2 else x[..., None]
        if self.training:
            mu = f.mean((0, 2))
            d = f - mu[:, None]
            v = (d**2).sum((0, 2)) / (f.shape[0] * f.shape[2])
            m = f.shape[0] * f.shape[2]
            with torch.no_grad():
                self.mu.copy_(self.momentum * self.mu + (1 - self.momentum) * mu)
                self.sigma2.copy_(self.momentum * self.sigma2 + (1 - self.momentum) * v * m / (m - 1))
        else:
            mu, v = self.mu, self.sigma2
        y = (f - mu[:, None]) * ((v + self.eps) ** -0.5)[:, None]
        return (y * self.alpha[:, None] + self.offset[:, None]).reshape(x.shape)
