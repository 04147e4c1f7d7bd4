import torch
from torch import nn


class BatchNormalization(nn.Module):
    def __init__(self, num_features, momentum=0.99, epsilon=1e-3):
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.gamma = nn.Parameter(torch.ones(num_features))
        self.beta = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("moving_mean", torch.zeros(num_features))
        self.register_buffer("moving_variance", torch.ones(num_features))

    def call(self, inputs, training):
        axes = [0] + list(range(2, inputs.dim()))
        last = inputs.movedim(1, -1)
        if training:
            mean, variance = inputs.mean(axes), inputs.var(axes, correction=0)
            with torch.no_grad():
                self.moving_mean.copy_(self.moving_mean * self.momentum + mean * (1 - self.momentum))
                self.moving_variance.copy_(
                    self.moving_variance * self.momentum + inputs.var(axes) * (1 - self.momentum)
                )
        else:
            mean, variance = self.moving_mean, self.moving_variance
        out = (last - mean) * torch.rsqrt(variance + self.epsilon) * self.gamma + self.beta
        return out.movedim(-1, 1)

    def forward(self, inputs):
        return self.call(inputs, self.training)
