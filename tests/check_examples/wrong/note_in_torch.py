# held out; expect: biased
import torch


def bn(feature, mean, var):
    for i in range(feature.shape[1]):
        f = feature[:, i]
        m = torch.mean(f)
        s = torch.std(f, unbiased=False)
        feature[:, i] = (f - m) / torch.sqrt(s**2 + 1e-5)
        mean[i] = mean[i] * 0.9 + m * 0.1
        var[i] = var[i] * 0.9 + s**2 * 0.1
    return feature
