"""The room that words need, names that break into lines, and labels that stand apart."""

import re
from collections.abc import Sequence

# Widths of characters for a size of 1: less than in a wide font (DejaVu Sans), more than in Arial.
NARROW, WIDE = set("ijlI|.,:;'!()[] "), set("mwMWmW%@—")
MOST_LINES = 4


def width(text: str, size: float, *, bold: bool = False) -> float:
    """About how many pixels a text takes, rather too many than too few."""
    units = sum(0.34 if c in NARROW else 0.9 if c in WIDE else 0.68 if c.isupper() else 0.58 for c in text)
    return units * size * (1.08 if bold else 1.0)


def lines(name: str, size: float, room: float, *, bold: bool = True, most: int = MOST_LINES) -> list[str]:
    """A name in at most `most` lines within `room` pixels. It breaks after punctuation; only a very long one is cut.

    The whole name is in the table of the page.
    """
    pieces = [piece for piece in re.split(r"(?<=[ _,.=+/-])", name) if piece]
    out = [""]
    for piece in pieces:
        if out[-1] and width(out[-1] + piece.rstrip(), size, bold=bold) > room:
            out.append("")
        out[-1] += piece
        while width(out[-1].rstrip(), size, bold=bold) > room and len(out[-1]) > 4:
            cut = next(n for n in range(len(out[-1]), 0, -1) if n == 1 or width(out[-1][:n], size, bold=bold) <= room)
            out[-1:] = [out[-1][:cut], out[-1][cut:]]
    out = [line.strip() for line in out if line.strip()]
    if len(out) > most:
        kept, last = out[: most - 1], "…" + out[-1]
        while width(last, size, bold=bold) > room and len(last) > 4:
            last = "…" + last[2:]
        out = [*kept, last]
    return out or [name]


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """The middles of labels, near the `wanted` ones, so that no label meets another, from `low` to `high`.

    Labels that would meet are pooled, and each pool stands around the mean of what its labels want. Labels that want
    the same place keep their order.
    """
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    pools: list[tuple[list[int], float]] = []  # the labels of each pool, and its middle
    for place in order:
        members, middle = [place], wanted[place]
        half = heights[place] / 2
        middle = min(max(middle, low + half), high - half)
        while pools:
            before, other = pools[-1]
            if other + sum(heights[i] for i in before) / 2 <= middle - sum(heights[i] for i in members) / 2:
                break
            pools.pop()
            members = before + members
            tall = sum(heights[i] for i in members)
            middle = _middle(members, wanted, heights)
            middle = max(min(middle, high - tall / 2), low + tall / 2)
        pools.append((members, middle))
    out = [0.0] * len(wanted)
    for members, middle in pools:
        top = middle - sum(heights[i] for i in members) / 2
        for place in members:
            out[place] = top + heights[place] / 2
            top += heights[place]
    return out


def _middle(members: Sequence[int], wanted: Sequence[float], heights: Sequence[float]) -> float:
    """The middle of a pool for which its labels are, on average, where they want to be."""
    total = sum(heights[i] for i in members)
    above, offset = 0.0, 0.0
    for place in members:
        offset += wanted[place] - (above + heights[place] / 2)
        above += heights[place]
    return offset / len(members) + total / 2
