"""`bnbench verify`."""

from typing import Annotated, Literal

import typer

from bnbench.cli.app import app, stop_at_once
from bnbench.errors import CheckFailed


@app.command()
def verify(
    norms: Annotated[list[str] | None, typer.Argument(metavar="NORM...", help="Which norms; all by default.")] = None,
    form: Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")] = "table",
) -> None:
    """Check the custom norms against PyTorch's and their papers' identities; exit with 1 if any check fails.

    Needs no data. One norm takes a few seconds, all of them half a minute.

    Examples:

        bnbench verify

        bnbench verify batch group

        bnbench verify --format json > verify.json
    """
    with stop_at_once():
        from bnbench import console
        from bnbench.verify import choose, verify
        from bnbench.verify.table import print_json, print_table
        from bnbench.verify.worked import examples

    chosen = choose(norms or [])
    rows = []
    with console.stderr().status("verifying") as status:
        for row in verify(chosen):
            rows.append(row)
            status.update(f"verifying {row.norm}: {row.check}")
    if form == "json":
        print_json(rows, console.stdout())
    else:
        print_table(rows, examples() if "batch" in chosen else [], console.stdout())
    failed = [f"{row.norm} {row.check} ({row.dtype})" for row in rows if not row.passed]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(rows)} checks failed: {', '.join(failed)}")
    console.say(f"{len(rows)} checks, all passed")
