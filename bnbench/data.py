"""Images and labels as tensors on the device, and the order in which training sees them.

The whole split lies on the device, normalized once to [-1, 1] as the tutorial does; a batch is an
`index_select`. There are no data-loading workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bnbench.datasets import Dataset
from bnbench.randomness import generator


@dataclass(frozen=True)
class Split:
    """`images` (N, 1, 28, 28) in [-1, 1], `labels` (N,) int64, both on the same device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        return self.images.device


def load_split(images: Tensor, labels: Tensor, limit: int | None, device: torch.device, dtype: torch.dtype) -> Split:
    """The first `limit` (or all) of uint8 `images` (N, 28, 28) and `labels` (N,), ready to train on."""
    # x/255 to [0, 1], then (x - ½)/½; in place, for the training set is 188 MB in float32.
    pixels = images[:limit].to(dtype).div_(255).sub_(0.5).div_(0.5).unsqueeze(1)
    return Split(pixels.to(device), labels[:limit].to(torch.int64).to(device))


def load_splits(
    dataset: Dataset,
    train_limit: int | None,
    valid_limit: int | None,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Split, Split]:
    """The training split, and the test images that validation uses."""
    return (
        load_split(dataset.train_images, dataset.train_labels, train_limit, device, dtype),
        load_split(dataset.test_images, dataset.test_labels, valid_limit, device, dtype),
    )


def chunks(n: int, size: int) -> Iterator[slice]:
    """Cut 0..n into slices of `size`; every index is in exactly one.

    A last slice of a single index joins the one before it, because batch statistics of one image
    do not exist for a vector (and the tutorial's 60,000 images in batches of 64 end with 32).
    """
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] == 1 and size > 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        yield slice(start, stop)


def batches(n: int, batch_size: int, seed: int, epoch: int, device: torch.device) -> Iterator[Tensor]:
    """The indices of each training batch of `epoch`: a shuffle that depends on (seed, epoch) alone."""
    order = torch.randperm(n, generator=generator(seed, "batches", epoch)).to(device)
    for chunk in chunks(n, batch_size):
        yield order[chunk]
