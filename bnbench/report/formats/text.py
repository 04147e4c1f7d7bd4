"""Text for a terminal. Nothing is cut off.

The columns that fit are shown, the important ones first; a sentence names the others. A table whose columns must all be
shown continues below in further blocks. In a narrow terminal, each row becomes a paragraph.
"""

import re
from collections.abc import Collection, Sequence
from textwrap import wrap

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid

from bnbench.report.formats.view import Block, Cells, View

NARROW = 60  # in a terminal with fewer columns, rows become paragraphs
WIDEST = 100  # columns of what is drawn, also where the output is a file
FOLDED = 20  # the least width of the column of arms
NAMED = 8  # left-out columns that a sentence names


def show(view: View, console: Console) -> None:
    named: set[str] = set()
    for block in view.blocks():
        if block.drawn:
            for line in wrapped(block.title, min(console.width, WIDEST)):
                console.print(line, style="bold")
            for line in block.drawn(console.width):
                console.print(line, soft_wrap=True)
            console.print()
            continue
        fitted, below, names = _that_fit(block, console.width)
        named |= {column.name for column in block.columns} - set(names)
        print_block(fitted, console)
        there = "".join(cell for row in fitted.cells for cell in row)
        marks = [f"{mark}: {meaning}." for mark, meaning in block.shortened.items() if mark in there]
        left_out = f"Not shown, for want of room: {_named(names)}. To choose: --columns {','.join(names[:2])},…"
        _print_sentences([*marks, *block.sentences, *([left_out] if names else [])], console)
        if below is not None:
            print_block(below, console)
    _print_sentences(view.legend(named), console)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width`, but a number keeps its ± and its unit."""
    kept = text.replace(" ± ", "\u00a0±\u00a0").replace(" %", "\u00a0%")
    return [line.replace("\u00a0", " ") for line in wrap(kept, width, break_on_hyphens=False)]


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names if more < 2 else [*names[:NAMED], f"and {more} more"])


def _print_sentences(sentences: Sequence[str], console: Console) -> None:
    for sentence in sentences:
        console.print(sentence)
    if sentences:
        console.print()


def print_block(block: Block, console: Console) -> None:
    """A table with its title."""
    console.print(block.title, style="bold")
    if console.width < NARROW:
        print_paragraphs(block.headings, block.cells, console)
        return
    for headings, cells in _parts(block.headings, block.cells, console.width):
        console.print(_fit(headings, cells, block.sections, console.width))
        console.print()


# Which columns.


def _that_fit(block: Block, width: int) -> tuple[Block, Block | None, list[str]]:
    """The columns that fit, the asked-for columns that do not, as a block, and the names of all others.

    Cells are shortened if otherwise there is no room for an essential column.
    """
    if not block.columns:
        return block, None, []
    whole = {place: [row[place] for row in block.cells] for place in range(len(block.headings))}
    short = {place: list(map(block.columns[place].short, cells)) for place, cells in whole.items()}
    shown = _with_room(block, whole, width)
    if any(column.essential and place not in shown for place, column in enumerate(block.columns)):
        shown = _with_room(block, short, width)
    lost = [place for place in whole if place not in shown]
    asked = [place for place in lost if block.columns[place].asked]
    arm = block.headings.index("arm")
    below = _pick(block, {place: whole[place] for place in (arm, *asked)}) if asked else None
    lost.sort(key=lambda place: block.columns[place].rank)
    return _pick(block, shown), below, [block.columns[place].name for place in lost if place not in asked]


def _with_room(block: Block, cells: dict[int, list[str]], width: int) -> dict[int, list[str]]:
    """The cells of the columns for which there is room, the important ones first."""
    arm = block.headings.index("arm")
    shown, widths = {arm: cells[arm]}, {arm: _column_width("arm", cells[arm])}
    for place in sorted(cells, key=lambda place: block.columns[place].rank):
        column = block.columns[place]
        wider = {**widths, place: _column_width(block.headings[place], cells[place])}
        least = {**wider, arm: min(widths[arm], FOLDED)} if column.essential else wider
        if column.essential or column.asked if width < NARROW else _width([*least.values()]) <= width:
            shown[place], widths = cells[place], wider
    return shown


def _pick(block: Block, columns: dict[int, list[str]]) -> Block:
    """The block with these columns, in its own order, and these cells."""
    places = sorted(columns)
    cells = [list(row) for row in zip(*(columns[place] for place in places), strict=True)]
    return Block(block.title, [block.headings[place] for place in places], cells, sections=block.sections)


def _parts(headings: list[str], cells: Cells, width: int) -> list[tuple[list[str], Cells]]:
    """Cut the table between columns into parts that fit the width. Each part repeats the arms."""
    arm = headings.index("arm")
    widths = _widths(headings, cells)
    widths[arm] = min(widths[arm], FOLDED)
    parts, shown = [], [arm]
    for column in (place for place in range(len(headings)) if place != arm):
        wider = sorted([*shown, column])
        if len(shown) > 1 and _width([widths[place] for place in wider]) > width:
            parts.append(shown)
            wider = [arm, column]
        shown = wider
    return [([headings[i] for i in part], [[row[i] for i in part] for row in cells]) for part in [*parts, shown]]


# The table.


def _fit(headings: list[str], cells: Cells, sections: Collection[int], width: int) -> Grid:
    """The table, with the names of arms folded to fit the width."""
    widths, arm = _widths(headings, cells), headings.index("arm")
    excess = max(0, _width(widths) - width)
    room = max(min(FOLDED, widths[arm]), widths[arm] - excess)
    cells = [[folded(cell, room) if place == arm else cell for place, cell in enumerate(row)] for row in cells]
    widths = _widths(headings, cells)
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading, of in zip(headings, widths, strict=True):  # given, because rich would measure every cell several times
        is_arm = heading == "arm"
        grid.add_column(heading, justify="left" if is_arm else "right", no_wrap=not is_arm, overflow="fold", width=of)
    for place, row in enumerate(cells):
        grid.add_row(*row, end_section=place in sections)
    return grid


# A name is folded after a comma, an equals sign, an underscore, or the dot of a key; never inside a number.
PIECE = re.compile(r".+?(?:[,=_]|(?<=[a-z])[.](?=[a-z])|$)", flags=re.S | re.I)


def folded(name: str, width: int) -> str:
    """A name as lines of at most `width`, parted between its words: mlp_bn,norm. / momentum=0.1"""
    lines = [""]
    for piece in PIECE.findall(name):
        if lines[-1] and cell_len(lines[-1] + piece) > width:
            lines.append("")
        while len(piece) > width:  # a word without a place to part it
            lines[-1:] = [piece[:width], ""]
            piece = piece[width:]
        lines[-1] += piece
    return "\n".join(lines)


def _widths(headings: list[str], cells: Cells) -> list[int]:
    return [_column_width(heading, column) for heading, *column in zip(headings, *cells, strict=True)]


def _column_width(heading: str, cells: Sequence[str]) -> int:
    return max(cell_len(line) for text in (heading, *cells) for line in text.split("\n"))


def _width(widths: Sequence[int]) -> int:
    """The width of a table with these columns and two spaces between them."""
    return sum(widths) + 2 * (len(widths) - 1)


def print_paragraphs(headings: list[str], cells: Cells, console: Console) -> None:
    """Print each row as a paragraph for a narrow terminal: its first cell, then the others, several on a line."""
    for row in cells:
        console.print()
        first, *others = [f"{heading}: {cell}" for heading, cell in zip(headings, row, strict=True) if cell]
        lines = [first]
        for text in others:
            together = f"{lines[-1]};  {text}"
            if lines[-1] is first or cell_len(together) > console.width:
                lines.append(text)
            else:
                lines[-1] = together
        for line in lines:
            console.print(line)
    console.print()
