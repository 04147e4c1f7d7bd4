"""The learning rate of each step, as a plain function of the step: a resumed run needs no state of it."""

import math
from collections.abc import Callable

from bnbench.config.experiment import Config
from bnbench.config.train import CosineConfig, ScheduleConfig


def schedule(config: Config) -> Callable[[int], float] | None:
    """A function (step, counted from 0) → the learning rate of that step; None if the rate is constant."""
    train, per_epoch = config.train, config.data.batches()[0]
    chosen = train.schedule
    if chosen is None:
        return None
    return lambda step: train.optimizer.lr * factor(step, chosen, per_epoch, train.epochs)


def factor(step: int, schedule: ScheduleConfig, steps_per_epoch: int, epochs: int) -> float:
    """What the learning rate is multiplied by in a step, counted from 0. w is `warmup_steps`, T are all steps.

    step < w   (step + 1) / w, times the factor of `step` (Goyal et al. 2017, arXiv:1706.02677, section 2.2)
    cosine     (1 + cos(π (step - w) / (T - w))) / 2 (Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5)
    step       the `factor`, to the power of the number of `epochs` that have passed
    """
    warmup = schedule.warmup_steps
    rise = (step + 1) / warmup if step < warmup else 1.0
    if isinstance(schedule, CosineConfig):
        total = steps_per_epoch * epochs
        return rise if step < warmup else (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
    passed = sum(step >= epoch * steps_per_epoch for epoch in schedule.epochs)
    return float(rise * schedule.factor**passed)
