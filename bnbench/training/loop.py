"""The shared train loop: a generator of events, the same for every arm.

    for network, event in train([Network(model, optimizer, seed=0)], train_split, valid_split, epochs=10, ...):
        ...

An engine makes the training steps (engines/eager.py), and probes may measure in each step (network.py). The
loop only trains, measures and yields events. Its caller writes and shows them, and decides when to stop.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.data.splits import Split, batches, chunks
from bnbench.runs.format import DIVERGED_LOSS, EpochRow
from bnbench.training.engines.eager import Eager
from bnbench.training.events import Measurement
from bnbench.training.network import Batch, Engine, MakeEngine, Moment, Network, Probe

EVAL_BATCH = 1_000  # images, of which one mean loss is taken
# Images in one forward pass of an evaluation. The tensors of 250 fit the cache: a CNN evaluates in half the time.
EVAL_STEP = 250


class _Totals:
    """Collects the logits and losses of batches. Nothing is read from them until the end, so that no batch waits.

    They are copied to memory that is taken once, for all `images` and `batches`. Small tensors that stay would lie
    between the large ones of a step, and the process would grow by the size of these with every step.
    """

    def __init__(self, images: int, batches: int) -> None:
        self._images, self._batches = images, batches
        self._sizes: list[int] = []
        self._end = 0
        self._given = False  # whether the batches come with their losses

    def add(self, logits: Tensor, labels: Tensor, mean_loss: Tensor | None = None) -> None:
        """Add a batch: `logits` (N, classes), `labels` (N,) and `mean_loss` (), without graphs."""
        if not self._sizes:
            self._logits = logits.new_empty((self._images, logits.shape[1]))
            self._labels = labels.new_empty(self._images)
            self._given = mean_loss is not None
            self._losses = (logits if mean_loss is None else mean_loss).new_empty(self._batches)
        start, self._end = self._end, self._end + len(labels)
        self._logits[start : self._end] = logits
        self._labels[start : self._end] = labels
        if mean_loss is not None:
            self._losses[len(self._sizes)] = mean_loss
        self._sizes.append(len(labels))

    def losses(self) -> Tensor:
        """The mean loss of each batch."""
        if not self._given:
            # Cross-entropy in its two parts. The first treats every image alone, so it takes all images at once.
            logs = torch.split(F.log_softmax(self._logits[: self._end], 1), self._sizes)
            labels = torch.split(self._labels[: self._end], self._sizes)
            self._losses = torch.stack([F.nll_loss(*own) for own in zip(logs, labels, strict=True)])
            self._given = True
        return self._losses[: len(self._sizes)].cpu()

    def loss(self) -> float:
        """The mean over images of their losses. The sum has 64 bits and the order of the batches."""
        losses, total = self.losses(), 0.0
        for loss in (losses * torch.tensor(self._sizes, dtype=losses.dtype)).tolist():
            total += loss  # not sum(), which rounds differently since Python 3.12
        return total / sum(self._sizes)

    def worst(self) -> float:
        """The largest mean loss of a batch; NaN if any was."""
        return self.losses().max().item()

    def predicted(self) -> Tensor:
        """The class predicted for each image, (N,) int64."""
        return self._logits[: self._end].argmax(1)

    def accuracy(self) -> float:
        """Correct / total."""
        return int((self.predicted() == self._labels[: self._end]).sum()) / self._end


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and accuracy (correct / total) over images, and the class predicted for each, (N,) int64."""

    loss: float
    accuracy: float
    predicted: Tensor


def train(
    networks: Sequence[Network],
    train_split: Split,
    valid_split: Split,
    *,
    epochs: int,
    batch_size: int,
    drop_last: bool = False,
    by_class: bool = False,
    first_epoch: int = 1,
    engine: MakeEngine = Eager,
    probes: Sequence[Probe] = (),
    before_validation: Callable[[nn.Module], None] | None = None,
    eval_step: int = EVAL_STEP,
) -> Iterator[tuple[Network, EpochRow | Measurement]]:
    """Train the networks. After each epoch, yield each network's EpochRow; its probes' measurements come before it.

    A network stops after the epoch in which it diverges, or when the caller sets its `training` to False. With
    `first_epoch` above 1, models and optimizers must have the state after the epoch before it.

    Training metrics average over the batches as they are trained on, while the model changes. Validation
    metrics are those of the model after the epoch, in evaluation mode. `before_validation` may prepare a model
    for evaluation; its time counts as training. `eval_step` is that of `evaluate`. `drop_last` leaves out a smaller
    last batch; `by_class` sorts the images of an epoch by class. Networks that train together share the training
    time equally.
    """
    steps: Engine | None = None
    training: list[Network] = []
    for epoch in range(first_epoch, epochs + 1):
        if training != (left := [network for network in networks if network.training]):
            training, steps = left, None
        if not training:
            return
        start = _clock(train_split)
        steps = steps or engine(training)
        labels = train_split.labels
        by = labels if by_class else None
        orders = [
            batches(len(labels), batch_size, network.seed, epoch, labels.device, drop_last=drop_last, by=by)
            for network in training
        ]
        totals = yield from _train_epoch(training, steps, train_split, [list(order) for order in orders], epoch, probes)
        if before_validation is not None:
            for network in training:
                before_validation(network.model)
        trained = _clock(train_split)
        for network, total in zip(training, totals, strict=True):
            validation = _clock(train_split)
            valid = evaluate(network.model, valid_split, eval_step)
            row = EpochRow(
                epoch=epoch,
                train_loss=total.loss(),
                train_accuracy=total.accuracy(),
                valid_loss=valid.loss,
                valid_accuracy=valid.accuracy,
                train_seconds=round((trained - start) / len(training), 6),
                valid_seconds=round(_clock(train_split) - validation, 6),
                # A run diverges when a mini-batch's loss exceeds 10³, as in Bjorck et al. 2018 (arXiv:1806.02375).
                # "not <=" also catches NaN. Only the validation loss shows the effect of the last step.
                diverged=not (total.worst() <= DIVERGED_LOSS and valid.loss <= DIVERGED_LOSS),
            )
            network.training = network.training and not row.diverged
            yield network, row


def _train_epoch(
    networks: Sequence[Network],
    engine: Engine,
    split: Split,
    orders: Sequence[Sequence[Tensor]],
    epoch: int,
    probes: Sequence[Probe],
) -> Generator[tuple[Network, Measurement], None, list[_Totals]]:
    """Train each network on its own `orders`, the indices of its batches; return its totals over the batches."""
    for network in networks:
        network.model.train()
    totals = [_Totals(sum(map(len, own)), len(own)) for own in orders]
    step = (epoch - 1) * len(orders[0])  # the number of updates so far
    for indices in zip(*orders, strict=True):
        batch = _select(split, torch.stack(indices))
        forward = engine.backward(batch)
        for probe in probes:
            for network, own, result in zip(networks, batch.each(), forward, strict=True):
                yield from _of(network, probe.after_backward(Moment(step, network, own, result)))
        for network in networks:
            if network.rate is not None:
                network.optimizer.lr = network.rate(step)
        engine.update()
        step += 1
        for probe in probes:
            for network, own, result in zip(networks, batch.each(), forward, strict=True):
                yield from _of(network, probe.after_update(Moment(step, network, own, result)))
        for total, labels, result in zip(totals, batch.labels, forward, strict=True):
            total.add(result.logits, labels, result.loss)
    return totals


def _select(split: Split, indices: Tensor) -> Batch:
    """The images and labels with these indices (S, N), one batch for each of S networks."""
    images, labels = (values.index_select(0, indices.flatten()) for values in (split.images, split.labels))
    return Batch(images.view(*indices.shape, *images.shape[1:]), labels.view(indices.shape))


def _of(network: Network, measured: Iterable[Measurement]) -> Iterator[tuple[Network, Measurement]]:
    return ((network, measurement) for measurement in measured)


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, step: int = EVAL_STEP, batch: int = EVAL_BATCH) -> Evaluation:
    """Evaluate `model` on every image of `split`, in evaluation mode.

    Each `batch` of images passes in parts of `step`, which changes no bit, unless the output for an image depends on
    the other images: then `step` must be `batch`. The last batch passes whole if it is smaller or larger, because a
    matrix product of few rows may round differently.
    """
    model.eval()
    large = list(chunks(len(split), batch))
    totals = _Totals(len(split), len(large))
    for chunk in large:
        images, labels = split.images[chunk], split.labels[chunk]
        parts = chunks(len(images), step if len(images) == batch else len(images))
        logits = torch.cat([model(images[part]) for part in parts])
        totals.add(logits, labels, F.cross_entropy(logits, labels))
    return Evaluation(totals.loss(), totals.accuracy(), totals.predicted())


def _clock(split: Split) -> float:
    if split.device.type == "cuda":
        torch.cuda.synchronize()  # otherwise the clock is read before the work is done
    return time.perf_counter()
