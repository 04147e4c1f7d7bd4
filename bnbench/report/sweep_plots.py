"""A sweep as one picture: lines over one key with the usable range of each arm below, or a heat map over two keys."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise

from bnbench.analysis.compare import Table
from bnbench.analysis.sweep import Axis, Line, Place, Point, Sweep, Usable, sweep, swept
from bnbench.report.cells import number
from bnbench.report.charts import labels, words
from bnbench.report.charts.drawing import Area, Box, Drawing, Mark, Spot, Words
from bnbench.report.charts.drawing import Line as Stroke
from bnbench.report.charts.heat import Map, draw_maps
from bnbench.report.charts.palette import BASELINE, MOST, Look, chosen
from bnbench.report.charts.scale import Span, limits, texts, ticks
from bnbench.report.names import short_names
from bnbench.report.picture import Picture
from bnbench.report.sweep_words import guessing, measured, runs_of, sentences, verdict

NARROW, BANDS = 600, 2  # as for curves
GRIDS = 6  # heat maps in one picture
USABLE = "Within 1 point of its best: filled; not ruled out: hollow"
Looks = Mapping[str, Look]


def swept_in(table: Table) -> list[Sweep]:
    """The sweeps among the arms of a table."""
    arms = [row.arm for row in table.rows]
    return [one for keys in swept(arms) if (one := sweep(table.group, arms, table.question, keys))]


def parts(one: Sweep) -> list[Sweep]:
    """The sweep in parts that a picture can show."""
    most = MOST + 1 if len(one.axes) == 1 else GRIDS
    return [
        Sweep(one.group, one.question, one.axes, one.lines[start : start + most])
        for start in range(0, len(one.lines), most)
    ]


def coloured(part: Sweep) -> list[str]:
    """The short names of the lines that need a colour of their own."""
    names = short_names(line.name for line in part.lines)
    first = part.lines[0] if part.lines and part.lines[0].without_norm else None
    return [names[line.name] for line in part.lines if line is not first][:MOST]


def pictures(one: Sweep, looks: Sequence[Looks] | None = None) -> Iterator[Picture]:
    """The pictures of a sweep, one for each part. `looks` has the looks of each part's short names."""
    for part, of in zip(parts(one), looks or [chosen([coloured(part)])[0] for part in parts(one)], strict=True):
        title = f"{measured(one)}, by {' and '.join(axis.key for axis in one.axes)}"
        text = " ".join(filter(None, [f"{title}.", verdict(part), *sentences(part)]))
        # All heat maps share the scale of the whole sweep.
        draw = partial(_draw_lines, part, of) if len(one.axes) == 1 else partial(_draw_grids, part, of, _scale(one))
        name = "sweep-" + "-".join(axis.key.replace(".", "-") for axis in one.axes)
        yield Picture(name, title[:1].upper() + title[1:], _about(one), text, draw)


def _about(one: Sweep) -> str:
    if len(one.axes) == 2:
        return "Each cell is a mean over seeds. All maps have one scale."
    bands = "Small dots are seeds; bands" if len(one.lines) <= BANDS else "Upright bars"
    return f"The line is the mean over seeds. {bands}: 95 % intervals over seeds. Diverged runs are in no mean."


def looked(one: Sweep, looks: Looks) -> list[tuple[str, Look]]:
    """The short name and the look of each line."""
    names = short_names(line.name for line in one.lines)
    return [
        (names[line.name], BASELINE if line.without_norm and place == 0 else looks.get(names[line.name], BASELINE))
        for place, line in enumerate(one.lines)
    ]


def positions(axis: Axis) -> list[float]:
    """Where the values stand: logarithms, numbers, or places."""
    if axis.log:
        return [math.log10(value) for value in axis.values]
    return [float(value) for value in axis.values] if axis.numeric else [float(i) for i in range(len(axis.values))]


def _draw_lines(one: Sweep, looks: Looks, wide: float) -> Drawing:
    axis, phone = one.axes[0], wide < NARROW
    size, small = (13.5, 12.0) if phone else (16.0, 14.0)
    named_looks = looked(one, looks)
    scale = 1 if one.question.is_loss else 100
    means = [[point.mean.mean for point in line.points.values() if point.mean] for line in one.lines]
    ends = [
        (name, look.colour, number(of[-1], loss=one.question.is_loss) if of else "none")
        for (name, look), of in zip(named_looks, means, strict=True)
    ]
    named = labels.column(ends, size, (0.28 if phone else 0.2) * wide, phone=phone)
    right = wide - max(label.wide for label in named) - labels.LEADER
    foot = 14 + max(300 if phone else 0.36 * wide, sum(label.tall for label in named))
    drawing = Drawing(wide, 0)
    y = _upward(one, scale, foot)
    rows = ticks(y.low, y.high, 5)
    left = 10 + max(words.width(text, small) for text in texts(rows))
    for value, text in zip(rows, texts(rows), strict=True):
        drawing.add(Stroke(((left, y(value)), (right, y(value))), "grid"))
        drawing.add(Words(left - 8, y(value) + 0.35 * small, text, small, "quiet", "end"))
    if (level := guessing(one)) is not None and y.low < 100 * level:
        drawing.add(Stroke(((left, y(100 * level)), (right, y(100 * level))), "quiet", 1, "3 3"))
    at = positions(axis)
    x = Span(min(at), max(at), left + (20 if phone else 48), right - (16 if phone else 40))
    spots = []
    for place, (line, (_, look)) in enumerate(zip(one.lines, named_looks, strict=True)):
        aside = 0.0 if len(one.lines) <= BANDS else (4 if phone else 7) * (place - (len(one.lines) - 1) / 2)
        drawn = _draw_line(drawing, line, look, [x(value) + aside for value in at], y, scale, len(one.lines) <= BANDS)
        spots.append(drawn or (right, foot))
    labels.draw(drawing, named, spots, right, 10, foot)
    below = foot + _draw_ticks(drawing, axis, [x(value) for value in at], foot, small)
    drawing.add(
        Words(right, below + 1.4 * small, axis.key + (", log scale" if axis.log else ""), small, "quiet", "end")
    )
    below += 2.4 * small
    below = _draw_diverged(drawing, one, named_looks, [x(value) for value in at], (left, right), below, small)
    if not one.question.is_loss:
        below = _draw_ranges(drawing, one, named_looks, [x(value) for value in at], (left, right), below, small)
    drawing.height = below
    return drawing


def _upward(one: Sweep, scale: int, foot: float) -> Span:
    """From 0 to 100 % if an accuracy is below 50 %, else as far as the values need."""
    points = [point.mean for line in one.lines for point in line.points.values() if point.mean]
    inner = [scale * mean.mean for mean in points] or [0.0]
    if scale == 100 and min(inner) < 50:
        return Span(0, 100, foot, 14)
    low, high = limits(inner, [scale * end for mean in points for end in (mean.low, mean.high) if end is not None])
    return Span(max(0.0, low), high if scale == 1 else min(100.0, high), foot, 14)


def _draw_line(
    drawing: Drawing, line: Line, look: Look, x: Sequence[float], y: Span, scale: int, bands: bool
) -> Spot | None:
    """One arm. The line is broken where a value has no mean. Returns its last point."""
    there = {point.place[0]: point for point in line.points.values() if point.mean}
    runs: list[list[int]] = []
    for i in sorted(there):
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])

    def ends(i: int) -> Spot | None:
        mean = there[i].mean
        if mean is None or mean.low is None or mean.high is None:
            return None
        low, high = max(0.0, mean.low), mean.high if scale == 1 else min(1.0, mean.high)
        return y.held(scale * low), y.held(scale * high)

    for run in runs:
        known = [(x[i], *of) for i in run if (of := ends(i))]
        if bands and len(known) > 1:
            upper, lower = [(a, high) for a, _, high in known], [(a, low) for a, low, _ in reversed(known)]
            drawing.add(Area([*upper, *lower], look.colour))
        else:
            drawing.add(*(Stroke(((a, low), (a, high)), look.colour, 1.5) for a, low, high in known))
    for i, point in there.items() if bands else ():
        dots = [(seed, y.held(scale * value)) for seed, value in point.seeds.items()]
        drawing.add(*(Mark("circle", x[i], at, 4, look.colour, opacity=0.5, says=f"seed {seed}") for seed, at in dots))
    for run in runs:
        spots = [(x[i], y.held(scale * mean.mean)) for i in run if (mean := there[i].mean)]
        drawing.add(Stroke(spots, look.colour, 2.5), *(Mark(look.shape, *spot, 9, look.colour) for spot in spots))
    if not there:
        return None
    last = there[max(there)]
    return (x[max(there)], y.held(scale * last.mean.mean)) if last.mean else None


def _draw_ticks(drawing: Drawing, axis: Axis, x: Sequence[float], top: float, size: float) -> float:
    """The values below the axis, in two rows where one is too narrow. Returns the height."""
    shown = [axis.text(place) for place in range(len(x))]
    gaps = [b - a for a, b in pairwise(x)] or [1e9]
    need = max(words.width(text, size) for text in shown) + 4
    rows = min(3, math.ceil(need / min(gaps)))
    last = [-1e9] * rows  # of each row, where its last word ends
    for place, (text, at) in enumerate(zip(shown, x, strict=True)):
        row, half = place % rows, words.width(text, size) / 2 + 2
        if at - half >= last[row]:
            drawing.add(Words(at, top + (1.4 + 1.2 * row) * size, text, size, "quiet", "middle"))
            last[row] = at + half
    return (1.5 + 1.2 * (rows - 1)) * size


Looked = Sequence[tuple[str, Look]]


def _draw_diverged(
    drawing: Drawing,
    one: Sweep,
    looked: Looked,
    x: Sequence[float],
    sides: tuple[float, float],
    top: float,
    size: float,
) -> float:
    """A row for each arm with diverged runs: at each value, how many of how many. Returns where it ends."""
    rows = [(line, look) for line, look in zip(one.lines, looked, strict=True) if any(map(_lost, line.points.values()))]
    if not rows:
        return top
    top += 0.6 * size
    drawing.add(Words(sides[0], top + size, "Diverged runs", size, "ink", bold=True))
    top += 1.5 * size
    for line, (name, look) in rows:
        lines = words.lines(name, size, drawing.width - sides[1] - labels.LEADER)
        tall = 1.25 * size * len(lines) + 6
        drawing.add(Box(sides[0], top, sides[1] - sides[0], tall - 4, "soft"))
        for point in line.points.values():
            if _lost(point):
                text = f"{len(point.arm.diverged)}/{runs_of(point)}"
                spot = (x[point.place[0]], top + tall / 2 - 2 + 0.36 * size)
                drawing.add(Words(*spot, text, size, look.colour, "middle", bold=True))
        _names(drawing, lines, sides[1] + labels.LEADER, top, size, look)
        top += tall
    return top


def _lost(point: Point) -> bool:
    return bool(point.arm.diverged)


def _draw_ranges(
    drawing: Drawing,
    one: Sweep,
    looked: Looked,
    x: Sequence[float],
    sides: tuple[float, float],
    top: float,
    size: float,
) -> float:
    """A row for each arm with a box at each usable value: filled where the means say so, hollow if not ruled out."""
    top += 0.6 * size
    for text in words.lines(USABLE, size, drawing.width - sides[0]):
        drawing.add(Words(sides[0], top + size, text, size, "ink", bold=True))
        top += 1.3 * size
    top += 0.3 * size
    half = min(14.0, 0.45 * min((b - a for a, b in pairwise(x)), default=28.0))
    for line, (name, look) in zip(one.lines, looked, strict=True):
        lines = words.lines(name, size, drawing.width - sides[1] - labels.LEADER)
        tall = 1.25 * size * len(lines) + 8
        middle = top + tall / 2 - 2
        drawing.add(Stroke(((sides[0], middle), (sides[1], middle)), "grid"))
        for point in line.points.values():
            if point.usable is not Usable.NO:
                fill = look.colour if point.usable is Usable.YES else "paper"
                drawing.add(Box(x[point.place[0]] - half, middle - 7, 2 * half, 14, fill, look.colour))
        _names(drawing, lines, sides[1] + labels.LEADER, top, size, look)
        top += tall
    return top


def _names(drawing: Drawing, lines: Sequence[str], at: float, top: float, size: float, look: Look) -> None:
    for place, name in enumerate(lines):
        drawing.add(Words(at, top + (1.1 + 1.25 * place) * size, name, size, look.colour, bold=True))


def _scale(one: Sweep) -> tuple[float, float]:
    means = [point.mean.mean for line in one.lines for point in line.points.values() if point.mean]
    return (min(means), max(means)) if means and min(means) < max(means) else (0.0, 1.0)


def _draw_grids(one: Sweep, looks: Looks, scale: tuple[float, float], wide: float) -> Drawing:
    """A heat map for each arm. A missing value has a dash, and a value with diverged runs says how many."""
    down, across = one.axes
    maps = []
    for line, (name, look) in zip(one.lines, looked(one, looks), strict=True):
        cells = {place: _cell(line, place, one, scale) for place in one.places}
        maps.append(Map(name, look.colour, cells))
    names = [[axis.text(place) for place in range(len(axis.values))] for axis in (down, across)]
    return draw_maps(maps, (down.name, across.name), names, wide)


def _cell(line: Line, place: Place, one: Sweep, scale: tuple[float, float]) -> tuple[str, str, float | None]:
    """The text of a cell, a second line on diverged runs, and how far it is from the lowest to the highest value."""
    point = line.points.get(place)
    low, high = scale
    lost = f"{len(point.arm.diverged)}/{runs_of(point)} div." if point and point.arm.diverged else ""
    if point is None or point.mean is None:
        return "–", lost, None
    return number(point.mean.mean, loss=one.question.is_loss), lost, (point.mean.mean - low) / (high - low)
