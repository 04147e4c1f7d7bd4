# expect: eps outside, unbiased output
import torch


def simple_batch_norm_1d(x, gamma, beta):
    """Standardize the columns, as in a statistics course."""
    out = []
    for j in range(x.shape[1]):
        col = x[:, j]
        s = ((col - col.mean()).pow(2).sum() / (len(col) - 1)) ** 0.5
        out.append((col - col.mean()) / (s + 1e-5))
    return torch.stack(out, dim=1) * gamma + beta
