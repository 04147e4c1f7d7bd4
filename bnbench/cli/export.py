"""`bnbench export`: runs in the format of another program."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from bnbench.cli.app import app
from bnbench.cli.options import Paths
from bnbench.errors import ConfigError
from bnbench.signals import stop_at_once


@app.command(short_help="Write runs for TensorBoard.")
def export(
    paths: Paths,
    to: Annotated[Literal["tensorboard"], typer.Option("--to", metavar="FORMAT", help="tensorboard.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")] = Path(
        "tensorboard"
    ),
) -> None:
    """Write the runs in each PATH (results folders or single runs) for another program.

    With --to tensorboard, each run becomes an event file in DIR/NAME/seed-N. To
    look at them, install TensorBoard. bnbench does not need it.

    \b
    Examples:
      bnbench export results/ --to tensorboard
      bnbench export results/mlp_bn --to tensorboard -o events && tensorboard --logdir events
    """
    with stop_at_once():
        from bnbench import console
        from bnbench.analysis.arms import collect
        from bnbench.report import tensorboard

    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output}: is a file; name a folder")
    runs = collect(paths)
    written = tensorboard.export(runs, output)
    look = console.clean(f"tensorboard --logdir {shlex.quote(str(output))}")
    console.stdout().print(f"{written} run{'s' if written != 1 else ''} for TensorBoard: {look}", soft_wrap=True)
    for note in runs.notes:
        console.say(str(note))
