"""Tables → text: for a terminal, or as markdown, CSV, JSON or LaTeX.

A table that is too wide for the terminal continues below in further blocks. In a narrow terminal, each row becomes a
paragraph. Nothing is cut off.
"""

import io
import json
import re
from collections.abc import Collection, Sequence
from typing import Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid

from bnbench.analysis.arms import Runs
from bnbench.analysis.compare import Table
from bnbench.analysis.curves import EpochMeans, epoch_means
from bnbench.analysis.measures import CURVES, MEASURES
from bnbench.analysis.statistics import LEVEL
from bnbench.console import COMPARISON_SCHEMA_VERSION
from bnbench.report.cells import CLIPPED, CUT, mean_fields, mean_text, number
from bnbench.report.column import Column
from bnbench.report.sentences import summary
from bnbench.runs.notes import Note

Format = Literal["table", "markdown", "csv", "json", "latex"]

NARROW = 60  # in a terminal with fewer columns, rows become paragraphs

Cells = list[list[str]]

LEGEND = (
    "±, [ ]: 95 % intervals over {}. difference: to the baseline, paired by seed; ~: its interval covers 0; ?: it"
    " leaves out 0, but p is above 0.05, or there are too few seeds to test."
)
BEST = " best: each seed's best epoch, chosen on the images it is measured on; its interval is over seeds."
EPOCH_LEGEND = "Means over seeds; ± is the 95 % t-interval over seeds. s: median time of training and validation."


def print_tables(
    tables: Sequence[tuple[Table, dict[str, Column], Table]],
    notes: Sequence[Note],
    form: Format,
    console: Console,
    *,
    explain: bool = False,
) -> None:
    """Print each group, given as its whole table, the columns to show, and the table of the rows to show."""
    if form == "json":
        groups = [
            {**vars(whole.group), **_question(whole), "arms": _arms(part, columns), "summary": summary(whole)}
            for whole, columns, part in tables
        ]
        print_json(
            {"schema_version": COMPARISON_SCHEMA_VERSION, "groups": groups, "notes": [*map(str, notes)]}, console
        )
        return
    if form == "csv":
        print_csv([record for _, columns, part in tables for record in records(part, columns)], console)
        return
    for whole, columns, part in tables:
        columns, settings = (columns, []) if form != "table" else _that_fit(columns, part, console.width)
        sections = {
            place
            for place, (row, after) in enumerate(zip(part.rows, part.rows[1:], strict=False))
            if row.baseline is not after.baseline
        }
        headings = [column.heading for column in columns.values()]
        print_grid(whole.group.title(), headings, _cells(columns, part), form, console, sections)
        left_out = len(whole.rows) - len(part.rows)
        sentences = [f"… and {left_out} more arm{'s' if left_out > 1 else ''}."] if left_out else []
        if settings:
            sentences.append(f"They differ in {', '.join(settings)}; to see it: --columns {settings[0]},…")
        _print_sentences([*sentences, *summary(whole, explain=explain)], form, console)
    shown = {name for _, columns, _ in tables for name in columns}
    over = " or ".join(dict.fromkeys(whole.over for whole, _, _ in tables))
    cut = any(CUT in cell for _, columns, part in tables for row in _cells(columns, part) for cell in row)
    legend = LEGEND.format(over) + (CLIPPED if cut else "") + (BEST if "best" in shown else "")
    _print_sentences([legend], form, console)


def print_epochs(runs: Runs, notes: Sequence[Note], form: Format, console: Console) -> None:
    """The tutorial's lines: for each epoch, each arm's means over its complete runs."""
    groups = {group: list(epoch_means(arms)) for group, arms in runs.groups.items()}
    if form == "json":
        value = [{**vars(group), "per_epoch": list(map(_epoch_record, rows))} for group, rows in groups.items()]
        print_json({"schema_version": COMPARISON_SCHEMA_VERSION, "groups": value, "notes": [*map(str, notes)]}, console)
        return
    if form == "csv":
        by_epoch = [(group, row) for group, rows in groups.items() for row in sorted(rows, key=lambda row: row.epoch)]
        print_csv([{**vars(group), **_epoch_record(row)} for group, row in by_epoch], console)
        return
    for group, rows in groups.items():
        if not rows:
            _print_sentences([group.title(), "every run diverged: no epoch to show"], form, console)
        elif form != "table" or not _print_side_by_side(group.title(), rows, console):
            cells = [_epoch_cells(row) for row in sorted(rows, key=lambda row: row.epoch)]
            headings = ["epoch", "arm", "train loss", "train %", "valid loss", "valid %", "s"]
            print_grid(group.title(), headings, cells, form, console)
    _print_sentences([EPOCH_LEGEND], form, console)


def print_json(value: Any, console: Console) -> None:
    console.print(json.dumps(value, indent=2, allow_nan=False), soft_wrap=True)


def _question(table: Table) -> dict[str, Any]:
    return {"metric": table.question.metric, "at": table.question.at, "confidence": LEVEL}


def records(table: Table, columns: dict[str, Column]) -> list[dict[str, Any]]:
    """A record an arm, as in CSV: what its group has in common, then the fields of the columns."""
    return [{**vars(table.group), **arm} for arm in _arms(table, columns)]


def _arms(table: Table, columns: dict[str, Column]) -> list[dict[str, Any]]:
    return [{key: value for c in columns.values() for key, value in c.fields(row).items()} for row in table.rows]


def _epoch_record(row: EpochMeans) -> dict[str, Any]:
    record: dict[str, Any] = {"epoch": row.epoch, "arm": row.arm.name, "digest": row.arm.digest}
    record["seeds"] = len(row.arm.complete)
    for name, mean in row.means.items():
        record |= mean_fields(name, mean, loss=MEASURES[name].is_loss)
    return {**record, "seconds": row.seconds}


def print_csv(records: list[dict[str, Any]], console: Console) -> None:
    import pandas as pd  # takes half a second, and only this format needs it

    text = io.StringIO()
    pd.DataFrame(records, dtype=object).to_csv(text, index=False, lineterminator="\n")
    console.print(text.getvalue(), end="", soft_wrap=True)


def _epoch_cells(row: EpochMeans) -> list[str]:
    means = row.means
    shown = [number(means[name].mean, loss=MEASURES[name].is_loss) for name in CURVES[:3]]
    return [str(row.epoch), row.arm.label, *shown, mean_text(means["valid_accuracy"]), f"{row.seconds:.1f}"]


def _print_side_by_side(title: str, rows: Sequence[EpochMeans], console: Console) -> bool:
    """Print one row for each epoch and one column for each arm. If they do not fit, print nothing and return False."""
    arms = {id(row.arm): row.arm.label for row in rows}
    headings = ["epoch", *(f"{label}\ntrain loss, %  valid loss, %" for label in arms.values())]
    cells = [[str(epoch)] for epoch in range(1, max(row.epoch for row in rows) + 1)]
    for row in rows:
        m = row.means
        train = f"{m['train_loss'].mean:.4f} {100 * m['train_accuracy'].mean:5.2f}"
        cells[row.epoch - 1].append(f"{train}  {m['valid_loss'].mean:.4f} {mean_text(m['valid_accuracy'])}")
    if _width(_widths(headings, cells)) > console.width:
        return False
    console.print(title, style="bold")
    console.print(_grid(headings, cells))
    console.print()
    return True


def print_grid(
    title: str,
    headings: list[str],
    cells: Cells,
    form: Format,
    console: Console,
    sections: Collection[int] = (),
) -> None:
    """One table; A rule follows each row whose index is in `sections`."""
    if form == "markdown":
        lines = [f"**{title}**", "", "| " + " | ".join(headings) + " |"]
        lines.append("|" + "|".join(" --- " if heading == "arm" else " ---: " for heading in headings) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in cells]
        console.print("\n".join(lines) + "\n", soft_wrap=True)
    elif form == "latex":
        console.print(_latex(title, headings, cells, sections), soft_wrap=True)
    else:
        console.print(title, style="bold")
        if console.width < NARROW:
            print_paragraphs(headings, cells, console)
        else:
            for block in _blocks(headings, cells, console.width):
                console.print(_fit(*block, sections, console.width))
                console.print()


def _blocks(headings: list[str], cells: Cells, width: int) -> list[tuple[list[str], Cells]]:
    """Cut the table between columns into blocks that fit the width. Each block repeats the arms."""
    arm = headings.index("arm")
    widths = _widths(headings, cells)
    widths[arm] = min(widths[arm], FOLDED)
    blocks, shown = [], [arm]
    for column in (place for place in range(len(headings)) if place != arm):
        wider = sorted([*shown, column])
        if len(shown) > 1 and _width([widths[place] for place in wider]) > width:
            blocks.append(shown)
            wider = [arm, column]
        shown = wider
    return [_pick(headings, cells, block) for block in [*blocks, shown]]


def _that_fit(columns: dict[str, Column], table: Table, width: int) -> tuple[dict[str, Column], list[str]]:
    """Leave out the settings if they take more than one further block; return the columns and the names left out."""
    results = {name: column for name, column in columns.items() if not column.is_setting}
    settings = [name for name in columns if name not in results]
    blocks = {
        which: _blocks([column.heading for column in shown.values()], _cells(shown, table), width)
        for which, shown in (("all", columns), ("results", results))
    }
    if len(results) > 1 and (width < NARROW or len(blocks["all"]) > len(blocks["results"]) + 1):
        return results, settings
    return columns, []


def _cells(columns: dict[str, Column], table: Table) -> Cells:
    return [[column.cell(row) for column in columns.values()] for row in table.rows]


def _pick(headings: list[str], cells: Cells, columns: list[int]) -> tuple[list[str], Cells]:
    return [headings[i] for i in columns], [[row[i] for i in columns] for row in cells]


FOLDED = 16  # the least width of the column of arms


def _fit(headings: list[str], cells: Cells, sections: Collection[int], width: int) -> Grid:
    """The table, with the column of arms folded to fit the width."""
    widths, arm = _widths(headings, cells), headings.index("arm")
    excess = _width(widths) - width
    widths[arm] = max(min(FOLDED, widths[arm]), widths[arm] - max(0, excess))
    return _grid(headings, cells, sections, widths)


def _grid(headings: list[str], cells: Cells, sections: Collection[int] = (), widths: list[int] | None = None) -> Grid:
    """The widths are given, because rich would measure every cell several times."""
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading, width in zip(headings, widths or _widths(headings, cells), strict=True):
        is_arm = heading == "arm"
        grid.add_column(
            heading, justify="left" if is_arm else "right", no_wrap=not is_arm, overflow="fold", width=width
        )
    for place, row in enumerate(cells):
        grid.add_row(*row, end_section=place in sections)
    return grid


def _widths(headings: list[str], cells: Cells) -> list[int]:
    return [
        max(cell_len(line) for text in column for line in text.split("\n"))
        for column in zip(headings, *cells, strict=True)
    ]


def _width(widths: list[int]) -> int:
    """The width of a table with these columns and two spaces between them."""
    return sum(widths) + 2 * (len(widths) - 1)


def print_paragraphs(headings: list[str], cells: Cells, console: Console) -> None:
    """Print each row as a paragraph with a line for each cell, for a narrow terminal."""
    for row in cells:
        console.print()
        for heading, cell in zip(headings, row, strict=True):
            if cell:
                console.print(f"{heading}: {cell}")
    console.print()


def _print_sentences(sentences: Sequence[str], form: Format, console: Console) -> None:
    if form == "latex":
        console.print("\n".join(f"% {sentence}" for sentence in sentences), soft_wrap=True)
    else:
        for sentence in sentences:
            console.print(f"- {sentence}" if form == "markdown" else sentence)
    console.print()


def _latex(title: str, headings: list[str], cells: Cells, sections: Collection[int]) -> str:
    """A tabular with the rules of booktabs (\\usepackage{booktabs})."""
    lines = [
        rf"% {title}",
        rf"\begin{{tabular}}{{{''.join('l' if h == 'arm' else 'r' for h in headings)}}}",
        r"\toprule",
    ]
    lines += [" & ".join(map(_tex, headings)) + r" \\", r"\midrule"]
    for place, row in enumerate(cells):
        lines.append(" & ".join(map(_tex, row)) + r" \\")
        if place in sections:
            lines.append(r"\midrule")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


_TEX = {"±": r"$\pm$", "~": r"$\sim$", "–": "--", "<": "$<$", ">": "$>$", "\\": r"\textbackslash{}", "^": r"\^{}"}


def _tex(text: str) -> str:
    text = re.sub(r"[±~–<>\\^]|[#$%&_{}]", lambda found: _TEX.get(found[0], "\\" + found[0]), text)
    return re.sub(r"(?<![\w.])([-+][0-9.]+)", r"$\1$", text)
