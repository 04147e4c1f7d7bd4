"""Images and labels as tensors on the device, and the order in which training sees them.

The whole split is on the device. Its pixels are scaled once, to [-1, 1] as in the tutorial, and a batch is an
`index_select`. There are no data-loading workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from bnbench.config.data import DataConfig
from bnbench.config.experiment import Config
from bnbench.data.datasets import Dataset
from bnbench.randomness import generator


@dataclass(frozen=True)
class Split:
    """`images` (N, 1, 28, 28), in [-1, 1] by default, `labels` (N,) int64, both on the same device."""

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


class Pixels(NamedTuple):
    """What the images of a dataset are made into: a `dtype` by its name, and the settings of the config's `data`."""

    dtype: str = "float32"
    scale: str = "symmetric"
    binarize: bool = False

    @classmethod
    def of(cls, config: Config) -> Self:
        return cls(config.dtype, config.data.scale, config.data.binarize)


def normalize(dataset: Dataset, pixels: Pixels) -> Normalized:
    """Both splits of a dataset with their pixels scaled; see `normalized`.

    `centred` and `standardized` use one mean and one deviation, over all pixels of the dataset's training images.
    """
    shift, scale = _shift_and_scale(dataset.train_images, pixels)
    dtype = getattr(torch, pixels.dtype)
    train, test = (
        normalized(_binary(images) if pixels.binarize else images, labels, dtype, shift, scale)
        for images, labels in (
            (dataset.train_images, dataset.train_labels),
            (dataset.test_images, dataset.test_labels),
        )
    )
    return Normalized(train, test)


def normalized(images: Tensor, labels: Tensor, dtype: torch.dtype, shift: float = 0.5, scale: float = 0.5) -> Split:
    """uint8 images (N, 28, 28) and labels (N,) → a Split with the pixels (x/255 - shift) / scale."""
    # x/255 to [0, 1], then (x - ½)/½ by default. In place, because the training set has 188 MB in float32.
    return Split(images.to(dtype).div_(255).sub_(shift).div_(scale).unsqueeze(1), labels.to(torch.int64))


def _binary(images: Tensor) -> Tensor:
    """uint8 images with each pixel 0 or 255: 255 from 128 on."""
    return (images >= 128).to(torch.uint8) * 255


def _shift_and_scale(images: Tensor, pixels: Pixels) -> tuple[float, float]:
    """What is subtracted from x/255, and what the difference is divided by. `images` are those for training."""
    if pixels.scale == "symmetric":
        return 0.5, 0.5
    if pixels.scale == "unit":
        return 0.0, 1.0
    counts = torch.bincount((_binary(images) if pixels.binarize else images).flatten(), minlength=256).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * values).sum() / counts.sum()
    var = (counts * (values - mean).square()).sum() / counts.sum()
    return mean.item(), var.sqrt().item() if pixels.scale == "standardized" and var > 0 else 1.0


@dataclass(frozen=True)
class Splits:
    """The images to train on, to validate on after every epoch, and to test on at the end.

    `valid` holds the `held_out` last training images. If `held_out` is 0, it is the same object as `test`. With
    `data.test: false`, `test` is None: nothing can read the test images.
    """

    train: Split
    valid: Split
    test: Split | None
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
    return Splits(train, valid, images.test.cut(0, None, device) if config.test else None, held_out)


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


def batches(
    n: int,
    batch_size: int,
    seed: int,
    epoch: int,
    device: torch.device,
    *,
    drop_last: bool = False,
    by: Tensor | None = None,
) -> Iterator[Tensor]:
    """The indices (N,) int64 of each training batch of `epoch`. The order depends only on (seed, epoch).

    With `drop_last`, the images after the last whole batch are left out of this epoch. With `by` (n,), the
    labels, the images come class after class, each class in a shuffled order.
    """
    order = torch.randperm(n, generator=generator(seed, "batches", epoch)).to(device)
    if by is not None:
        order = order[by[order].argsort(stable=True)]
    for chunk in chunks(n - n % batch_size if drop_last else n, batch_size):
        yield order[chunk]
