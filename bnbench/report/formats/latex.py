"""LaTeX: a tabular with the rules of booktabs (\\usepackage{booktabs}); sentences are comments."""

import re
from collections.abc import Sequence

from rich.console import Console

from bnbench.report.formats.view import Block, View


def show(view: View, console: Console) -> None:
    for block in view.blocks():
        print_block(block, console)
        _print_comments(block.sentences, console)
    _print_comments(view.legend(None), console)


def print_block(block: Block, console: Console) -> None:
    lines = [
        rf"% {block.title}",
        rf"\begin{{tabular}}{{{''.join('l' if h == 'arm' else 'r' for h in block.headings)}}}",
        r"\toprule",
    ]
    lines += [" & ".join(map(_tex, block.headings)) + r" \\", r"\midrule"]
    for place, row in enumerate(block.cells):
        lines.append(" & ".join(map(_tex, row)) + r" \\")
        if place in block.sections:
            lines.append(r"\midrule")
    console.print("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]), soft_wrap=True)


def _print_comments(sentences: Sequence[str], console: Console) -> None:
    console.print("\n".join(f"% {sentence}" for sentence in sentences) + "\n", soft_wrap=True)


_TEX = {"±": r"$\pm$", "~": r"$\sim$", "–": "--", "<": "$<$", ">": "$>$", "\\": r"\textbackslash{}", "^": r"\^{}"}


def _tex(text: str) -> str:
    text = re.sub(r"[±~–<>\\^]|[#$%&_{}]", lambda found: _TEX.get(found[0], "\\" + found[0]), text)
    return re.sub(r"(?<![\w.])([-+][0-9.]+)", r"$\1$", text)
