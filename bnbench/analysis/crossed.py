"""Crossed random effects: the interval of an accuracy over seeds and test images at once. Numbers in, numbers out.

Each seed's network judges every test image, so a mean over n seeds and N images varies for two reasons. Other seeds
give other networks, and other images are easier or harder for all of them. Two-way analysis of variance without
replication separates the two (Searle, Casella & McCulloch, Variance Components, 1992, chapter 4):

    var(mean) = [MS_seed + max(0, MS_image - MS_resid)] / (n N)

The degrees of freedom are Satterthwaite's (1946). Everything is a closed form: nothing is drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.intp]  # indices of test images, from 0, each once


@dataclass(frozen=True)
class Crossed:
    """The mean of n × N values, seeds × images, and the parts of its variance.

    of_seeds, of_images and of_both sum to the variance of the mean. More seeds reduce of_seeds and of_both; only more
    images reduce of_images. For one seed, of_images holds everything that one seed can show.
    """

    n: int
    images: int
    mean: float
    of_seeds: float
    of_images: float
    of_both: float
    df: float

    @property
    def variance(self) -> float:
        return self.of_seeds + self.of_images + self.of_both


def crossed(values: NDArray[np.float64]) -> Crossed:
    """The mean and its variance, from one value for each seed (row) and image (column). At least two images."""
    values = np.asarray(values, dtype=np.float64)
    return _from_sums(values.sum(axis=1), values.sum(axis=0), float((values**2).sum()))


def crossed_accuracy(wrong: Sequence[Images], images: int) -> Crossed:
    """The accuracy of an arm. `wrong` gives, for each seed, the images that its network gets wrong."""
    columns = len(wrong) - _counts(wrong, images)
    rows = np.array([images - len(of) for of in wrong], dtype=np.float64)
    return _from_sums(rows, columns, float(rows.sum()))  # a value is 0 or 1, so it is its own square


def crossed_difference(
    arm: Mapping[int, Images], baseline: Mapping[int, Images], seeds: Sequence[int], images: int
) -> Crossed:
    """The paired difference in accuracy: +1 if only the arm is right, -1 if only the baseline is, else 0."""
    ours, theirs = [arm[seed] for seed in seeds], [baseline[seed] for seed in seeds]
    columns = _counts(theirs, images) - _counts(ours, images)
    rows = np.array([len(b) - len(a) for a, b in zip(ours, theirs, strict=True)], dtype=np.float64)
    both = sum(len(np.intersect1d(a, b, assume_unique=True)) for a, b in zip(ours, theirs, strict=True))
    one = sum(map(len, ours)) + sum(map(len, theirs)) - 2 * both
    return _from_sums(rows, columns, float(one))


def _counts(wrong: Sequence[Images], images: int) -> NDArray[np.float64]:
    """How many networks get each image wrong."""
    return np.bincount(np.concatenate(wrong), minlength=images).astype(np.float64)


def _from_sums(rows: NDArray[np.float64], columns: NDArray[np.float64], squares: float) -> Crossed:
    """From the sums of the rows and of the columns, and the sum of all squares."""
    n, images = len(rows), len(columns)
    size = n * images
    mean = float(rows.sum()) / size
    total = squares - size * mean**2
    of_seeds = float(((rows / images - mean) ** 2).sum()) * images
    of_images = float(((columns / n - mean) ** 2).sum()) * n
    if n == 1:
        return Crossed(1, images, mean, 0.0, of_images / (images - 1) / images, 0.0, images - 1)
    ms_seed, ms_image = of_seeds / (n - 1), of_images / (images - 1)
    ms_resid = max(0.0, total - of_seeds - of_images) / ((n - 1) * (images - 1))
    extra = max(0.0, ms_image - ms_resid)
    both = min(ms_seed, ms_resid)
    error = ms_seed**2 / (n - 1)
    if extra > 0:
        error += ms_image**2 / (images - 1) + ms_resid**2 / ((n - 1) * (images - 1))
    df = (ms_seed + extra) ** 2 / error if error > 0 else n - 1.0
    return Crossed(n, images, mean, (ms_seed - both) / size, extra / size, both / size, df)
