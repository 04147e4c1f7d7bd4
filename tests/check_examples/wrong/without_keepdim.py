# held out; expect: raises
import torch


def simple_batch_norm_1d(x, gamma, beta):
    mean = x.mean(1)
    var = x.var(1)
    return gamma * (x - mean) / torch.sqrt(var + 1e-5) + beta
