"""The metrics of a run, in one table for the comparison, the pictures, the gates and diff. No torch.

MEASURES["valid_loss"].lower_is_better   True
MEASURES["test_accuracy"].per_epoch      False: it is taken once, after the last epoch
"""

from dataclasses import dataclass
from typing import Literal

from bnbench.runs.format import EpochRow, Run


@dataclass(frozen=True)
class Measure:
    """A number of a run. Accuracies are fractions, `unit` "%" on screen; losses have the unit ""."""

    name: str
    title: str
    unit: Literal["", "%"]
    per_epoch: bool = True

    @property
    def lower_is_better(self) -> bool:
        return self.is_loss

    @property
    def is_loss(self) -> bool:
        return self.unit == ""

    @property
    def words(self) -> str:
        """Its heading: valid %, train loss."""
        return self.name.replace("_accuracy", " %").replace("_", " ")

    def of_epoch(self, row: EpochRow) -> float:
        """Its value after an epoch. Only for measures that every epoch has."""
        value: float = getattr(row, self.name)
        return value

    def of_test(self, run: Run) -> float | None:
        """Its value on the test images, which are read once; None if the run does not hold images out."""
        return None if run.test is None else float(getattr(run.test, self.name.removeprefix("test_")))


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("train_loss", "Training loss", ""),
        Measure("train_accuracy", "Training accuracy", "%"),
        Measure("valid_loss", "Validation loss", ""),
        Measure("valid_accuracy", "Validation accuracy", "%"),
        Measure("test_loss", "Test loss", "", per_epoch=False),
        Measure("test_accuracy", "Test accuracy", "%", per_epoch=False),
    )
}
# Every epoch has these, so they can be drawn as curves.
CURVES = tuple(name for name, measure in MEASURES.items() if measure.per_epoch)
