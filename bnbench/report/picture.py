"""A picture of the report: its title, its text alternative, and how it is drawn."""

from collections.abc import Callable
from dataclasses import dataclass

from bnbench.report.charts.drawing import Drawing


@dataclass(frozen=True)
class Picture:
    """One picture. `draw` makes it with a width in pixels."""

    name: str  # safe in a file name
    title: str
    about: str  # a second line: what is drawn, the interval, the number of seeds
    text: str  # the text alternative, with the numbers
    draw: Callable[[float], Drawing]
