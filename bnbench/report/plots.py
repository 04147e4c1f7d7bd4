"""Rows of a comparison → pictures: learning curves, the value of each seed, and its difference to the baseline.

Every picture has a text alternative. A test checks the colours: any two differ in three simulated kinds of colour
blindness, and each contrasts with its background. Every arm also has its own dashes and marker. Figures are made
without pyplot, which keeps global state. No torch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bnbench.analysis.compare import Question, Row, Table, by_seed
from bnbench.analysis.curves import EpochMeans, epoch_means
from bnbench.analysis.measures import CURVES, MEASURES
from bnbench.analysis.statistics import common_seeds
from bnbench.report.cells import bounds, mean_text
from bnbench.report.columns import available

INK, RULE, BASELINE = "#1c1f24", "#c9cdd3", "#3a3f47"
SERIES = ("#3a50e0", "#7a3208", "#22a172", "#e850c0", "#4e006e", "#bd8600")
SERIES_ON_DARK = ("#5f7dff", "#c07018", "#4aff95", "#dd2f70", "#cf8ae0", "#ffd84d")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1)), (0, (4, 1, 1, 1, 1, 1)))
MARKERS = ("s", "^", "D", "v", "P", "X")
LINES = len(SERIES)  # arms in one picture, without the baseline
STRIPS = 16  # arms in one picture of seeds
LINE = 50  # characters that fit a line of a picture

STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.parse_math": False,  # a $ in a name is a $
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "bnbench",  # so that the same picture gives the same bytes
}


def style() -> AbstractContextManager[None]:
    """Settings to draw and render with. They override the user's own matplotlib settings."""
    settings: Any = {**matplotlib.rcParamsDefault, **STYLE}
    return matplotlib.rc_context({key: settings[key] for key in settings if not key.startswith("backend")})


@dataclass(frozen=True)
class Key:
    """One line of a legend. `look` has matplotlib's arguments; None for an arm without a line."""

    label: str
    note: str  # whether it is the baseline, and its diverged runs
    look: dict[str, Any] | None


@dataclass(frozen=True)
class Picture:
    """One figure. `draw` makes it, so that only the needed ones are made."""

    name: str  # safe in a file name
    title: str
    text: str  # the text alternative, with the numbers
    keys: tuple[Key, ...]
    draw: Callable[[], Figure]


def families(table: Table) -> Iterator[list[Row]]:
    """The rows that share a baseline, the baseline first."""
    family: list[Row] = []
    for row in table.rows:
        if family and family[0].baseline is not row.baseline:
            yield family
            family = []
        family.append(row)
    yield family


def cut(family: Sequence[Row], most: int) -> list[list[Row]]:
    """Cut a family into parts of similar size. Each part has the baseline and at most `most` other arms."""
    first, arms = [row for row in family if row.is_baseline], [row for row in family if not row.is_baseline]
    parts = max(1, -(-len(arms) // most))
    ends = [len(arms) * part // parts for part in range(parts + 1)]
    return [[*first, *arms[start:end]] for start, end in pairwise(ends)]


def keys(rows: Sequence[Row]) -> tuple[Key, ...]:
    """The legend of a part of a family."""
    out, place = [], 0
    for row in rows:
        look: dict[str, Any] = {"color": BASELINE, "linestyle": "-", "marker": "o"}
        if not row.is_baseline:
            look = {"color": SERIES[place], "linestyle": DASHES[place], "marker": MARKERS[place]}
            place += 1
        notes = []
        if row.is_baseline:
            notes.append("baseline")
        if row.arm.diverged:
            notes.append(f"{row.arm.counts} runs")
        note = f" ({', '.join(notes)})" if notes else ""
        out.append(Key(row.arm.label, note, look if row.arm.complete else None))
    return tuple(out)


def curves(rows: Sequence[Row]) -> Iterator[Picture]:
    """Loss and accuracy, training and validation, by epoch and by seconds. No pictures if all runs diverged."""
    shown = [(list(epoch_means([row.arm])), key) for row, key in zip(rows, keys(rows), strict=True) if key.look]
    if not shown:
        return
    lost = [f"{row.arm.label} ({row.arm.counts})" for row in rows if row.arm.diverged]
    seeds = [len(row.arm.complete) for row in rows if row.arm.complete]
    apart = f" Diverged runs are in no mean: {', '.join(lost)}." if lost else ""
    for across in ("epoch", "seconds"):
        for metric in CURVES:
            title = MEASURES[metric].title
            unit = f", {MEASURES[metric].unit}" if MEASURES[metric].unit else ""
            ends = "; ".join(_end(means[-1], metric, across) for means, _ in shown)
            when = f"After epoch {shown[0][0][-1].epoch}: " if across == "epoch" else ""
            text = f"{title} by {across}, {_of(seeds)}. {when}{ends}.{apart}"
            heading = f"{title} by {across}{unit}"
            draw = partial(_draw_curves, shown, metric, across)
            yield Picture(f"{metric}-by-{across}", heading, text, keys(rows), draw)


def _end(last: EpochMeans, metric: str, across: str) -> str:
    loss = MEASURES[metric].is_loss
    value = f"{last.arm.label} {mean_text(last.means[metric], loss=loss)}{'' if loss else ' %'}"
    return value if across == "epoch" else f"{value} after {last.trained:.1f} s"


def _of(seeds: Sequence[int]) -> str:
    """The number of seeds, in words."""
    if (many := max(seeds)) == 1:
        return "one seed each, without bands"
    bands = "with bands of 95 % over seeds" if (few := min(seeds)) > 1 else "with bands of 95 % where there are several"
    return f"means over {few if few == many else f'{few} to {many}'} seeds, {bands}"


def _draw_curves(shown: Sequence[tuple[list[EpochMeans], Key]], metric: str, across: str) -> Figure:
    figure, axes = _axes(3.3, 2.35, left=0.5, bottom=0.42)
    scale = 1 if MEASURES[metric].is_loss else 100
    inner, outer = [], []
    for place, (means, key) in enumerate(shown):
        assert key.look is not None
        x = [float(row.epoch) if across == "epoch" else row.trained for row in means]
        if x == [1.0] and across == "epoch":  # one epoch: points side by side
            x = [1 + 0.1 * (place - (len(shown) - 1) / 2)]
        middle = [scale * row.means[metric].mean for row in means]
        half = [scale * (row.means[metric].half or 0.0) for row in means]
        low_band, high_band = ([m + sign * h for m, h in zip(middle, half, strict=True)] for sign in (-1, 1))
        behind = key.look["color"] == BASELINE
        if any(half) and len(x) == 1:
            axes.vlines(x, low_band, high_band, color=key.look["color"], linewidth=1)
        elif any(half):
            axes.fill_between(x, low_band, high_band, color=key.look["color"], alpha=0.12, linewidth=0, zorder=1)
        drawn_as: dict[str, Any] = {"linewidth": 1.4, "markersize": 3.6, "zorder": 2 if behind else 3, "clip_on": False}
        axes.plot(x, middle, **key.look, **drawn_as, markevery=max(1, len(x) // 10))
        inner += middle
        outer += [*low_band, *high_band]
    low, high = _limits(inner, outer)
    axes.set_ylim(max(low, 0), high if scale == 1 else min(high, 100))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=across == "epoch"))
    if across == "seconds":
        axes.set_xlim(left=0)
    elif len(shown[0][0]) == 1:
        axes.set(xlim=(0.5, 1.5), xticks=[1])
    axes.set_xlabel("epoch" if across == "epoch" else "seconds of training")
    axes.grid(axis="y")
    return figure


def _limits(inner: Sequence[float], outer: Sequence[float]) -> tuple[float, float]:
    """The limits of an axis: it shows all of `inner`, and `outer` only as far as `inner` stays readable."""
    low, high = min(inner), max(inner)
    room = (high - low) or 0.02 * abs(high) or 1.0
    low, high = max(min(outer), low - room), min(max(outer), high + room)
    margin = 0.05 * (high - low) or room
    return low - margin, high + margin


def points(rows: Sequence[Row], table: Table) -> Picture | None:
    """The question's metric for every seed, with mean and interval. None if there is no value."""
    cell, question = available(table)["value"].cell, table.question
    strips = []
    for row in rows:
        if row.value:
            values = list(by_seed(row.arm, question).values())
            low, high, _ = bounds(row.value, loss=question.is_loss)
            strips.append(Strip(row, values, row.value.mean, low, high, cell(row)))
    if not strips:
        return None
    line = next((row.value.mean for row in rows if row.is_baseline and row.value), None)
    title = f"{_asked(question)} of each seed{'' if question.is_loss else ', %'}"
    text = f"{title}, with means and 95 % intervals over {table.over}: {_says(strips, 'seed')}."
    return Picture("seeds", title, text, (), partial(_draw_strips, strips, line, question.is_loss))


def differences(rows: Sequence[Row], table: Table) -> Picture | None:
    """The difference of each seed to the baseline's run with that seed. None if nothing is compared."""
    cell, question = available(table)["difference"].cell, table.question
    strips, baseline = [], ""
    for row in rows:
        if (gap := row.difference) and row.baseline:
            arm, other, baseline = by_seed(row.arm, question), by_seed(row.baseline, question), row.baseline.label
            gaps = [arm[seed] - other[seed] for seed in common_seeds(arm, other)]  # empty if the difference is unpaired
            strips.append(Strip(row, gaps, gap.mean, gap.low, gap.high, cell(row)))
    if not strips:
        return None
    title = f"{_asked(question)} minus {baseline}'s, seed by seed{'' if question.is_loss else ', percentage points'}"
    text = f"{title}, with means and 95 % intervals over {table.over}: {_says(strips, 'pair')}."
    return Picture("differences", title, text, (), partial(_draw_strips, strips, 0.0, question.is_loss))


def _asked(question: Question) -> str:
    what = question.measure.title
    if isinstance(question.at, int):
        return f"{what} after epoch {question.at}"
    return what if not question.measure.per_epoch else f"{question.at.title()} {what.lower()}"


def _says(strips: Sequence["Strip"], what: str) -> str:
    def of(strip: Strip) -> str:
        n = len(strip.values)
        return strip.says if "pair" in strip.says else f"{strip.says} ({n} {what}{'s' if n > 1 else ''})"

    return "; ".join(f"{strip.row.arm.label} {of(strip)}" for strip in strips)


class Strip(NamedTuple):
    """One arm in a picture of seeds: the values of its seeds, their mean and interval, and these as text."""

    row: Row
    values: list[float]
    mean: float
    low: float | None
    high: float | None
    says: str


def _draw_strips(strips: Sequence[Strip], line: float | None, is_loss: bool) -> Figure:
    """Draw one strip for each arm: its name, a point for each seed, and below them the mean and interval."""
    figure, axes = _axes(3.75, 0.42 + 0.4 * len(strips), left=0.1, bottom=0.34)
    scale = 1 if is_loss else 100
    inner = [scale * value for strip in strips for value in [*strip.values, strip.mean]]
    outer = [scale * end for strip in strips for end in (strip.low, strip.high) if end is not None]
    if line is not None:
        inner.append(scale * line)
        axes.axvline(scale * line, color=BASELINE, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    for place, (row, values, mean, low, high, says) in enumerate(strips):
        text: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 8.5}
        name = drawn(row.arm.label, " (baseline)" if row.is_baseline else "", LINE - len(says))
        axes.text(0, place - 0.28, name, ha="left", **text)
        axes.text(1, place - 0.28, says, ha="right", **text)
        y = [place + 0.03] * len(values)
        axes.plot([scale * value for value in values], y, "o", mfc="none", color=SERIES[0], markersize=4, alpha=0.8)
        if low is not None and high is not None:
            axes.plot([scale * low, scale * high], [place + 0.24] * 2, color=INK, linewidth=1.4)
        axes.plot([scale * mean], [place + 0.24], "D", color=INK, markersize=4.2)
    axes.set_xlim(*_limits(inner, [*inner, *outer]))
    axes.set_ylim(len(strips) - 0.55, -0.55)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    return figure


def drawn(label: str, note: str = "", room: int = LINE) -> str:
    """The label of an arm for a picture: shortened to `room`, with only characters that the font has."""
    label = "".join(character if " " <= character <= "~" else "?" for character in label)
    half = max(6, (room - len(note) - 1) // 2)
    return (label if len(label) <= 2 * half + 1 else f"{label[:half]}…{label[-half:]}") + note


def _axes(width: float, height: float, *, left: float, bottom: float) -> tuple[Figure, Axes]:
    """One pair of axes with margins in inches, so that the axes of all pictures align."""
    figure = Figure((width, height))
    right, top = 0.1, 0.08
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return figure, figure.add_axes(box)
