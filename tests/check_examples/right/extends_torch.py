# held out
import torch


class Mine(torch.nn.BatchNorm2d):
    """PyTorch's own, by another name."""
