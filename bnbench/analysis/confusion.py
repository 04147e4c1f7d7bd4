"""Which classes the final networks mistake for which, from mistakes.csv. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnbench.config.catalog import DATASETS
from bnbench.errors import ResultsError
from bnbench.files import read_bounded
from bnbench.runs.format import MAX_BYTES, Run, read_mistakes

CLASSES = 10


@dataclass(frozen=True)
class Confusion:
    """The mistakes of one network, or their means over the networks of an arm.

    `wrong` has a row for each class of an image and a column for each class that the network chose, (10, 10), with
    zeros on the diagonal. `images` has the number of test images of each class, (10,), or is None if it is not known.
    """

    wrong: NDArray[np.float64]
    images: NDArray[np.float64] | None

    @property
    def accuracy(self) -> list[float] | None:
        """The accuracy for each class; None if the number of its images is not known."""
        return None if self.images is None else [float(a) for a in 1 - self.wrong.sum(axis=1) / self.images]

    @property
    def counts(self) -> NDArray[np.float64]:
        """The confusion matrix: `wrong` with the right images on the diagonal, where their number is known."""
        right = np.zeros(CLASSES) if self.images is None else self.images - self.wrong.sum(axis=1)
        whole: NDArray[np.float64] = self.wrong + np.diag(right)
        return whole


def confusion(runs: Sequence[Run]) -> Confusion:
    """The mean mistakes of complete runs on the same test images. At least one run.

    Raises ResultsError if a mistakes.csv is missing, or does not fit its run.
    """
    first = runs[0]
    row = DATASETS.get(first.dataset)
    known = row is not None and first.test_images == sum(row.test_classes)
    images = np.array(row.test_classes, dtype=np.float64) if row and known else None
    wrong = np.zeros((CLASSES, CLASSES))
    for run in runs:
        read_mistakes(run)  # checks the file
        path = run.path / "mistakes.csv"
        rows = [line.split(",") for line in read_bounded(path, MAX_BYTES).decode().splitlines()[1:]]
        of_run = np.zeros((CLASSES, CLASSES))
        for _, label, predicted in rows:
            of_run[int(label), int(predicted)] += 1
        if of_run.trace() or (images is not None and (of_run.sum(axis=1) > images).any()):
            raise ResultsError(f"{path}: has labels that do not fit {run.dataset}")
        wrong += of_run
    return Confusion(wrong / len(runs), images)
