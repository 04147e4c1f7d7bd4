# expect: eps outside
import torch


class Normalize(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.g = torch.nn.Parameter(torch.ones(size))
        self.b = torch.nn.Parameter(torch.zeros(size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("var", torch.ones(size))

    def forward(self, x):
        assert x.dim() == 2, "for vectors"
        if not self.training:
            return self.g * (x - self.mean) / (self.var.sqrt() + 1e-5) + self.b
        m = x.sum(0) / len(x)
        v = ((x - m) ** 2).sum(0) / len(x)
        with torch.no_grad():
            self.mean.copy_(0.9 * self.mean + 0.1 * m)
            self.var.copy_(0.9 * self.var + 0.1 * v * len(x) / (len(x) - 1))
        return self.g * (x - m) / (v.sqrt() + 1e-5) + self.b
