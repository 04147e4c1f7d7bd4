"""Small multiples: a panel for each arm, all on one scale, with the baseline dashed and the other arms grey."""

from collections.abc import Sequence
from dataclasses import dataclass

from bnbench.report.charts import words
from bnbench.report.charts.drawing import Area, Drawing, Line, Mark, Words
from bnbench.report.charts.lines import Trace
from bnbench.report.charts.palette import Look
from bnbench.report.charts.scale import Span, limits, texts, ticks

NARROW = 600
GAP = 24


@dataclass(frozen=True)
class Panel:
    """One panel: the traces in front with their colours, and those behind them in grey."""

    title: str
    colour: str
    front: Sequence[Trace]
    behind: Sequence[Trace] = ()
    dashed: Trace | None = None  # the baseline


def draw(
    panels: Sequence[Panel],
    wide: float,
    scale: tuple[float, float] | None = None,
    legend: Sequence[tuple[str, Look]] = (),
) -> Drawing:
    """All panels in rows. `scale` has the ends of the upward axis; by default it is that of these panels."""
    phone = wide < NARROW
    columns = 2 if phone else 4 if wide > 1000 else 3
    size, axis = (13.5, 12.0) if phone else (16.0, 13.0)
    gap = 12 if phone else GAP
    low, high = scale or scale_of(panels)
    rows = ticks(low, high, 4)
    row_texts = texts(rows)
    left = 6 + max(words.width(text, axis) for text in row_texts)
    each = (wide - left - gap * (columns - 1)) / columns
    tall = 0.72 * each
    drawing = Drawing(wide, 0)
    top = _draw_legend(drawing, legend, left, size)
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        names = [words.lines(panel.title, size, each - 64) for panel in row]
        head = 1.25 * size * max(map(len, names)) + 6
        for place, (panel, lines) in enumerate(zip(row, names, strict=True)):
            x0 = left + place * (each + gap)
            for line, name in enumerate(lines):
                drawing.add(Words(x0, top + (1 + 1.2 * line) * size, name, size, panel.colour, bold=True))
            if len(panel.front) == 1:
                drawing.add(Words(x0 + each, top + size, panel.front[0].end, size, "ink", "end"))
            y = Span(low, high, top + head + tall, top + head)
            for value, text in zip(rows, row_texts, strict=True):
                drawing.add(Line(((x0, y(value)), (x0 + each, y(value))), "grid"))
                if place == 0:
                    drawing.add(Words(left - 6, y(value) + 0.35 * axis, text, axis, "quiet", "end"))
            _draw_panel(drawing, panel, y, x0, each, axis)
        top += head + tall + 2.2 * axis + (14 if phone else 22)
    drawing.height = top - (14 if phone else 22)
    return drawing


def _draw_legend(drawing: Drawing, legend: Sequence[tuple[str, Look]], left: float, size: float) -> float:
    """The names of the lines with their marks, in rows. Returns where the rows end."""
    x, y = left, 0.0
    for name, look in legend:
        (text,) = words.lines(name, size, drawing.width - left - 24, most=1)
        wide = 24 + words.width(text, size, bold=True)
        if x > left and x + wide > drawing.width:
            x, y = left, y + 1.5 * size
        drawing.add(Mark(look.shape, x + 7, y + 0.65 * size, 10, look.colour))
        drawing.add(Words(x + 20, y + size, text, size, look.colour, bold=True))
        x += wide + 16
    return y + 2.2 * size if legend else 0.0


def scale_of(panels: Sequence[Panel]) -> tuple[float, float]:
    """The ends of an axis on which all panels are whole."""
    traces = [trace for panel in panels for trace in (*panel.front, *panel.behind, panel.dashed) if trace]
    inner = [value for trace in traces for value in trace.y]
    outer = [end for trace in traces for _, low, high in trace.intervals() for end in (low, high)]
    return limits(inner, outer)


def _draw_panel(drawing: Drawing, panel: Panel, y: Span, left: float, wide: float, axis: float) -> None:
    traces = [*panel.behind, *([panel.dashed] if panel.dashed else []), *panel.front]
    first, last = min(trace.x[0] for trace in traces), max(trace.x[-1] for trace in traces)
    x = Span(first, last, left + 6, left + wide - 6) if first < last else Span(first - 1, first + 1, left, left + wide)
    for trace in panel.front:
        found = list(trace.intervals())
        if len(found) > 1:
            upper = [(x(trace.x[place]), y.held(high)) for place, _, high in found]
            lower = [(x(trace.x[place]), y.held(low)) for place, low, _ in reversed(found)]
            drawing.add(Area([*upper, *lower], trace.look.colour))
    for trace in traces:
        dashed, front = trace is panel.dashed, trace in panel.front
        spots = [(x(at), y.held(value)) for at, value in zip(trace.x, trace.y, strict=True)]
        if len(spots) == 1:
            spots = [(spots[0][0] - 5, spots[0][1]), (spots[0][0] + 5, spots[0][1])]
        colour = trace.look.colour if front else "baseline" if dashed else "rule"
        if len(panel.front) > 1:
            drawing.add(Mark(trace.look.shape, *spots[-1], 8, colour))
        drawing.add(Line(spots, colour, 2.5 if front else 1.75 if dashed else 1, "5 4" if dashed else ""))
    ends = [first] if first == last else [first, last]
    for value, anchor in zip(ends, ("start", "end"), strict=False):
        at = x(value)
        side = anchor if first < last else "middle"
        drawing.add(Words(at, y.start + 1.35 * axis, f"{value:g}", axis, "quiet", side))
