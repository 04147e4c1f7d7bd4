"""A comparison, and the means of each epoch, as views: for every format."""

from collections.abc import Collection, Sequence
from typing import Any

from rich.console import Console

from bnbench.analysis.arms import Runs
from bnbench.analysis.compare import Table
from bnbench.analysis.curves import EpochMeans, epoch_means
from bnbench.analysis.measures import CURVES, MEASURES
from bnbench.analysis.statistics import LEVEL
from bnbench.console import COMPARISON_SCHEMA_VERSION
from bnbench.report.cells import CLIPPED, CUT, mean_fields, number
from bnbench.report.column import Column
from bnbench.report.formats import Format, print_grid, show
from bnbench.report.formats.csv import print_csv
from bnbench.report.formats.json import print_json
from bnbench.report.formats.text import NARROW, folded, print_paragraphs
from bnbench.report.formats.view import Block, Cells, Fitted, View
from bnbench.report.sentences import summary
from bnbench.runs.notes import Note

__all__ = [
    "NARROW",
    "Format",
    "print_csv",
    "print_epochs",
    "print_grid",
    "print_json",
    "print_paragraphs",
    "print_tables",
    "records",
]

LEGEND = (
    "±, [ ]: 95 % intervals over {}. difference: to the baseline, paired by seed; ~: its interval covers 0; ?: it"
    " leaves out 0, but p is above 0.05, or there are too few seeds to test."
)
BEST = " best: each seed's best epoch, chosen on the images it is measured on; its interval is over seeds."
ALONE = "†"  # in a narrow terminal, for " over seeds"
EPOCH_LEGEND = "Means over seeds; ± is the 95 % t-interval over seeds."
SECONDS = " s: median time of training and validation."

# In a narrow terminal, the first of these stay. The first seven may fold the names of arms; options ask for some.
RANKS = ("difference", "value", "verdict", "target", "early", "test", "p", "seeds", "wins", "target_seconds", "best")
ESSENTIAL, ASKED = RANKS[:7], ("verdict", "target", "early", "test")


def print_tables(
    tables: Sequence[tuple[Table, dict[str, Column], Table]],
    notes: Sequence[Note],
    form: Format,
    console: Console,
    *,
    explain: bool = False,
    every_column: bool = False,
) -> None:
    """Print each group, given as its whole table, the columns to show, and the table of the rows to show.

    A terminal without room for all columns leaves some out, unless `every_column` is true.
    """
    show(_comparison(tables, notes, explain=explain, every_column=every_column), form, console)


def _comparison(
    tables: Sequence[tuple[Table, dict[str, Column], Table]],
    notes: Sequence[Note],
    *,
    explain: bool,
    every_column: bool,
) -> View:
    def value() -> Any:
        groups = [
            {**vars(whole.group), **_question(whole), "arms": _arms(part, columns), "summary": summary(whole)}
            for whole, columns, part in tables
        ]
        return {"schema_version": COMPARISON_SCHEMA_VERSION, "groups": groups, "notes": [*map(str, notes)]}

    def legend(named: Collection[str] | None) -> list[str]:
        shown = {name for _, columns, _ in tables for name in columns if named is None or every_column or name in named}
        over = " or ".join(dict.fromkeys(whole.over for whole, _, _ in tables))
        cut = any(CUT in cell for _, columns, part in tables for row in _cells(columns, part) for cell in row)
        return [LEGEND.format(over) + (CLIPPED if cut else "") + (BEST if "best" in shown else "")]

    return View(
        value,
        lambda: [record for _, columns, part in tables for record in records(part, columns)],
        lambda: (_block(*table, explain=explain, every_column=every_column) for table in tables),
        legend,
    )


def _block(whole: Table, columns: dict[str, Column], part: Table, *, explain: bool, every_column: bool) -> Block:
    sections = {
        place
        for place, (row, after) in enumerate(zip(part.rows, part.rows[1:], strict=False))
        if row.baseline is not after.baseline
    }
    left_out = len(whole.rows) - len(part.rows)
    more = [f"… and {left_out} more arm{'s' if left_out > 1 else ''}."] if left_out else []
    return Block(
        whole.group.title(),
        [column.heading for column in columns.values()],
        _cells(columns, part),
        [*more, *summary(whole, explain=explain)],
        sections,
        () if every_column else [_fitted(name, place) for place, name in enumerate(columns)],
        {ALONE: "over seeds alone"},
    )


def _fitted(name: str, place: int) -> Fitted:
    rank = RANKS.index(name) if name in RANKS else len(RANKS) + place
    return Fitted(name, rank, name in ESSENTIAL, name in ASKED, _short_verdict if name == "verdict" else _short)


def _short(cell: str) -> str:
    return cell.replace(" over seeds", ALONE)


def _short_verdict(cell: str) -> str:
    """unknown (about 60 seeds would decide) → unknown: a sentence says the rest."""
    return cell.partition(" (")[0]


def print_epochs(runs: Runs, notes: Sequence[Note], form: Format, console: Console) -> None:
    """The tutorial's lines: for each epoch, each arm's means over its complete runs."""
    groups = {group: list(epoch_means(arms)) for group, arms in runs.groups.items()}

    def value() -> Any:
        found = [{**vars(group), "per_epoch": list(map(_epoch_record, rows))} for group, rows in groups.items()]
        return {"schema_version": COMPARISON_SCHEMA_VERSION, "groups": found, "notes": [*map(str, notes)]}

    def rows_of_csv() -> list[dict[str, Any]]:
        by_epoch = [(group, row) for group, rows in groups.items() for row in sorted(rows, key=lambda row: row.epoch)]
        return [{**vars(group), **_epoch_record(row)} for group, row in by_epoch]

    def legend(named: Collection[str] | None) -> list[str]:
        return [EPOCH_LEGEND + (SECONDS if named is None else "")]

    blocks = [_epochs_block(group.title(), rows) for group, rows in groups.items()]
    show(View(value, rows_of_csv, lambda: blocks, legend), form, console)


def _epochs_block(title: str, rows: Sequence[EpochMeans]) -> Block:
    headings = ["epoch", "arm", "train loss", "train %", "valid loss", "valid %", "±", "s"]
    cells = [
        [str(row.epoch), row.arm.label, *_numbers(row), f"{row.seconds:.1f}"]
        for row in sorted(rows, key=lambda row: row.epoch)
    ]
    said = [] if rows else ["every run diverged: no epoch to show"]
    return Block(title, headings, cells, said, drawn=lambda width: _side_by_side(rows, width) if rows else said)


def _question(table: Table) -> dict[str, Any]:
    return {"metric": table.question.metric, "at": table.question.at, "confidence": LEVEL}


def records(table: Table, columns: dict[str, Column]) -> list[dict[str, Any]]:
    """A record an arm, as in CSV: what its group has in common, then the fields of the columns."""
    return [{**vars(table.group), **arm} for arm in _arms(table, columns)]


def _arms(table: Table, columns: dict[str, Column]) -> list[dict[str, Any]]:
    return [{key: value for c in columns.values() for key, value in c.fields(row).items()} for row in table.rows]


def _cells(columns: dict[str, Column], table: Table) -> Cells:
    return [[column.cell(row) for column in columns.values()] for row in table.rows]


def _epoch_record(row: EpochMeans) -> dict[str, Any]:
    record: dict[str, Any] = {"epoch": row.epoch, "arm": row.arm.name, "digest": row.arm.digest}
    record["seeds"] = len(row.arm.complete)
    for name, mean in row.means.items():
        record |= mean_fields(name, mean, loss=MEASURES[name].is_loss)
    return {**record, "seconds": row.seconds}


def _numbers(row: EpochMeans) -> list[str]:
    """The four means, and half of the interval of the last one."""
    half = row.means["valid_accuracy"].half
    means = [number(row.means[name].mean, loss=MEASURES[name].is_loss) for name in CURVES]
    return [*means, "" if half is None else number(half)]


def _side_by_side(rows: Sequence[EpochMeans], width: int) -> list[str]:
    """A row for each epoch and five columns for each arm, in as many tables as the arms need."""
    arms: dict[int, list[EpochMeans]] = {}
    for row in rows:
        arms.setdefault(id(row.arm), []).append(row)
    gap, between = (2, 3) if width >= NARROW else (1, 2)
    heads = [["train", "train", "valid", "valid", ""], ["loss", "%", "loss", "%", "±"]]
    lines = [*heads, *map(_numbers, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads[0]))]
    arm = sum(widths) + gap * (len(widths) - 1)
    together = max(1, (width - len("epoch")) // (arm + between))
    out = []
    of_arms = list(arms.values())
    for start in range(0, len(of_arms), together):
        those = of_arms[start : start + together]
        names = [folded(of[0].arm.label, arm).split("\n") for of in those]
        for place in range(max(map(len, names))):
            out.append(_line("", [name[place] if place < len(name) else "" for name in names], arm, between))
        for first, head in zip(("", "epoch"), heads, strict=True):
            out.append(_line(first, [_row(head, widths, gap)] * len(those), arm, between))
        out.append("─" * (len("epoch") + len(those) * (arm + between)))
        for place in range(max(map(len, those))):
            cells = [_row(_numbers(of[place]), widths, gap) if place < len(of) else "" for of in those]
            out.append(_line(str(place + 1), cells, arm, between))
        out.append("")
    return out[:-1]


def _row(cells: Sequence[str], widths: Sequence[int], gap: int) -> str:
    return (" " * gap).join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _line(first: str, cells: Sequence[str], width: int, between: int) -> str:
    return f"{first:>5}" + "".join(" " * between + f"{cell:<{width}}" for cell in cells).rstrip()
