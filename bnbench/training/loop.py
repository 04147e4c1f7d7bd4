"""The shared train loop: a generator of epoch rows, the same for every arm.

    for row in train(model, optimizer, train_split, valid_split, epochs=10, batch_size=64, seed=0): ...

It only measures and yields; writing, stopping and showing are its caller's.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.data.splits import Split, batches, chunks
from bnbench.norms.batch import precise_statistics
from bnbench.runs.format import DIVERGED_LOSS, EpochRow

EVAL_BATCH = 1_000  # images at once; it changes no metric but for a norm that evaluates by batch statistics


@dataclass
class _Sums:
    """Running totals, kept on the device so that no batch waits for a number to come back."""

    loss: Tensor  # float64: the sum over images of their losses
    correct: Tensor
    worst: Tensor  # the largest batch loss; NaN if any was

    @classmethod
    def zero(cls, device: torch.device) -> "_Sums":
        # MPS has no float64.
        precise = torch.float32 if device.type == "mps" else torch.float64
        zero = torch.zeros((), dtype=precise, device=device)
        return cls(zero.clone(), torch.zeros((), dtype=torch.int64, device=device), zero.clone())

    def add(self, logits: Tensor, labels: Tensor, mean_loss: Tensor) -> None:
        self.loss += mean_loss.detach() * len(labels)
        self.correct += (logits.detach().argmax(1) == labels).sum()
        self.worst = torch.maximum(self.worst, mean_loss.detach().to(self.worst.dtype))


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and accuracy (correct / total) over images, and the digit predicted of each, (N,) int64."""

    loss: float
    accuracy: float
    predicted: Tensor


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    train_split: Split,
    valid_split: Split,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    precise: bool = False,
    first_epoch: int = 1,
) -> Iterator[EpochRow]:
    """Train and yield one EpochRow an epoch, counted from 1; stop after the epoch that diverges.

    With `first_epoch`, `model` and `optimizer` are as they were after the epoch before it.

    The training metrics are those of the batches as they were trained on (the model changes under
    them); the validation metrics are of the model at the end of the epoch, in evaluation mode. With
    `precise`, batch norms evaluate by statistics over all training batches, taken anew at its end; the
    time that takes counts as training.
    """
    for epoch in range(first_epoch, epochs + 1):
        start = _clock(train_split)
        sums = _train_epoch(model, optimizer, train_split, batch_size, seed, epoch)
        if precise:
            precise_statistics(model, (train_split.images[chunk] for chunk in chunks(len(train_split), batch_size)))
        trained = _clock(train_split)
        valid = evaluate(model, valid_split)
        end = _clock(train_split)
        row = EpochRow(
            epoch=epoch,
            train_loss=sums.loss.item() / len(train_split),
            train_accuracy=sums.correct.item() / len(train_split),
            valid_loss=valid.loss,
            valid_accuracy=valid.accuracy,
            train_seconds=round(trained - start, 6),
            valid_seconds=round(end - trained, 6),
            # As Bjorck et al. 2018 (arXiv:1806.02375): a mini-batch's loss passes 10³.
            # Not "worst > …": NaN is no number's equal. The last step's damage shows in validation alone.
            diverged=not (sums.worst.item() <= DIVERGED_LOSS and valid.loss <= DIVERGED_LOSS),
        )
        yield row
        if row.diverged:
            return


def _train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, split: Split, batch_size: int, seed: int, epoch: int
) -> _Sums:
    model.train()
    sums = _Sums.zero(split.device)
    for batch in batches(len(split), batch_size, seed, epoch, split.device):
        images, labels = split.images.index_select(0, batch), split.labels.index_select(0, batch)
        optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        sums.add(logits, labels, loss)
    return sums


@torch.no_grad()
def evaluate(model: nn.Module, split: Split) -> Evaluation:
    """Judge `model` in evaluation mode by every image of `split`."""
    model.eval()
    sums, predicted = _Sums.zero(split.device), []
    for chunk in chunks(len(split), EVAL_BATCH):
        logits, labels = model(split.images[chunk]), split.labels[chunk]
        sums.add(logits, labels, F.cross_entropy(logits, labels))
        predicted.append(logits.argmax(1))
    n = len(split)
    return Evaluation(sums.loss.item() / n, sums.correct.item() / n, torch.cat(predicted))


def _clock(split: Split) -> float:
    if split.device.type == "cuda":
        torch.cuda.synchronize()  # else the clock reads before the work is done
    return time.perf_counter()
