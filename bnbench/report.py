"""Comparisons → text: a table for people, markdown, CSV and JSON at full precision.

Metrics are fractions in the machine formats and percent in the tables. One seed has no ± there and
an empty cell here, never a 0.
"""

import io
import json
import math
from collections.abc import Callable
from typing import Any, Literal

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from bnbench.compare import Comparison, Group, arm_table, epoch_table

Format = Literal["table", "markdown", "csv", "json"]

JSON_SCHEMA_VERSION = 1

# Of a displayed column: its heading, and how a row of the data frame fills it.
Columns = dict[str, Callable[[Any], str]]


def _percent(row: Any, name: str) -> str:
    value, sd = getattr(row, name), getattr(row, f"{name}_sd")
    if pd.isna(value):
        return "–"
    return f"{100 * value:.2f}" + ("" if pd.isna(sd) else f" ± {100 * sd:.2f}")


def _seeds(row: Any) -> str:
    return f"{row.seeds}" + (f" + {row.diverged} diverged" if row.diverged else "")


ARM_COLUMNS: Columns = {
    "arm": lambda row: row.arm,
    "seeds": _seeds,
    "final valid %": lambda row: _percent(row, "final_valid_accuracy"),
    "best valid %": lambda row: _percent(row, "best_valid_accuracy"),
    "s/epoch": lambda row: "–" if pd.isna(row.epoch_seconds) else f"{row.epoch_seconds:.2f}",
    "params": lambda row: f"{row.parameters:,}",
}
EPOCH_COLUMNS: Columns = {
    "epoch": lambda row: str(row.epoch),
    "arm": lambda row: row.arm,
    "train loss": lambda row: f"{row.train_loss:.4f}",
    "train %": lambda row: f"{100 * row.train_accuracy:.2f}",
    "valid loss": lambda row: f"{row.valid_loss:.4f}",
    "valid %": lambda row: _percent(row, "valid_accuracy"),
    "s": lambda row: f"{row.seconds:.1f}",
}
LEGEND = (
    "± is the standard deviation over seeds; without it, one seed, which supports no conclusion."
    " final: after the last epoch. best: each seed's best epoch, chosen on the very images it is measured on."
    " s/epoch: median training time."
)
EPOCH_LEGEND = "Means over seeds; ± is the standard deviation over seeds. s: median time of training and validation."


def print_comparison(comparison: Comparison, form: Format, *, per_epoch: bool, console: Console) -> None:
    """Print every group's table (of arms, or of epochs) to `console` in the given form."""
    make = epoch_table if per_epoch else arm_table
    tables = {group: make(runs) for group, runs in comparison.groups.items()}
    if form == "csv":
        console.print(_csv(tables), end="", soft_wrap=True)
    elif form == "json":
        console.print(_json(tables, "per_epoch" if per_epoch else "arms"), soft_wrap=True)
    else:
        columns = EPOCH_COLUMNS if per_epoch else ARM_COLUMNS
        for group, table in tables.items():
            table["arm"] = _labels(table)
            if form == "markdown":
                _print_markdown(group.title(), table, columns, console)
            else:
                console.print(group.title(), style="bold")
                if table.empty:
                    console.print("every run diverged: no epoch to show")
                elif not (per_epoch and _print_side_by_side(table, console)):
                    _print_table(table, columns, console)
                console.print()
        console.print(EPOCH_LEGEND if per_epoch else LEGEND)


def _labels(table: pd.DataFrame) -> pd.Series:
    """Names of arms; those that two configs share get the beginning of their digests."""
    shared = table.groupby("arm")["digest"].transform("nunique") > 1
    return table["arm"].where(~shared, table["arm"] + "#" + table["digest"].str[:6])


def _cells(table: pd.DataFrame, columns: Columns) -> list[list[str]]:
    return [[fill(row) for fill in columns.values()] for row in table.itertuples()]


def _print_table(frame: pd.DataFrame, columns: Columns, console: Console) -> None:
    """A table, or where the console is too narrow for its columns, a short paragraph for each row."""
    cells = _cells(frame, columns)
    if not _print_if_it_fits(list(columns), cells, console):
        for row in cells:
            console.print()
            for heading, cell in zip(columns, row, strict=True):
                console.print(f"{heading}: {cell}")


def _print_side_by_side(frame: pd.DataFrame, console: Console) -> bool:
    """The tutorial's lines: a row an epoch, a column an arm; False where they do not fit."""
    arms = [group for _, group in frame.groupby(["arm", "digest"])]
    headings = ["epoch", *(f"{arm.arm.iloc[0]}\ntrain loss, %  valid loss, %" for arm in arms)]
    cells = [[str(epoch)] for epoch in sorted(set(frame.epoch))]
    for arm in arms:
        rows: list[Any] = list(arm.itertuples())
        for line, row in zip(cells, rows, strict=True):
            train = f"{row.train_loss:.4f} {100 * row.train_accuracy:5.2f}"
            line.append(f"{train}  {row.valid_loss:.4f} {_percent(row, 'valid_accuracy')}")
    return _print_if_it_fits(headings, cells, console)


def _print_if_it_fits(headings: list[str], cells: list[list[str]], console: Console) -> bool:
    """Print a table; where it is too wide, fold the names of arms, but not below 16 characters."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "arm" else "right", no_wrap=heading != "arm")
    for row in cells:
        table.add_row(*row)
    excess = Console(width=10_000).measure(table).maximum - console.width
    if excess > 0:
        if "arm" not in headings:
            return False
        column = headings.index("arm")
        longest = max(len(row[column]) for row in cells)
        if longest - excess < 16:
            return False
        table.columns[column].width, table.columns[column].overflow = longest - excess, "fold"
    console.print(table)
    return True


def _print_markdown(title: str, frame: pd.DataFrame, columns: Columns, console: Console) -> None:
    """The same as a markdown table; names need no escaping, having only letters, digits and `.,_=-`."""
    lines = [f"**{title}**", "", "| " + " | ".join(columns) + " |"]
    lines.append("|" + "|".join(" --- " if heading == "arm" else " ---: " for heading in columns) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in _cells(frame, columns)]
    console.print("\n".join(lines) + "\n", soft_wrap=True)


def _csv(tables: dict[Group, pd.DataFrame]) -> str:
    frames = []
    for group, table in tables.items():
        for position, (name, value) in enumerate(vars(group).items()):
            table.insert(position, name, value)
        frames.append(table)
    text = io.StringIO()
    pd.concat(frames).to_csv(text, index=False)
    return text.getvalue()


def _json(tables: dict[Group, pd.DataFrame], rows: str) -> str:
    groups = [{**vars(group), rows: _records(table)} for group, table in tables.items()]
    return json.dumps({"schema_version": JSON_SCHEMA_VERSION, "groups": groups}, indent=2, allow_nan=False)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Plain Python values, None for what is not a finite number, so that the JSON is strict."""
    return [
        {
            str(name): None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]
