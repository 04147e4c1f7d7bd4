"""Markdown: tables and lists."""

from collections.abc import Sequence

from rich.console import Console

from bnbench.report.formats.view import Block, Cells, View


def show(view: View, console: Console) -> None:
    for block in view.blocks():
        print_block(block, console)
        _print_list(block.sentences, console)
    _print_list(view.legend(None), console)


def print_block(block: Block, console: Console) -> None:
    lines = [f"**{block.title}**", "", *table_lines(block.headings, block.cells)]
    console.print("\n".join(lines) + "\n", soft_wrap=True)


def table_lines(headings: list[str], cells: Cells) -> list[str]:
    """The lines of a table."""
    rule = "|" + "|".join(" --- " if heading == "arm" else " ---: " for heading in headings) + "|"
    return ["| " + " | ".join(headings) + " |", rule, *("| " + " | ".join(row) + " |" for row in cells)]


def _print_list(sentences: Sequence[str], console: Console) -> None:
    if sentences:
        console.print("\n".join(f"- {sentence}" for sentence in sentences) + "\n", soft_wrap=True)
