"""`bnbench check`."""

from typing import Annotated, Literal

import typer

from bnbench.cli.app import app
from bnbench.cli.options import TextOrJson
from bnbench.errors import CheckFailed


@app.command(short_help="Check a batch norm that you wrote, and name its mistakes.")
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", hidden=True)],
    against: Annotated[
        Literal["batch", "layer", "group", "instance", "rms"],
        typer.Option(metavar="NORM", help="batch, layer, group, instance or rms."),
    ] = "batch",
    time_limit: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, max=3600, help="Stop the code after this time.")
    ] = 20.0,
    form: TextOrJson = "table",
) -> None:
    """Check the layer in FILE against a reference, and say in words what is wrong.

    FILE is a Python file. It defines a torch.nn.Module, or a function with the
    signature of batch_norm_1d or bn_process. If it defines several layers, write
    FILE:NAME to choose one.

    The exit code is 1 if the layer is wrong, raises or takes too long, and 2 if
    there is nothing to check. The code in FILE can do everything that you can do on
    this computer: check only code that you trust.

    \b
    Examples:
      bnbench check my_norm.py
      bnbench check my_norm.py:MyBatchNorm
      bnbench check my_norm.py --against layer --format json
    """
    from bnbench import console
    from bnbench.check import check
    from bnbench.check.table import print_json, print_report

    with console.stderr().status("checking"):
        report = check(file, against, time_limit)
    (print_json if form == "json" else print_report)(report, console.stdout())
    if not report["right"]:
        count = len(report["mistakes"]) + bool(report["differs"])
        raise CheckFailed(f"{file}: {count} mistake{'s' if count > 1 else ''}")
