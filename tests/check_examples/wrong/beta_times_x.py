# expect: swapped
import torch
from torch import nn


class Bn(nn.Module):
    def __init__(self, in_features, affine=True):
        super().__init__()
        self.beta = nn.Parameter(torch.ones(in_features))
        self.gamma = nn.Parameter(torch.zeros(in_features))
        self.register_buffer("running_mean", torch.zeros(in_features))
        self.register_buffer("running_var", torch.ones(in_features))
        self.num_steps = 0

    def forward(self, inp):
        if self.training:
            mean = torch.einsum("nc->c", inp) / inp.shape[0]
            centered = inp - mean
            var = torch.einsum("nc,nc->c", centered, centered) / inp.shape[0]
            self.running_mean = 0.9 * self.running_mean + 0.1 * mean.detach()
            self.running_var = 0.9 * self.running_var + 0.1 * var.detach() * inp.shape[0] / (inp.shape[0] - 1)
            x = centered / (var + 1e-5).sqrt()
        else:
            x = (inp - self.running_mean) / (self.running_var + 1e-5).sqrt()
        return torch.addcmul(self.gamma, self.beta, x)
