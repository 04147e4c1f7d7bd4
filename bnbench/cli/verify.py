"""`bnbench verify`."""

from typing import Annotated

import typer

from bnbench.cli.app import app
from bnbench.cli.options import TextOrJson
from bnbench.errors import CheckFailed
from bnbench.signals import stop_at_once


@app.command(short_help="Check the norms against independent references.")
def verify(
    norms: Annotated[list[str] | None, typer.Argument(metavar="NORM", hidden=True)] = None,
    form: TextOrJson = "table",
) -> None:
    """Check each NORM, or all norms.

    bnbench compares a norm with PyTorch's layer or with a reference in NumPy, and
    checks the identities of its paper.

    It exits with 1 if a check fails. It needs no data. All norms take half a minute.

    \b
    Examples:
      bnbench verify
      bnbench verify batch group
      bnbench verify --format json > verify.json
    """
    with stop_at_once():
        from bnbench import console
        from bnbench.verify import choose, verify, without_reference
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
    if not norms and (left_out := without_reference()):
        console.say(f"not verified, because they have no reference: {', '.join(left_out)}")
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(rows)} checks failed: {', '.join(failed)}")
    console.say(f"{len(rows)} checks, all passed")
