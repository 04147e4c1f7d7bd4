"""The formats of what a command shows: one exporter for each, behind one interface.

A command describes what it shows as a `View`. An exporter is a function (view, console) that prints it. Each part of a
view is a function, so that a format computes only what it prints.
"""

from collections.abc import Callable
from typing import Literal

from rich.console import Console

from bnbench.report.formats import csv, json, latex, markdown, text
from bnbench.report.formats.view import Block, Cells, View

Format = Literal["table", "markdown", "csv", "json", "latex"]

EXPORTERS: dict[Format, Callable[[View, Console], None]] = {
    "table": text.show,
    "markdown": markdown.show,
    "csv": csv.show,
    "json": json.show,
    "latex": latex.show,
}
_TABLES = {"table": text.print_block, "markdown": markdown.print_block, "latex": latex.print_block}


def show(view: View, form: Format, console: Console) -> None:
    """Print a view in a format."""
    EXPORTERS[form](view, console)


def print_grid(title: str, headings: list[str], cells: Cells, form: Format, console: Console) -> None:
    """Print one table without sentences, in a format for people."""
    _TABLES[form](Block(title, headings, cells), console)
