import torch
import torch.nn as nn


class CumulativeBN(nn.Module):
    """Averages all batches, as torch does with momentum=None; γ is drawn as in old PyTorch."""

    def __init__(self, num_features):
        super().__init__()
        own = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.rand(num_features, generator=own))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.zeros(num_features))
        self.register_buffer("count", torch.tensor(0))

    @staticmethod
    def _as_matrix(x):
        return x if x.dim() == 2 else x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])

    def forward(self, x):
        rows = self._as_matrix(x)
        mean, var = self.running_mean, self.running_var
        if self.training:
            var, mean = torch.var_mean(rows, 0, unbiased=False)
            with torch.no_grad():
                self.count += 1
                self.running_mean += (mean - self.running_mean) / self.count
                self.running_var += (rows.var(0) - self.running_var) / self.count
        rows = (rows - mean) / torch.sqrt(var + 1e-5) * self.weight + self.bias
        if x.dim() == 2:
            return rows
        n, c, h, w = x.shape
        return rows.reshape(n, h, w, c).permute(0, 3, 1, 2)
