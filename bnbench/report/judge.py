"""What `bnbench study --judge-the-judge` prints: how often each rule is wrong, and right, in simulated studies."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bnbench.console import JSON_SCHEMA_VERSION
from bnbench.report.cells import NOTHING
from bnbench.report.tables import print_json, print_paragraphs
from bnbench.studies.simulate import Row

WIDE = 120  # in a terminal with fewer columns, rows become paragraphs
HEADINGS = [
    "claim",
    "situation",
    "n",
    "δ",
    "falsely supported",
    "falsely contradicted",
    "rightly supported",
    "rightly contradicted",
    "promised",
    "kept",
]
LEGEND = (
    "In % of simulated studies. Falsely: the true effect is at the margin δ, where a false verdict is most likely; at"
    " most 5 % are allowed. Rightly: the true effect is the expected one, or one that makes the claim wrong; promised:"
    " the power there. limit: a situation in which nothing is promised."
)


def print_rows(rows: Sequence[Row], form: str, console: Console) -> None:
    """Print a row for each scene, then what the numbers mean."""
    if form == "json":
        print_json(as_json(rows), console)
        return
    cells = [cells_of(row) for row in as_json(rows)["scenes"]]
    if console.width < WIDE:
        print_paragraphs(HEADINGS, cells, console)
    else:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for place, heading in enumerate(HEADINGS):
            right = place >= 2 and heading != "kept"
            table.add_column(heading, justify="right" if right else "left")
        for row, of in zip(rows, cells, strict=True):
            table.add_row(*of, style=None if row.kept else "bold red")
        console.print(table)
        console.print()
    counts = sorted({row.studies for row in rows}, reverse=True)
    console.print(LEGEND)
    console.print(f"Simulated studies of each number: {', or '.join(f'{count:,}' for count in counts)}.")


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Shares as fractions. `promised` is null where no power is promised."""
    scenes = [
        {**asdict(row), "promised": None if row.promised is None else row.promised._asdict(), "kept": row.kept}
        for row in rows
    ]
    return {"schema_version": JSON_SCHEMA_VERSION, "kept": all(row.kept for row in rows), "scenes": scenes}


def cells_of(scene: Mapping[str, Any]) -> list[str]:
    """The cells of a row of `as_json`, under HEADINGS."""
    shares = [scene[name] for name in ("false_supported", "false_contradicted", "supported", "contradicted")]
    promised = scene["promised"]
    both = NOTHING if promised is None else " and ".join(f"{100 * promised[name]:.0f}" for name in promised)
    kept = "limit" if scene["hidden"] else "yes" if scene["kept"] else "NO"
    return [
        scene["kind"],
        scene["situation"],
        scene["n"],
        f"{scene['delta']:g}",
        *(f"{100 * share:.1f}" for share in shares),
        both,
        kept,
    ]
