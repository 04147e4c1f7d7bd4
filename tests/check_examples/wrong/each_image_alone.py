# expect: wrong axis, no buffers
# The mean over "the image": keepdim with the wrong dimensions.
import torch
import torch.nn as nn


class BatchNorm2d(nn.Module):
    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, num_features, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, num_features, 1, 1))
        self.running_mean = None
        self.running_var = None
        self.eps = eps

    def forward(self, x):
        if x.dim() != 4:
            raise ValueError(f"expected 4D input (got {x.dim()}D)")
        mean = torch.mean(x, dim=(2, 3), keepdim=True)
        var = torch.mean((x - mean) ** 2, dim=(2, 3), keepdim=True)
        if self.training:
            if self.running_mean is None:
                self.running_mean, self.running_var = mean.detach(), var.detach()
            self.running_mean = 0.9 * self.running_mean + 0.1 * mean.detach()
            self.running_var = 0.9 * self.running_var + 0.1 * var.detach()
        else:
            mean, var = self.running_mean[: len(x)], self.running_var[: len(x)]
        return self.gamma * (x - mean) / torch.sqrt(var + self.eps) + self.beta
