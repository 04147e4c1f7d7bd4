# held out; expect: old weight, biased
import torch
import torch.nn as nn


class BN(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.w = nn.Parameter(torch.ones(d))
        self.b = nn.Parameter(torch.zeros(d))
        self.register_buffer("rm", torch.zeros(d))
        self.register_buffer("rv", torch.ones(d))

    def forward(self, x, momentum=0.1):
        if self.training:
            mu = x.mean(0)
            v = x.var(0, unbiased=False)
            self.rm = momentum * self.rm + (1 - momentum) * mu.detach()
            self.rv = momentum * self.rv + (1 - momentum) * v.detach()
        else:
            mu, v = self.rm, self.rv
        return self.w * (x - mu) / (v + 1e-5).sqrt() + self.b
