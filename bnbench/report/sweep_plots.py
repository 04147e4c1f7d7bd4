"""A sweep as one picture: lines over one key, with the usable range of each arm below, or a heat map over two keys."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bnbench.analysis.compare import Table
from bnbench.analysis.sweep import Axis, Line, Sweep, Usable, sweep, swept
from bnbench.report.cells import number
from bnbench.report.plots import BASELINE, DASHES, INK, LINES, MARKERS, RULE, SERIES, Picture, drawn
from bnbench.report.sweep_words import guessing, measured, runs_of, sentences, verdict

WIDTH = 7.6  # inches
BESIDE = 1.9  # for the names at the ends of the lines
ROW = 0.2  # of the usable range of one arm
BANDS = 2  # with more arms, bars replace the bands
GRIDS = 3  # heat maps side by side

Look = tuple[str, Any, str]  # colour, dashes, marker


def swept_in(table: Table) -> list[Sweep]:
    """The sweeps among the arms of a table."""
    arms = [row.arm for row in table.rows]
    return [one for keys in swept(arms) if (one := sweep(table.group, arms, table.question, keys))]


def pictures(one: Sweep) -> Iterator[Picture]:
    """The pictures of a sweep; several if it has more arms than a picture can show."""
    most = LINES + 1 if len(one.axes) == 1 else GRIDS
    for start in range(0, len(one.lines), most):
        part = Sweep(one.group, one.question, one.axes, one.lines[start : start + most])
        title = f"{measured(one)}, by {' and '.join(axis.key for axis in one.axes)}"
        text = " ".join(filter(None, [f"{title}.", verdict(part), *sentences(part)]))
        # All heat maps share the scale of the whole sweep.
        draw = partial(_draw_lines, part) if len(one.axes) == 1 else partial(_draw_grids, part, _scale(one))
        yield Picture("sweep-" + "-".join(axis.key.replace(".", "-") for axis in one.axes), title, text, (), draw)


def _positions(axis: Axis) -> list[float]:
    """Where the values stand: logarithms, numbers, or places."""
    if axis.log:
        return [math.log10(value) for value in axis.values]
    return [float(value) for value in axis.values] if axis.numeric else [float(i) for i in range(len(axis.values))]


def _draw_lines(one: Sweep) -> Figure:
    axis, lines = one.axes[0], one.lines
    below = 0.75 + (0 if one.question.is_loss else ROW * len(lines) + 0.3)
    height = 3.2 + below
    figure = Figure((WIDTH, height))
    axes = figure.add_axes((0.55 / WIDTH, below / height, 1 - (0.55 + BESIDE) / WIDTH, (3.2 - 0.1) / height))
    x = _positions(axis)
    step = min(b - a for a, b in pairwise(x))
    scale = 1 if one.question.is_loss else 100
    ends: list[tuple[float, str, str]] = []
    colours = []
    taken = 0
    for place, line in enumerate(lines):
        look: Look = (BASELINE, "-", "o")
        if not (line.without_norm and place == 0):
            look, taken = (SERIES[taken % LINES], DASHES[taken % LINES], MARKERS[taken % LINES]), taken + 1
        colours.append(look[0])
        aside = 0.0 if len(lines) <= BANDS else 0.06 * step * (place - (len(lines) - 1) / 2)
        _draw_line(axes, line, [at + aside for at in x], look, scale, bands=len(lines) <= BANDS)
        for point in line.points.values():
            if point.arm.diverged:
                spot = (x[point.place[0]] + aside, 0.03 + 0.055 * place)
                axes.plot(*spot, "x", color=look[0], markersize=5, transform=axes.get_xaxis_transform(), clip_on=False)
                said = f" {len(point.arm.diverged)} of {runs_of(point)} diverged"
                axes.annotate(
                    said,
                    spot,
                    (-4, 0),
                    axes.get_xaxis_transform(),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    fontsize=7.5,
                    color=look[0],
                )
        last = [point.mean.mean for point in line.points.values() if point.mean]
        if last:
            ends.append((scale * last[-1], drawn(line.name, "", 24), look[0]))
    axes.set_xlim(min(x) - 0.3 * step, max(x) + 0.3 * step)
    if not one.question.is_loss:
        axes.set_ylim(0, 100)
        if (level := guessing(one)) is not None:
            axes.axhline(100 * level, color=RULE, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
            axes.text(0.01, 100 * level + 1, "guessing", transform=axes.get_yaxis_transform(), fontsize=7.5)
    _name_ends(axes, ends)
    labels = [axis.text(i) for i in range(len(x))]
    axes.set_xticks(x, labels, rotation=0 if sum(map(len, labels)) < 50 else 60)
    axes.grid(axis="y")
    axes.set_xlabel(axis.key + (", log scale" if axis.log else ""))
    if not one.question.is_loss:
        _draw_ranges(axes, one, x, colours, step, height - below)
    return figure


def _draw_line(axes: Axes, line: Line, x: Sequence[float], look: Look, scale: int, *, bands: bool) -> None:
    """One arm. The line is broken where a value has no mean."""
    colour, dashes, marker = look
    there = {point.place[0]: point for point in line.points.values()}
    means = [there[i].mean if i in there else None for i in range(len(x))]
    middle = [scale * mean.mean if mean else math.nan for mean in means]
    low, high = (
        [m + sign * scale * (mean.half or 0) if mean else math.nan for m, mean in zip(middle, means, strict=True)]
        for sign in (-1, 1)
    )
    if scale == 100:  # an accuracy is never below 0 or above 100 %
        low, high = [max(0.0, v) for v in low], [min(100.0, v) for v in high]
    if bands:
        axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0, zorder=1)
        for i, point in there.items():
            values = [scale * value for value in point.seeds.values()]
            axes.plot([x[i]] * len(values), values, "o", color=colour, alpha=0.5, markersize=2.4, zorder=2)
    else:
        axes.vlines(x, low, high, color=colour, linewidth=1, zorder=2)
    axes.plot(x, middle, color=colour, linestyle=dashes, marker=marker, linewidth=1.5, markersize=4.2, zorder=3)


def _name_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """The names at the right, at the heights of the lines' ends, but never closer than a line of text."""
    low, high = axes.get_ylim()
    least = 0.06 * (high - low)
    heights: list[float] = []
    for height, _, _ in sorted(ends):
        heights.append(max(height, heights[-1] + least) if heights else height)
    excess = max(0.0, heights[-1] - high) if heights else 0.0
    for at, (height, name, colour) in zip(heights, sorted(ends), strict=True):
        axes.annotate(
            name,
            (1.0, height),
            (1.03, at - excess),
            xycoords=axes.get_yaxis_transform(),
            textcoords=axes.get_yaxis_transform(),
            color=colour,
            va="center",
            fontweight="bold",
            fontsize=8.5,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6},
        )


def _draw_ranges(axes: Axes, one: Sweep, x: list[float], colours: list[str], step: float, inches: float) -> None:
    """Below the picture: a square for each usable value, filled where the means say so, hollow if not ruled out."""
    rows = len(one.lines)
    tall = ROW * rows / inches
    inset = axes.inset_axes((0, -0.75 / inches - tall - 0.02, 1, tall))
    for row, (line, colour) in enumerate(zip(one.lines, colours, strict=True)):
        for point in line.points.values():
            if point.usable is not Usable.NO:
                face = colour if point.usable is Usable.YES else "none"
                inset.plot(x[point.place[0]], row, "s", color=colour, markerfacecolor=face, markersize=7)
        inset.annotate(
            drawn(line.name, "", 24),
            (1.03, row),
            xycoords=inset.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            color=colour,
        )
    inset.set(xlim=axes.get_xlim(), ylim=(rows - 0.5, -0.5), xticks=[], yticks=[])
    for spine in inset.spines.values():
        spine.set_visible(False)
    inset.set_title("within 1 point of its best (hollow: not ruled out)", fontsize=8, loc="left", pad=2)


def _scale(one: Sweep) -> tuple[float, float]:
    means = [point.mean.mean for line in one.lines for point in line.points.values() if point.mean]
    return (min(means), max(means)) if means and min(means) < max(means) else (0.0, 1.0)


def _draw_grids(one: Sweep, scale: tuple[float, float]) -> Figure:
    """A heat map for each arm. A missing value has a dash, and a value with diverged runs says how many."""
    down, across = one.axes
    height = 0.9 + 0.3 * len(down.values)
    figure = Figure((WIDTH, height))
    whole = figure.add_axes((0.6 / WIDTH, 0.5 / height, 1 - 0.7 / WIDTH, 1 - 0.8 / height))
    whole.set_axis_off()
    colours, (low, high) = matplotlib.colormaps["cividis"], scale
    for i, line in enumerate(one.lines):
        share = 1 / max(1, len(one.lines))
        axes = whole.inset_axes((i * share, 0, 0.88 * share, 1))
        axes.set(xlim=(0, len(across.values)), ylim=(len(down.values), 0))
        for place in one.places:
            point = line.points.get(place)
            row, column = place
            text, ink, face = "–", INK, "none"
            if point and point.mean:
                level = (point.mean.mean - low) / (high - low)
                face = to_hex(colours(level))
                text, ink = number(point.mean.mean, loss=one.question.is_loss), "#000000" if level > 0.46 else "#ffffff"
            if point and point.arm.diverged:
                text += f" ×{len(point.arm.diverged)}/{runs_of(point)}"
            axes.add_patch(Rectangle((column, row), 1, 1, facecolor=face, edgecolor=RULE))
            axes.text(column + 0.5, row + 0.5, text, color=ink, ha="center", va="center", fontsize=7)
        axes.set_xticks(
            [j + 0.5 for j in range(len(across.values))], [across.text(j) for j in range(len(across.values))]
        )
        axes.set_yticks([j + 0.5 for j in range(len(down.values))], [down.text(j) for j in range(len(down.values))])
        axes.set_xlabel(across.name)
        axes.set_ylabel(down.name if i == 0 else "")
        axes.set_title(drawn(line.name, "", 30), fontsize=8.5)
    return figure
