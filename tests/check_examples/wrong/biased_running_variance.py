# expect: biased
import torch
import torch.nn as nn


class BatchNorm(nn.Module):
    def __init__(self, n_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.gamma = nn.Parameter(torch.ones(n_features))
        self.beta = nn.Parameter(torch.zeros(n_features))
        self.register_buffer("running_mean", torch.zeros(n_features))
        self.register_buffer("running_var", torch.ones(n_features))

    def forward(self, x):
        # (N, C, ...) -> (C, m)
        flat = x.transpose(0, 1).reshape(x.size(1), -1)
        if self.training:
            mu = flat.mean(dim=1)
            sigma2 = flat.var(dim=1, unbiased=False)
            with torch.no_grad():
                self.running_mean += self.momentum * (mu - self.running_mean)
                self.running_var += self.momentum * (sigma2 - self.running_var)
        else:
            mu, sigma2 = self.running_mean, self.running_var
        flat = (flat - mu[:, None]) / (sigma2[:, None] + self.eps) ** 0.5
        flat = flat * self.gamma[:, None] + self.beta[:, None]
        return flat.reshape(x.size(1), x.size(0), *x.shape[2:]).transpose(0, 1)
