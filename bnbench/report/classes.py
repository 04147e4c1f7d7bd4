"""The confusion matrix and the accuracy by class, for `show` and for the HTML report."""

from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from bnbench.analysis.compare import Table
from bnbench.analysis.confusion import CLASSES, Confusion, confusion
from bnbench.errors import ResultsError
from bnbench.report.cells import number

MOST = 30  # arms whose matrix a page shows
UNKNOWN = "The number of test images of each class is not known, so there is no accuracy by class."


def print_confusion(found: Confusion, console: Console) -> None:
    """Print a row for each class: what the network chose for its images, and the accuracy."""
    console.print("\nconfusion: a row for each class, a column for each prediction", style="bold")
    grid = Grid(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for heading in ("", *map(str, range(CLASSES)), *([] if found.accuracy is None else ["%"])):
        grid.add_column(heading, justify="right")
    for row in _rows(found):
        grid.add_row(*row)
    console.print(grid)
    if found.accuracy is None:
        console.print(UNKNOWN)


def _rows(found: Confusion) -> list[list[str]]:
    right = found.accuracy
    return [
        [str(label), *(_count(value) for value in row), *([] if right is None else [number(right[label])])]
        for label, row in enumerate(found.counts.tolist())
    ]


def _count(value: float) -> str:
    """A count, or a mean count with one decimal; nothing for 0."""
    return "" if value == 0 else f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def as_json(found: Confusion | None) -> dict[str, Any]:
    """The fields of `show --format json`; null if there are no mistakes to read."""
    return {
        "confusion": None if found is None else found.counts.tolist(),
        "class_accuracy": None if found is None else found.accuracy,
    }


def by_class(table: Table) -> list[dict[str, Any]]:
    """For each arm with complete runs, up to MOST: its label, its accuracy by class, and the rows of its matrix."""
    shown: list[dict[str, Any]] = []
    for row in table.rows[:MOST]:
        try:
            found = confusion(row.arm.complete) if row.arm.complete else None
        except ResultsError:
            continue  # a note of the comparison names the file
        if found is not None:
            cells = None if found.accuracy is None else [number(value) for value in found.accuracy]
            shown.append({"arm": row.arm.label, "accuracy": cells, "rows": _rows(found)})
    return shown
