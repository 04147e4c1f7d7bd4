"""`bnbench diff`."""

from pathlib import Path
from typing import Annotated

import typer

from bnbench.cli.app import app
from bnbench.cli.options import TextOrJson
from bnbench.signals import stop_at_once


@app.command(short_help="Show what differs between two runs or two arms.")
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", hidden=True)],
    b: Annotated[Path, typer.Argument(metavar="B", hidden=True)],
    form: TextOrJson = "table",
) -> None:
    """Show what differs between A and B: config, environment and metrics.

    A and B are folders. Each holds one run or one arm.

    \b
    Examples:
      bnbench diff results/mlp_bn results/mlp_no_bn
      bnbench diff results/mlp_bn/seed-0 /another/machine/mlp_bn/seed-0
    """
    with stop_at_once():
        from bnbench import console
        from bnbench.report.diff import as_json, print_diff, side
        from bnbench.report.tables import print_json
        from bnbench.runs.notes import Note

    notes: list[Note] = []
    sides = side(a, notes), side(b, notes)
    if form == "json":
        print_json(as_json(*sides), console.stdout())
    else:
        print_diff(*sides, console.stdout())
    for note in notes:
        console.say(str(note))
