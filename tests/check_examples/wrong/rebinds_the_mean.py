# expect: never updated
import torch


def batch_norm_1d(x, gamma, beta, is_training, moving_mean, moving_var, moving_momentum=0.9):
    if is_training:
        mean = x.mean(0)
        var = x.var(0, unbiased=False)
        # these names are local: the caller's tensors stay as they were
        moving_mean = moving_momentum * moving_mean + (1 - moving_momentum) * mean
        moving_var = moving_momentum * moving_var + (1 - moving_momentum) * var
    else:
        mean, var = moving_mean, moving_var
    return gamma * ((x - mean) / torch.sqrt(var + 1e-5)) + beta
