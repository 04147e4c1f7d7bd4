# expect: evaluates the batch
import torch
import torch.nn as nn
import torch.nn.functional as F


class BN(nn.Module):
    """Uses F.batch_norm, but always with training=True."""

    def __init__(self, num_features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x):
        if self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, True, 0.1)
        return F.batch_norm(x, None, None, self.weight, self.bias, True)
