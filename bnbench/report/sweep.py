"""A sweep as a view: a table with bars for the terminal, a plain one for markdown and LaTeX, sentences, records."""

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

from rich.console import Console

from bnbench.analysis.statistics import LEVEL
from bnbench.analysis.sweep import Line, Point, Sweep
from bnbench.console import JSON_SCHEMA_VERSION
from bnbench.report.cells import NOTHING, mean_text, number
from bnbench.report.formats import Format, show
from bnbench.report.formats.markdown import table_lines
from bnbench.report.formats.text import WIDEST, wrapped
from bnbench.report.formats.view import Block, Cells, View
from bnbench.report.sweep_words import MARKS, diverged_text, measured, sentences, verdict
from bnbench.runs.notes import Note

BAR, SHORTEST_BAR = 20, 10  # characters of a bar
GAP = "   "  # between arms
EIGHTHS = " ▏▎▍▌▋▊▉"
LEGEND = (
    "● within 1 point of the arm's best",
    "○ not ruled out: the paired interval of the best minus this one reaches below 1 point",
)


def print_sweeps(sweeps: Sequence[Sweep], notes: Sequence[Note], form: Format, console: Console) -> None:
    """Print each sweep."""

    def value() -> Any:
        found = [
            {**vars(one.group), **_question(one), "arms": [_line_record(line, one) for line in one.lines]}
            for one in sweeps
        ]
        return {"schema_version": JSON_SCHEMA_VERSION, "sweeps": found, "notes": [*map(str, notes)]}

    view = View(value, lambda: [record for one in sweeps for record in records(one)], lambda: map(_block, sweeps))
    show(view, form, console)


def _block(one: Sweep) -> Block:
    headings, cells = _plain(one)
    said = [sentence for sentence in (verdict(one), *sentences(one)) if sentence]
    title = f"{one.group.title()}: {measured(one)}"
    return Block(title, headings, cells, said, drawn=lambda width: list(_drawn(one, min(width, WIDEST))))


def _drawn(one: Sweep, width: int) -> Iterator[str]:
    """The lines for a terminal: the verdict, the bars or the grids, what limits them."""
    yield from wrapped(verdict(one), width)
    yield ""
    yield from _table(one, width) if len(one.axes) == 1 else _grids(one, width)
    for sentence in [*sentences(one), *([] if one.question.is_loss else LEGEND)]:
        yield from wrapped(sentence, width)


# One key: a row for each value, and a column for each arm.


def _table(one: Sweep, width: int) -> Iterator[str]:
    axis = one.axes[0]
    values = [axis.text(place) for place in range(len(axis.values))]
    first = max(map(len, [*values, axis.name]))
    notes = [diverged_text(point) for line in one.lines for point in line.points.values()]
    digits = max(len(_number(point, one)) for line in one.lines for point in line.points.values())
    beside = digits + 3 + (1 + max(map(len, notes)) if any(notes) else 0)  # all of an arm's cell but the bar
    room = width - first - 2
    together = next(
        k for k in range(len(one.lines), 0, -1) if k == 1 or (room + len(GAP)) // k - len(GAP) - beside >= SHORTEST_BAR
    )
    bar = min(BAR, max(1, (room + len(GAP)) // together - len(GAP) - beside))
    top = full_scale(one)
    for start in range(0, len(one.lines), together):
        lines = one.lines[start : start + together]
        names = [wrap(line.name, beside + bar, break_on_hyphens=False) for line in lines]
        for row in range(max(map(len, names))):
            yield _row("", [name[row] if row < len(name) else "" for name in names], first, beside + bar)
        scale = f"{'mean':>{digits}} 0{_top(top, one):>{bar - 1}}"
        yield _row(axis.name, [scale] * len(lines), first, beside + bar)
        yield "─" * min(width, first + 2 + together * (beside + bar + len(GAP)) - len(GAP))
        for place, value in enumerate(values):
            cells = [_cell(line.points.get((place,)), one, digits, bar, top) for line in lines]
            yield _row(value, cells, first, beside + bar)
        yield ""


def _row(value: str, cells: Sequence[str], first: int, cell: int) -> str:
    return f"{value:<{first}}  {GAP.join(text.ljust(cell) for text in cells)}".rstrip()


def _cell(point: Point | None, one: Sweep, digits: int, bar: int, top: float) -> str:
    if point is None or point.mean is None:
        return f"{NOTHING:>{digits}} {'':<{bar}}   {diverged_text(point) if point else 'no run'}"
    drawn = _bar(point.mean.mean / top, bar)
    return f"{_number(point, one):>{digits}} {drawn:<{bar}} {MARKS[point.usable]} {diverged_text(point)}"


def _number(point: Point, one: Sweep) -> str:
    return number(point.mean.mean, loss=one.question.is_loss) if point.mean else NOTHING


def _bar(share: float, width: int) -> str:
    eighths = round(8 * width * min(1.0, max(0.0, share)))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def full_scale(one: Sweep) -> float:
    """The value at the end of a bar: 1 for accuracies, the largest mean for losses."""
    if not one.question.is_loss:
        return 1.0
    return max((point.mean.mean for line in one.lines for point in line.points.values() if point.mean), default=0) or 1


def _top(top: float, one: Sweep) -> str:
    return f"{top:.2f}" if one.question.is_loss else f"{100 * top:.0f} %"


# Two keys: a grid of means for each arm.


def _grids(one: Sweep, width: int) -> Iterator[str]:
    down, across = one.axes
    heads = [across.text(place) for place in range(len(across.values))]
    first = max(len(down.name), *(len(down.text(place)) for place in range(len(down.values))))
    cells = {(id(line), place): _grid_cell(line.points.get(place), one) for line in one.lines for place in one.places}
    column = max(map(len, [*heads, *cells.values()]))
    together = max(1, (width - first) // (column + 2))
    for line in one.lines:
        yield from wrap(line.name, width, break_on_hyphens=False)
        for start in range(0, len(heads), together):
            those = range(start, min(start + together, len(heads)))
            yield f"{'':<{first}}  {across.name}"
            yield f"{down.name:<{first}}  " + "  ".join(f"{heads[j]:>{column - 1}} " for j in those).rstrip()
            yield "─" * (first + (column + 2) * len(those))
            for i in range(len(down.values)):
                row = "  ".join(f"{cells[id(line), (i, j)]:>{column}}" for j in those)
                yield f"{down.text(i):<{first}}  {row}".rstrip()
            yield ""


def _grid_cell(point: Point | None, one: Sweep) -> str:
    if point is None:
        return f"{NOTHING} "
    note = diverged_text(point)
    return f"{_number(point, one)}{MARKS[point.usable]}" if not note else f"{note} "


# Records.


def markdown(one: Sweep) -> list[str]:
    """The lines of a table."""
    return table_lines(*_plain(one))


def _plain(one: Sweep) -> tuple[list[str], Cells]:
    """A table with a row for each value (of two keys: each pair of values) and a column for each arm."""
    out = []
    for place in one.places:
        values = [axis.text(number) for axis, number in zip(one.axes, place, strict=True)]
        cells = []
        for line in one.lines:
            point = line.points.get(place)
            text = mean_text(point.mean if point else None, loss=one.question.is_loss)
            marks = [MARKS[point.usable].strip(), diverged_text(point)] if point else []
            cells.append(" ".join([text, *filter(None, marks)]))
        out.append([*values, *cells])
    return [*(axis.key for axis in one.axes), *(line.name for line in one.lines)], out


def records(one: Sweep) -> list[dict[str, Any]]:
    """A record for each arm and value, as in CSV."""
    return [
        {**vars(one.group), **_question(one), "arm": line.name, **_point_record(point, one)}
        for line in one.lines
        for point in line.points.values()
    ]


def _line_record(line: Line, one: Sweep) -> dict[str, Any]:
    best = line.best and [axis.values[place] for axis, place in zip(one.axes, line.best.place, strict=True)]
    return {"arm": line.name, "best": best, "points": [_point_record(point, one) for point in line.points.values()]}


def _point_record(point: Point, one: Sweep) -> dict[str, Any]:
    mean = point.mean
    return {
        **{axis.key: axis.values[place] for axis, place in zip(one.axes, point.place, strict=True)},
        "digest": point.arm.digest,
        "seeds": len(point.arm.complete),
        "diverged": len(point.arm.diverged),
        "mean": mean and mean.mean,
        "sd": mean and mean.sd,
        "low": mean and mean.low,
        "high": mean and mean.high,
        "within_1_point": point.usable.value if not one.question.is_loss else None,
    }


def _question(one: Sweep) -> dict[str, Any]:
    question = one.question
    return {"metric": question.metric, "at": question.at, "confidence": LEVEL}
