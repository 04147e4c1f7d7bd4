"""Images and labels as tensors on the device, and the order in which training sees them.

The whole split is on the device. It is normalized once to [-1, 1], as in the tutorial, and a batch is an
`index_select`. There are no data-loading workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bnbench.config.experiment import DataConfig
from bnbench.data.datasets import Dataset
from bnbench.randomness import generator


@dataclass(frozen=True)
class Split:
    """`images` (N, 1, 28, 28) in [-1, 1], `labels` (N,) int64, both on the same device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def cut(self, start: int, stop: int | None, device: torch.device) -> "Split":
        """Images `start` to `stop` (excluded) on `device`, without a copy where they are already there."""
        return Split(self.images[start:stop].to(device), self.labels[start:stop].to(device))

    @property
    def device(self) -> torch.device:
        return self.images.device


@dataclass(frozen=True)
class Normalized:
    """A whole dataset, normalized, on the CPU. All runs on a machine share it."""

    train: Split
    test: Split


def normalize(dataset: Dataset, dtype: torch.dtype) -> Normalized:
    """Both splits of a dataset, normalized as `normalized` describes, with images of `dtype`."""
    return Normalized(
        normalized(dataset.train_images, dataset.train_labels, dtype),
        normalized(dataset.test_images, dataset.test_labels, dtype),
    )


def normalized(images: Tensor, labels: Tensor, dtype: torch.dtype) -> Split:
    """uint8 images (N, 28, 28) and labels (N,) → a Split with pixels in [-1, 1]."""
    # x/255 to [0, 1], then (x - ½)/½. In place, because the training set has 188 MB in float32.
    return Split(images.to(dtype).div_(255).sub_(0.5).div_(0.5).unsqueeze(1), labels.to(torch.int64))


@dataclass(frozen=True)
class Splits:
    """The images to train on, to validate on after every epoch, and to test on at the end.

    `valid` holds the `held_out` last training images. If `held_out` is 0, it is the same object as `test`.
    """

    train: Split
    valid: Split
    test: Split
    held_out: int = 0


def load_splits(images: Normalized, config: DataConfig, device: torch.device) -> Splits:
    """The splits of `config` on `device`. The held-out images are the last ones of the training set."""
    held_out = config.valid or 0
    rest = len(images.train) - held_out
    train = images.train.cut(0, min(config.train_limit or rest, rest), device)
    if not held_out:
        test = images.test.cut(0, config.valid_limit, device)
        return Splits(train, test, test)
    valid = images.train.cut(rest, rest + min(config.valid_limit or held_out, held_out), device)
    return Splits(train, valid, images.test.cut(0, None, device), held_out)


def chunks(n: int, size: int) -> Iterator[slice]:
    """Cut 0..n into slices of `size`. Every index is in exactly one slice.

    If a single index is left over, it joins the slice before it, because a vector has no batch statistics
    over one image. (The tutorial has no such case: 60,000 images in batches of 64 end with 32.)
    """
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] == 1 and size > 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        yield slice(start, stop)


def batches(n: int, batch_size: int, seed: int, epoch: int, device: torch.device) -> Iterator[Tensor]:
    """The indices (N,) int64 of each training batch of `epoch`. The order depends only on (seed, epoch)."""
    order = torch.randperm(n, generator=generator(seed, "batches", epoch)).to(device)
    for chunk in chunks(n, batch_size):
        yield order[chunk]
