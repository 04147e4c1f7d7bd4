"""The test images that each network of an arm gets wrong, for intervals over seeds and test images. No torch."""

from collections.abc import Iterable

import numpy as np

from bnbench.analysis.arms import Arm
from bnbench.analysis.crossed import Images
from bnbench.errors import ResultsError
from bnbench.runs.format import read_mistakes
from bnbench.runs.notes import Kind, Note

SHOWN = 5  # arms that a note names

NORMAL = "normal for runs that are kept without it, as in results/norms"

Wrong = dict[int, Images]  # seed → images, in order


def read_wrong(arms: Iterable[Arm], notes: list[Note]) -> dict[Arm, Wrong]:
    """For each arm, the images that its complete runs get wrong.

    An arm is left out if a run's mistakes.csv is missing, or does not fit the run's accuracy. An arm is left out too
    if its runs were judged on other numbers of images. One note names these arms and the first reason. Arms that
    never read the test images are left out without a note.
    """
    found: dict[Arm, Wrong] = {}
    lost: list[tuple[Arm, str]] = []
    for arm in arms:
        if not all(run.tested for run in arm.complete):
            continue
        try:
            wrong = {run.seed: np.array(read_mistakes(run), dtype=np.intp) for run in arm.complete}
        except ResultsError as error:
            lost.append((arm, str(error)))
            continue
        if len({run.test_images for run in arm.complete}) > 1:
            lost.append((arm, "its runs were judged on different images"))
        elif wrong:
            found[arm] = wrong
    if lost:
        names = ", ".join(arm.label for arm, _ in lost[:SHOWN])
        more = f", and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        what = f"no interval over test images for {names}{more}: {lost[0][1]}"
        missing = not all((run.path / "mistakes.csv").exists() for run in lost[0][0].complete)
        notes.append(Note(Kind.IMAGES, what + (f" ({NORMAL}). Their intervals are over seeds" if missing else "")))
    return found
