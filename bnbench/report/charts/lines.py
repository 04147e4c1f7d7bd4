"""Lines over epochs or seconds, with intervals, and a label at the end of each line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bnbench.report.charts import labels, words
from bnbench.report.charts.drawing import Area, Drawing, Line, Mark, Part, Spot, Words
from bnbench.report.charts.palette import Look
from bnbench.report.charts.scale import Span, limits, texts, ticks

NARROW = 600  # below this width a drawing is for a phone
BANDS = 2  # more lines have bars instead of bands, because many bands turn to mud
APART = 8.0  # pixels between the intervals of lines at the same epoch
TOP = 14.0  # pixels above the plot


@dataclass(frozen=True)
class Trace:
    """One line: its points, and the ends of their intervals, None where there is none."""

    name: str
    look: Look
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float | None]
    high: Sequence[float | None]
    end: str  # the value at its end, as text

    def intervals(self) -> Iterator[tuple[int, float, float]]:
        for place, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if low is not None and high is not None and low < high:
                yield place, low, high


@dataclass(frozen=True)
class Axes:
    """What the axes say. `above` and `below` are words beside the line at `level`."""

    across: str
    whole: bool = True  # only whole numbers across
    level: float | None = None  # a line: the baseline
    sign: bool = False  # whether the values upward are differences
    above: str = ""
    below: str = ""
    least: float | None = None  # values below or above cannot be
    most: float | None = None


def draw(traces: Sequence[Trace], axes: Axes, wide: float) -> Drawing:
    """The picture with this width."""
    phone = wide < NARROW
    label, axis = (13.5, 12.0) if phone else (16.0, 14.0)
    ends = [(trace.name, trace.look.colour, trace.end) for trace in traces]
    named = labels.column(ends, label, (0.28 if phone else 0.2) * wide, phone=phone)
    right = wide - max(each.wide for each in named) - labels.LEADER
    foot = TOP + max(360 if phone else 0.42 * wide, sum(each.tall for each in named))
    y = _upward(traces, axes, foot)
    rows = ticks(y.low, y.high, 5 if phone else 6)
    row_texts = texts(rows, sign=axes.sign)
    left = 10 + max(words.width(text, axis) for text in row_texts)
    x = _across(traces, axes, left + (16 if phone else 40), right - (10 if phone else 24))
    drawing = Drawing(wide, foot + 3 * axis)
    for value, text in zip(rows, row_texts, strict=True):
        drawing.add(Line(((left, y(value)), (right, y(value))), "grid"))
        drawing.add(Words(left - 8, y(value) + 0.35 * axis, text, axis, "quiet", "end"))
    if axes.level is not None:
        drawing.add(Line(((left, y(axes.level)), (right, y(axes.level))), "baseline", 2))
    columns = ticks(x.low, x.high, 5 if phone else 10, whole=axes.whole)
    for value, text in zip(columns, texts(columns), strict=True):
        drawing.add(Words(x(value), foot + 1.4 * axis, text, axis, "quiet", "middle"))
    drawing.add(Words(right, foot + 2.8 * axis, axes.across, axis, "quiet", "end"))
    first = len(drawing.parts)
    spots = _draw_traces(drawing, traces, x, y)
    _words_in_plot(drawing, first, axes, y, (left, right), axis)
    labels.draw(drawing, named, spots, right, TOP, foot)
    return drawing


def _upward(traces: Sequence[Trace], axes: Axes, foot: float) -> Span:
    inner = [value for trace in traces for value in trace.y] + ([] if axes.level is None else [axes.level])
    low, high = limits(inner, [end for trace in traces for _, *ends in trace.intervals() for end in ends])
    low = low if axes.least is None else max(low, axes.least)
    high = high if axes.most is None else min(high, axes.most)
    return Span(low, high, foot, TOP)


def _across(traces: Sequence[Trace], axes: Axes, start: float, end: float) -> Span:
    first = min(min(trace.x) for trace in traces) if axes.whole else 0.0
    last = max(max(trace.x) for trace in traces)
    return Span(first, last, start, end) if first < last else Span(first - 0.5, first + 0.5, start, end)


def _draw_traces(drawing: Drawing, traces: Sequence[Trace], x: Span, y: Span) -> list[Spot]:
    """Draw the intervals, then the lines, then the marks. Returns where each line ends."""
    n, wide = len(traces), drawing.width >= NARROW
    step = min((x(b) - x(a) for trace in traces for a, b in pairwise(trace.x)), default=x.end - x.start)
    bands = n <= BANDS and max(len(trace.x) for trace in traces) > 1
    apart = min(APART if wide else APART / 2, 0.62 * step / n)
    apart = 0.0 if bands or n == 1 or apart < 2 else apart
    every = max(1, round((24 if bands else 3 * n) / step)) if not apart else 1  # epochs from mark to mark
    placed = [
        [(x(at) + apart * (i - (n - 1) / 2), y.held(value)) for at, value in zip(trace.x, trace.y, strict=True)]
        for i, trace in enumerate(traces)
    ]
    for i, trace in enumerate(traces):
        found = list(trace.intervals())
        if bands and len(found) > 1:
            upper = [(placed[i][place][0], y.held(high)) for place, _, high in found]
            lower = [(placed[i][place][0], y.held(low)) for place, low, _ in reversed(found)]
            drawing.add(Area([*upper, *lower], trace.look.colour))
            continue
        for place, low, high in found:
            if (place - i * every // n) % every == 0:  # bars of other arms stand at other epochs, if there are many
                at = placed[i][place][0]
                drawing.add(Line(((at, y.held(low)), (at, y.held(high))), trace.look.colour, 1.5))
    for spots, trace in reversed(list(zip(placed, traces, strict=True))):
        drawing.add(Line(spots, trace.look.colour, 2.5 if wide else 2))
    for spots, trace in reversed(list(zip(placed, traces, strict=True))):
        there = [spot for place, spot in enumerate(spots) if place % every == 0 or place == len(spots) - 1]
        drawing.add(*(Mark(trace.look.shape, *spot, 9 if wide else 7, trace.look.colour) for spot in there))
    return [spots[-1] for spots in placed]


def _words_in_plot(drawing: Drawing, first: int, axes: Axes, y: Span, sides: tuple[float, float], size: float) -> None:
    """Words above and below the line at 0, only where none of the parts from `first` on is."""
    taken = [spot for part in drawing.parts[first:] for spot in _spots(part)]
    left, right = sides
    middle = y(axes.level or 0.0)
    for text, low, high in ((axes.above, y.end, middle), (axes.below, middle, y.start)):
        wide = words.width(text, size)
        places = [
            (left + part * (right - left - wide), base)
            for part in (0.98, 0.5, 0.02)
            for base in (low + 1.6 * size, high - 0.9 * size)
            if text and high - low > 2.2 * size
        ]
        for at, base in places:
            box = (at - 6, at + wide + 6, base - 1.3 * size, base + 0.7 * size)
            if not any(box[0] < x < box[1] and box[2] < v < box[3] for x, v in taken):
                drawing.add(Words(at, base, text, size, "quiet", italic=True))
                break


def _spots(part: Part) -> Iterator[Spot]:
    """Where a part is: spots along its lines, a few pixels apart."""
    if isinstance(part, Mark):
        yield (part.x, part.y)
    elif isinstance(part, Line | Area):
        for (x1, y1), (x2, y2) in pairwise(part.spots):
            n = max(1, int(max(abs(x2 - x1), abs(y2 - y1)) // 4))
            yield from ((x1 + (x2 - x1) * k / n, y1 + (y2 - y1) * k / n) for k in range(n + 1))
