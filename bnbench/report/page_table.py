"""The tables of the page: what varies, the difference beside the arm's name, and what does not vary said once.

On a phone each row becomes a card, so every cell has its heading.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bnbench.analysis.compare import Row
from bnbench.analysis.sweep import Sweep, value_text
from bnbench.report.cells import NOTHING, difference_text, mean_text, number, signed
from bnbench.report.charts.words import width
from bnbench.report.column import Column
from bnbench.report.columns import choose
from bnbench.report.family import Family
from bnbench.report.names import shared, short_names
from bnbench.report.sweep_words import MARKS, diverged_text
from bnbench.report.verdict import standing

ROOM = 1120  # pixels of a wide table
SIZE, GAP = 15, 18  # of its text, and between its columns
SAID = {
    "baseline": "baseline",
    "ahead": "▲ ahead",
    "behind": "▼ behind",
    "same": "= same",
    "identical": "= identical",
    "unknown": "? unknown",
}
MAIN = ("value", "p", "wins", "test", "verdict")  # shown for each arm; the other results stand in the second table
SETTINGS = "settings"


@dataclass(frozen=True)
class Cell:
    """One cell: its heading, and its text; `about` is smaller text after it, such as an interval."""

    heading: str
    text: str
    about: str = ""


@dataclass(frozen=True)
class Line:
    """One row of a table: an arm and its cells."""

    label: str
    colour: str
    is_baseline: bool
    cells: list[Cell]


@dataclass(frozen=True)
class Shown:
    """A table of the page. `said` are sentences about all rows."""

    said: list[str]
    headings: list[str]
    lines: list[Line]


def results(family: Family, rows: Sequence[Row]) -> Shown:
    """The main table: difference, verdict, value, the settings that vary, p and wins."""
    table = family.table
    columns = choose(table, None, only_changed=True)
    settings = {name: column for name, column in columns.items() if column.is_setting and _varies(column, rows)}
    lines = []
    for row in rows:
        cells = [_difference(row, family), Cell("result", SAID.get(standing(row, table), NOTHING))]
        cells += [_result(name, column, row, family) for name, column in columns.items() if name == "value"]
        cells += [Cell(column.heading, column.cell(row)) for column in settings.values()]
        cells += [Cell(column.heading, column.cell(row)) for name, column in columns.items() if name in MAIN[1:]]
        lines.append(_line(row, family, cells))
    heads = [cell.heading for cell in lines[0].cells] if lines else []
    if not _fits(heads, lines):
        lines = [_line(row, family, _folded(line.cells, settings)) for row, line in zip(rows, lines, strict=True)]
        heads = [cell.heading for cell in lines[0].cells]
    return Shown(_said(family, columns), heads, lines)


def others(family: Family, rows: Sequence[Row]) -> Shown:
    """The second table: every other result, and the seconds of an epoch beside the baseline's."""
    columns = choose(family.table, None, only_changed=True)
    shown = ("arm", "difference", *MAIN)
    rest = {name: column for name, column in columns.items() if not column.is_setting and name not in shown}
    base = next((row.epoch_seconds for row in family.table.rows if row.is_baseline), None)
    lines = []
    for row in rows:
        cells = []
        for column in rest.values():
            about = ""
            if column.heading == "s/epoch" and base and row.epoch_seconds and not row.is_baseline:
                about = f"×{row.epoch_seconds / base:.2f}"
            cells.append(Cell(column.heading, column.cell(row), about))
        lines.append(_line(row, family, cells))
    return Shown([], [column.heading for column in rest.values()], lines)


def _varies(column: Column, rows: Sequence[Row]) -> bool:
    """Whether a setting differs between the arms that are compared, the baseline apart."""
    arms = [row for row in rows if not row.is_baseline]
    return len(arms) < 2 or len({cell for row in arms if (cell := column.cell(row))}) > 1


def _line(row: Row, family: Family, cells: list[Cell]) -> Line:
    return Line(row.arm.label, family.look(row.arm).colour, row.is_baseline, cells)


def _difference(row: Row, family: Family) -> Cell:
    gap, loss = row.difference, family.table.question.is_loss
    if row.is_baseline or gap is None:
        return Cell("difference", "" if row.is_baseline else NOTHING)
    ends = (
        "" if gap.low is None or gap.high is None else f"{signed(gap.low, loss=loss)} to {signed(gap.high, loss=loss)}"
    )
    seeds = len(row.arm.complete)
    plain = difference_text(gap, different=True, seeds=seeds, loss=loss, over=family.table.over)
    note = plain.partition("] ")[2] if ends else plain.removeprefix(signed(gap.mean, loss=loss)).strip()
    return Cell("difference", signed(gap.mean, loss=loss), " ".join(filter(None, [ends, note])))


def _result(name: str, column: Column, row: Row, family: Family) -> Cell:
    text = column.cell(row)
    if row.value is None:
        return Cell(column.heading, text)
    mean = number(row.value.mean, loss=family.table.question.is_loss)
    return Cell(column.heading, mean, text.removeprefix(mean).strip())


def _folded(cells: Sequence[Cell], settings: dict[str, Column]) -> list[Cell]:
    """One cell with all settings that the arm has, in place of a column for each."""
    of = [f"{cell.heading.rsplit('.', 1)[-1]} {cell.text}" for cell in cells if cell.heading in settings and cell.text]
    first = next(place for place, cell in enumerate(cells) if cell.heading in settings)
    rest = [cell for cell in cells if cell.heading not in settings]
    return [*rest[:first], Cell(SETTINGS, ", ".join(of) or NOTHING), *rest[first:]]


def _fits(headings: Sequence[str], lines: Sequence[Line]) -> bool:
    names = max((width(line.label, SIZE) for line in lines), default=0)
    wide = min(names, 0.17 * ROOM) + GAP
    for place, heading in enumerate(headings):
        head = max(width(part, 13) for part in heading.replace("_", "_ ").replace(".", ". ").split())
        cells = [width(line.cells[place].text, SIZE) + width(line.cells[place].about, 13) for line in lines]
        wide += max([head, *cells]) + GAP
    return 0.93 * wide <= ROOM  # the fonts of a page are narrower than those that `width` is about


def _said(family: Family, columns: dict[str, Column]) -> list[str]:
    """What all arms of the table share."""
    rows = family.table.rows
    counts = {row.arm.counts for row in rows}
    out = []
    if len(rows) > 1 and (start := shared(row.arm.label for row in rows)):
        out.append(f"All arms start with {start}; pictures and sentences leave it out.")
    if len(counts) == 1:
        only = counts.pop()
        out.append(f"Each arm has {only} seed{'' if only == '1' else 's'}.")
    arms = [row for row in rows if not row.is_baseline]
    if len(arms) > 1:
        same = {key: value for key, value in arms[0].arm.config.items() if key in columns}
        same = {key: value for key, value in same.items() if all(row.arm.config.get(key) == value for row in arms)}
        if same:
            settings = ", ".join(f"{key} {value_text(value)}" for key, value in same.items())
            out.append(f"All but the baseline have {settings}.")
    parameters = {row.parameters for row in rows}
    if len(parameters) == 1:
        out.append(f"Each has {parameters.pop():,} parameters.")
    return out


def by_value(one: Sweep) -> Shown:
    """The table of a sweep over one key: a row for each value, a cell for each arm."""
    axis, loss = one.axes[0], one.question.is_loss
    names = short_names(line.name for line in one.lines)
    lines = []
    for place in range(len(axis.values)):
        cells = []
        for line in one.lines:
            point = line.points.get((place,))
            mean = point.mean if point else None
            text = number(mean.mean, loss=loss) if mean else NOTHING
            about = mean_text(mean, loss=loss).removeprefix(text).strip()
            marks = [MARKS[point.usable], diverged_text(point)] if point else ["no run"]
            cells.append(Cell(names[line.name], text, " ".join(filter(str.strip, [about, *marks]))))
        lines.append(Line(f"{axis.name} {axis.text(place)}", "ink", False, cells))
    said = [] if loss else ["● within 1 point of the arm's best; ○ not ruled out by the seeds."]
    return Shown(said, [cell.heading for cell in lines[0].cells], lines)
