"""Labels at the ends of lines: a name and a value, joined to the line by a thin leader, and apart from each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from bnbench.report.charts import words
from bnbench.report.charts.drawing import Drawing, Line, Spot, Words

LEADER = 26  # pixels from the plot to the labels
LINE = 1.2  # from one line of text to the next, in sizes
APART = 3  # pixels between labels


@dataclass(frozen=True)
class Label:
    """A name in lines, and a value: beside the name, or below it on a phone, where `beside` is 0."""

    value: str
    names: Sequence[str]
    colour: str
    size: float
    beside: float

    @property
    def tall(self) -> float:
        return self.size * LINE * (len(self.names) + (not self.beside and bool(self.value))) + APART

    @property
    def wide(self) -> float:
        names = max(words.width(name, self.size, bold=True) for name in self.names)
        return self.beside + max(names, 0 if self.beside else words.width(self.value, self.size))


def column(ends: Sequence[tuple[str, str, str]], size: float, room: float, *, phone: bool) -> list[Label]:
    """The labels of lines, given as name, colour and value, with names of at most `room` pixels."""
    values = [value for _, _, value in ends if value]
    beside = 0.0 if phone or not values else max(words.width(value, size) for value in values) + 10
    return [Label(value, words.lines(name, size, room), colour, size, beside) for name, colour, value in ends]


def draw(
    drawing: Drawing, labels: Sequence[Label], spots: Sequence[Spot], right: float, top: float, end: float
) -> None:
    """Draw the labels right of the plot, whose edge is `right`, from `top` to `end`. The lines end at the spots."""
    middles = words.spread([y for _, y in spots], [label.tall for label in labels], top, end)
    for label, (x, y), middle in zip(labels, spots, middles, strict=True):
        dash = "" if x > right - 60 else "1 4"  # a line that ends early has a long leader
        drawing.add(Line(((x, y), (right + 4, y), (right + LEADER - 8, middle)), label.colour, 1, dash))
        at, line = right + LEADER, LINE * label.size
        base = middle - label.tall / 2 + APART / 2 + 0.95 * label.size
        for place, name in enumerate(label.names):
            drawing.add(Words(at + label.beside, base + place * line, name, label.size, label.colour, bold=True))
        if label.beside and label.value:
            drawing.add(Words(at + label.beside - 10, base, label.value, label.size, "ink", "end"))
        elif label.value:
            drawing.add(Words(at, base + len(label.names) * line, label.value, label.size))
