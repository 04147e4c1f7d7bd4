# held out; expect: no input gradient
import torch
import torch.nn as nn


class BN1d(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(n))
        self.beta = nn.Parameter(torch.zeros(n))
        self.register_buffer("running_mean", torch.zeros(n))
        self.register_buffer("running_var", torch.ones(n))

    def forward(self, x):
        with torch.no_grad():
            if self.training:
                mean, var = x.mean(0), x.var(0, unbiased=False)
                self.running_mean += 0.1 * (mean - self.running_mean)
                self.running_var += 0.1 * (x.var(0) - self.running_var)
            else:
                mean, var = self.running_mean, self.running_var
            x_hat = (x - mean) / torch.sqrt(var + 1e-5)
        return self.gamma * x_hat + self.beta
