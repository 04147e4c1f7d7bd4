# held out; expect: unbiased output
import numpy as np


def bn_process(feature, mean, var):
    mu = feature.mean(axis=(0, 2, 3), keepdims=True)
    s = feature.std(axis=(0, 2, 3), ddof=1, keepdims=True)
    for i in range(feature.shape[1]):
        mean[i] = 0.9 * mean[i] + 0.1 * mu.ravel()[i]
        var[i] = 0.9 * var[i] + 0.1 * s.ravel()[i] ** 2
    return (feature - mu) / np.sqrt(s**2 + 1e-5)
