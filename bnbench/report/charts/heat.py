"""Heat maps side by side, all on one scale of colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bnbench.report.charts import words
from bnbench.report.charts.drawing import Box, Drawing, Words

# From low to high: dark blue to yellow, whose lightness rises evenly, also for the colour-blind.
RAMP = ((0, 34, 78), (53, 69, 108), (102, 105, 112), (149, 143, 120), (200, 182, 101), (254, 232, 56))
LIGHT = 0.5  # above this level, the text is black
MOST = 76.0  # pixels of a cell


@dataclass(frozen=True)
class Map:
    """One map: for each row and column its text, a second line, and its level from 0 to 1; None leaves it empty."""

    name: str
    colour: str
    cells: Mapping[tuple[int, ...], tuple[str, str, float | None]]


def draw_maps(maps: Sequence[Map], axes: tuple[str, str], names: Sequence[Sequence[str]], wide: float) -> Drawing:
    """The maps in rows, as many beside each other as fit. `names` has the values of the rows and of the columns."""
    phone = wide < 600
    size, small = (13.5, 12.0) if phone else (16.0, 13.0)
    down, across = names
    left = 12 + max(words.width(text, small) for text in [axes[0], *down])
    need = max(words.width(text, small) for one in maps for text, _, _ in one.cells.values()) + 6
    cell = min(MOST, max(need, 34.0))
    if left + cell * len(across) > wide:
        cell = (wide - left) / len(across)
    whole = left + cell * len(across) + (16 if phone else 40)
    beside = max(1, min(len(maps), int((wide + 40) // whole)))
    tall = 2.9 * small
    drawing, top = Drawing(wide, 0), 0.0
    for start in range(0, len(maps), beside):
        row = maps[start : start + beside]
        titles = [words.lines(one.name, size, cell * len(across)) for one in row]
        head = 1.3 * size * max(map(len, titles))
        for place, (one, title) in enumerate(zip(row, titles, strict=True)):
            x = place * whole
            for line, text in enumerate(title):
                drawing.add(Words(x + left, top + (1 + 1.2 * line) * size, text, size, one.colour, bold=True))
            _draw_map(drawing, one, axes, names, (x + left, top + head + 2.9 * small), (cell, tall), small)
        top += head + 2.9 * small + tall * len(down) + 28
    drawing.height = top - 20
    return drawing


def _draw_map(
    drawing: Drawing,
    one: Map,
    axes: tuple[str, str],
    names: Sequence[Sequence[str]],
    corner: tuple[float, float],
    cell: tuple[float, float],
    size: float,
) -> None:
    (left, top), (wide, tall), (down, across) = corner, cell, names
    drawing.add(Words(left - 8, top - 0.5 * size, axes[0], size, "quiet", "end"))
    drawing.add(Words(left, top - 1.8 * size, axes[1], size, "quiet"))
    for column, text in enumerate(across):
        drawing.add(Words(left + (column + 0.5) * wide, top - 0.5 * size, text, size, "quiet", "middle"))
    for row, text in enumerate(down):
        drawing.add(Words(left - 8, top + (row + 0.5) * tall + 0.35 * size, text, size, "quiet", "end"))
    for (row, column), (text, more, level) in one.cells.items():
        x, y = left + column * wide, top + row * tall
        drawing.add(Box(x, y, wide, tall, "none" if level is None else ramp(level), "rule"))
        ink = "ink" if level is None else "#000000" if level > LIGHT else "#ffffff"
        fits = min(size, size * (wide - 4) / max(words.width(text, size), 1))
        base = y + tall / 2 + (0.35 if not more else -0.15) * size
        drawing.add(Words(x + wide / 2, base, text, fits, ink, "middle"))
        if more:
            fits = min(size, size * (wide - 4) / words.width(more, size))
            drawing.add(Words(x + wide / 2, base + 1.15 * size, more, fits, ink, "middle"))


def ramp(level: float) -> str:
    """The colour of a level from 0 to 1."""
    at = min(max(level, 0.0), 1.0) * (len(RAMP) - 1)
    low = min(int(at), len(RAMP) - 2)
    channels = zip(RAMP[low], RAMP[low + 1], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (at - low)):02x}" for a, b in channels)
