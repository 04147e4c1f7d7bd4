# expect: one mean
import torch


def batch_norm(x, gamma, beta):
    mu = x.mean()
    std = torch.sqrt(x.var(unbiased=False) + 1e-5)
    x_norm = (x - mu) / std
    return gamma * x_norm + beta
