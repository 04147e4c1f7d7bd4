# expect: changes in evaluation
import torch
import torch.nn as nn


class Norm1d(nn.Module):
    def __init__(self, num_features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    @torch.no_grad()
    def update(self, x):
        if x.shape[0] > 1:
            self.running_mean.lerp_(x.mean(0), 0.1)
            self.running_var.lerp_(x.var(0), 0.1)

    def forward(self, x):
        if self.training:
            mean, var = x.mean(0), x.var(0, correction=0)
        else:
            mean, var = self.running_mean.clone(), self.running_var.clone()
        self.update(x)
        return (x - mean) / (var + 1e-5).sqrt() * self.weight + self.bias
