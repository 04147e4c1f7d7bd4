import numpy as np


def bn_process(feature, mean, var):
    feature_shape = feature.shape
    for i in range(feature_shape[1]):
        feature_t = feature[:, i, :, :]
        mean_t = feature_t.mean()
        std_t1 = feature_t.std()
        std_t2 = feature_t.std(ddof=1)
        feature[:, i, :, :] = (feature[:, i, :, :] - mean_t) / np.sqrt(std_t1**2 + 1e-5)
        mean[i] = mean[i] * 0.9 + mean_t * 0.1
        var[i] = var[i] * 0.9 + (std_t2**2) * 0.1
    print(feature)
