# expect: not the root
import numpy as np


def bn_process(feature, mean, var):
    out = np.zeros_like(feature)
    N, C, H, W = feature.shape
    for c in range(C):
        values = feature[:, c].reshape(-1)
        mu = values.mean()
        sigma2 = values.var()
        out[:, c] = (feature[:, c] - mu) / (sigma2 + 1e-5)
        mean[c] = 0.9 * mean[c] + 0.1 * mu
        var[c] = 0.9 * var[c] + 0.1 * sigma2 * (N * H * W) / (N * H * W - 1)
    return out
