"""What a command shows, whatever the format: the view, and its blocks, which people read."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Cells = list[list[str]]


@dataclass(frozen=True)
class Block:
    """A titled table, with the sentences below it. One column may have the heading `arm`: its cells are names."""

    title: str
    headings: list[str]
    cells: Cells
    sentences: Sequence[str] = ()
    sections: Collection[int] = ()  # a rule follows these rows
    columns: "Sequence[Fitted]" = ()  # one for each heading, if a narrow terminal may leave columns out; else all stay
    shortened: Mapping[str, str] = field(default_factory=dict)  # a mark in a shortened cell → what it means
    drawn: Callable[[int], Iterable[str]] | None = None  # for a terminal of a width: lines in place of all this


@dataclass(frozen=True)
class Fitted:
    """How a column of a block fits into a narrow terminal."""

    name: str  # as --columns takes it
    rank: int  # the smaller, the longer it stays
    essential: bool = False  # names of arms are folded to make room for it
    asked: bool = False  # by an option: if there is no room, it follows below
    short: Callable[[str], str] = field(default=str)  # a shorter cell, for want of room


@dataclass(frozen=True)
class View:
    """Everything a command shows."""

    value: Callable[[], Any]  # for JSON
    records: Callable[[], list[dict[str, Any]]]  # for CSV: each a row
    blocks: Callable[[], Iterable[Block]]  # for people
    # Sentences after all blocks, on the columns with these names; None: on all.
    legend: Callable[[Collection[str] | None], Sequence[str]] = lambda _: ()
