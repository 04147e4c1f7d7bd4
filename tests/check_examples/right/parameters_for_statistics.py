# held out
import torch
import torch.nn as nn


class BatchNormTwoD(nn.Module):
    def __init__(self, num_features, eps, momentum, affine=True, track_running_stats=True):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        if affine:
            self.weight = nn.Parameter(torch.ones(num_features))
            self.bias = nn.Parameter(torch.zeros(num_features))
        self.running_mean = nn.Parameter(torch.zeros(num_features), requires_grad=False)
        self.running_var = nn.Parameter(torch.ones(num_features), requires_grad=False)

    def forward(self, x):
        n, c, h, w = x.shape
        y = x.permute(1, 0, 2, 3).contiguous().view(c, -1)
        if self.training:
            mu = y.mean(1, keepdim=True)
            sig = torch.std(y, 1, unbiased=False, keepdim=True) ** 2
            self.running_mean.data = (1 - self.momentum) * self.running_mean.data + self.momentum * mu.data[:, 0]
            self.running_var.data = (1 - self.momentum) * self.running_var.data + self.momentum * torch.var(y, 1).data
        else:
            mu, sig = self.running_mean[:, None], self.running_var[:, None]
        y = (y - mu) / torch.sqrt(sig + self.eps) * self.weight[:, None] + self.bias[:, None]
        return y.view(c, n, h, w).permute(1, 0, 2, 3)
