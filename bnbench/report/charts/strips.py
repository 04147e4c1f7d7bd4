"""Seed by seed: for each arm a dot for each seed, and below the dots their mean and its interval.

Names and numbers stand in columns of their own, so that no words meet a mark. On a phone they stand above the strip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bnbench.report.charts import words
from bnbench.report.charts.drawing import Drawing, Line, Mark, Words
from bnbench.report.charts.palette import Look
from bnbench.report.charts.scale import Span, limits, texts, ticks

BESIDE = 1000  # from this width, two panels stand side by side
NARROW = 600
DOT, LEVELS = 9.0, 3  # the diameter of a dot; dots that would meet are stacked, up to so many
GAP = 32  # between two panels


@dataclass(frozen=True)
class Strip:
    """One arm: its seeds, their mean with its interval, and these as text. `group` is a heading above its strip.

    Without a mean, the strip has only its text.
    """

    name: str
    look: Look
    seeds: Mapping[int, float]
    mean: float | None
    low: float | None
    high: float | None
    value: str  # 97.53, +0.23
    about: str  # ± 0.25, +0.04 to +0.42
    group: str = ""


@dataclass(frozen=True)
class Panel:
    """Strips on one scale. `line` is a value to mark: the baseline's."""

    title: str
    strips: Sequence[Strip]
    line: float | None
    sign: bool = False  # whether the axis shows differences


@dataclass(frozen=True)
class _Place:
    """Where a panel stands: its sides, the room for names at its left and for numbers at its right, and its text."""

    left: float
    right: float
    names: float  # 0: the names stand at the left of another panel, or above the strips
    numbers: float
    values: float  # of the room for numbers, that for the values
    phone: bool

    @property
    def sizes(self) -> tuple[float, float]:
        return (13.5, 12.0) if self.phone else (16.0, 14.0)


def draw(panels: Sequence[Panel], wide: float) -> Drawing:
    """The panels side by side, or one below the other if the drawing is narrow. Two panels have the same strips."""
    drawing = Drawing(wide, 0)
    phone = wide < NARROW
    named = 0.0 if phone else _names_room(panels, wide)
    numbers = [0.0 if phone else _numbers_room(panel) for panel in panels]
    if len(panels) == 2 and wide >= BESIDE:
        half = (wide - named - GAP) / 2
        places = [
            _Place(0, named + half, named, numbers[0], _values_room(panels[0]), phone),
            _Place(named + half + GAP, wide, 0, numbers[1], _values_room(panels[1]), phone),
        ]
        levels = [max(pair) for pair in zip(*map(_levels, panels, map(_span, panels, places)), strict=True)]
        for panel, place in zip(panels, places, strict=True):
            drawing.height = _panel(drawing, panel, place, levels, _heights(panels[0], levels, named), 0)
        return drawing
    for panel, room in zip(panels, numbers, strict=True):
        there = Panel(panel.title, [strip for strip in panel.strips if strip.mean is not None], panel.line, panel.sign)
        place = _Place(0, wide, named, room, _values_room(panel), phone)
        top = drawing.height + (28 if drawing.height else 0)
        levels = _levels(there, _span(there, place))
        drawing.height = _panel(drawing, there, place, levels, _heights(there, levels, named), top)
    return drawing


def _names_room(panels: Sequence[Panel], wide: float) -> float:
    names = [strip.name for panel in panels for strip in panel.strips]
    return min(0.22 * wide, max(words.width(name, 16, bold=True) for name in names)) + 16


def _numbers_room(panel: Panel) -> float:
    return _values_room(panel) + 24 + max(words.width(strip.about, 14) for strip in panel.strips)


def _values_room(panel: Panel) -> float:
    return max(words.width(strip.value, 16, bold=True) for strip in panel.strips)


def _span(panel: Panel, place: _Place) -> Span:
    strips = [strip for strip in panel.strips if strip.mean is not None]
    inner = [value for strip in strips for value in (*strip.seeds.values(), strip.mean) if value is not None]
    outer = [end for strip in strips for end in (strip.low, strip.high) if end is not None]
    low, high = limits([*inner, *([] if panel.line is None else [panel.line])], outer)
    return Span(low, high, place.left + place.names + 8, place.right - place.numbers - 8)


def _heights(panel: Panel, levels: Sequence[int], named: float) -> list[float]:
    """The height of each strip: its dots and its interval, or its name in lines."""
    lines = [len(words.lines(strip.name, 16, named - 16)) if named else 0 for strip in panel.strips]
    return [max(DOT * level + 26, 1.2 * 16 * n + 8) for level, n in zip(levels, lines, strict=True)]


def _levels(panel: Panel, scale: Span) -> list[int]:
    """On how many levels the dots of each strip stand."""
    return [1 + max((level for _, _, level in _stacked(strip.seeds, scale)), default=0) for strip in panel.strips]


def _panel(
    drawing: Drawing, panel: Panel, place: _Place, levels: Sequence[int], heights: Sequence[float], top: float
) -> float:
    """Draw a panel from `top` down; returns where it ends."""
    size, axis = place.sizes
    for title in words.lines(panel.title, axis, place.right - place.left - place.names) if panel.title else ():
        top += 1.25 * axis
        drawing.add(Words(place.left + place.names, top, title, axis, bold=True))
    scale = _span(panel, place)
    at = first = top + 0.8 * axis
    behind = len(drawing.parts)
    group, tops = "", []
    for strip, level, tall in zip(panel.strips, levels, heights, strict=True):
        if strip.group != group:
            group = strip.group
            drawing.add(Words(place.left, at + 1.5 * size, group, size, bold=True))
            at += 2 * size
        tops.append(at if not place.phone else _words_above(drawing, strip, at, place))
        _strip(drawing, strip, scale, tops[-1], place, level, tall)
        at = tops[-1] + tall
        tops.append(at)
    # The grid stands behind the strips. On a phone it leaves out the lines of words between them.
    parts = list(zip(tops[::2], tops[1::2], strict=True)) if place.phone else [(first, at)]
    marked = ticks(scale.low, scale.high, 4 if scale.end - scale.start < 400 else 6)
    grid = [Line(((scale(value), top), (scale(value), end)), "grid") for value in marked for top, end in parts]
    if panel.line is not None:
        x, dash = scale(panel.line), "" if panel.sign else "4 3"
        grid += [Line(((x, top), (x, end)), "baseline", 1.5, dash) for top, end in parts]
    drawing.parts[behind:behind] = grid
    for value, text in zip(marked, texts(marked, sign=panel.sign), strict=True):
        x = min(scale(value), place.right - words.width(text, axis) / 2)
        drawing.add(Words(x, at + 1.3 * axis, text, axis, "quiet", "middle"))
    return at + 1.8 * axis


def _strip(drawing: Drawing, strip: Strip, scale: Span, top: float, place: _Place, levels: int, tall: float) -> None:
    """One strip from `top` down, with room for so many levels of dots."""
    colour = strip.look.colour
    middle = top + tall / 2 + DOT * levels / 2  # of the mean and its interval
    for seed, value, level in _stacked(strip.seeds, scale):
        says = f"{strip.name}, seed {seed}: {value:.4g}"
        spot = (scale.held(value), middle - 12 - DOT * level)
        drawing.add(Mark("circle", *spot, DOT - 1, colour, opacity=0.55, says=says))
    if strip.low is not None and strip.high is not None:
        drawing.add(Line(((scale.held(strip.low), middle), (scale.held(strip.high), middle)), colour, 3))
    if strip.mean is not None:
        drawing.add(Mark("diamond", scale(strip.mean), middle, 11, colour))
    if not place.phone:
        _words_beside(drawing, strip, top + tall / 2, place)


def _words_above(drawing: Drawing, strip: Strip, top: float, place: _Place) -> float:
    size, small = place.sizes
    about = words.width(strip.about, small)
    room = place.right - about - words.width(strip.value, size, bold=True) - 24
    names = words.lines(strip.name, size, room)
    top += 4
    for line, name in enumerate(names):
        drawing.add(Words(place.left, top + (1 + 1.2 * line) * size, name, size, strip.look.colour, bold=True))
    drawing.add(Words(place.right - about - 8, top + size, strip.value, size, anchor="end", bold=True))
    drawing.add(Words(place.right, top + size, strip.about, small, "quiet", "end"))
    return top + 1.2 * size * len(names)


def _words_beside(drawing: Drawing, strip: Strip, middle: float, place: _Place) -> None:
    size, small = place.sizes
    base = middle + 0.36 * size
    if place.names:
        names = words.lines(strip.name, size, place.names - 16)
        first = base - 0.6 * size * (len(names) - 1)
        for line, name in enumerate(names):
            drawing.add(Words(place.left, first + 1.2 * size * line, name, size, strip.look.colour, bold=True))
    at = place.right - place.numbers + 8 + place.values
    drawing.add(Words(at, base, strip.value, size, anchor="end", bold=True))
    drawing.add(Words(at + 10, base, strip.about, small, "quiet"))


def _stacked(seeds: Mapping[int, float], scale: Span) -> list[tuple[int, float, int]]:
    """Each seed with its value and its level: dots that would meet are on different levels, as far as there are any."""
    last: list[float] = []  # of each level, where its last dot stands
    out = []
    for seed, value in sorted(seeds.items(), key=lambda item: item[1]):
        at = scale.held(value)
        level = next((i for i, x in enumerate(last) if at - x >= DOT - 1), len(last))
        if level >= LEVELS:
            level = min(range(LEVELS), key=lambda i: last[i])
        last[level : level + 1] = [at]
        out.append((seed, value, level))
    return out
