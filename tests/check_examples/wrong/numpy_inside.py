# expect: no gradient, no parameters, no buffers, dtype
import numpy as np
import torch
import torch.nn as nn


class NumpyBN(nn.Module):
    def __init__(self, num_features):
        super().__init__()
        self.gamma = torch.ones(num_features)
        self.beta = torch.zeros(num_features)
        self.running_mean = np.zeros(num_features)
        self.running_var = np.ones(num_features)

    def forward(self, x):
        a = x.detach().numpy()
        gamma, beta = self.gamma.numpy(), self.beta.numpy()
        if self.training:
            mean, var = np.mean(a, axis=0), np.var(a, axis=0)
            self.running_mean = 0.9 * self.running_mean + 0.1 * mean
            self.running_var = 0.9 * self.running_var + 0.1 * np.var(a, axis=0, ddof=1)
        else:
            mean, var = self.running_mean, self.running_var
        a = gamma * (a - mean) / np.sqrt(var + 1e-5) + beta
        return torch.tensor(a, dtype=torch.float32)
