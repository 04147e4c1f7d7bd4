"""Markdown: tables and lists."""

from collections.abc import Sequence

from rich.console import Console

from bnbench.report.formats.view import Block, View


def show(view: View, console: Console) -> None:
    for block in view.blocks():
        print_block(block, console)
        _print_list(block.sentences, console)
    _print_list(view.legend(None), console)


def print_block(block: Block, console: Console) -> None:
    lines = [f"**{block.title}**", "", "| " + " | ".join(block.headings) + " |"]
    lines.append("|" + "|".join(" --- " if heading == "arm" else " ---: " for heading in block.headings) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in block.cells]
    console.print("\n".join(lines) + "\n", soft_wrap=True)


def _print_list(sentences: Sequence[str], console: Console) -> None:
    if sentences:
        console.print("\n".join(f"- {sentence}" for sentence in sentences) + "\n", soft_wrap=True)
