"""The commands: parse, call the plain function, print. Heavy imports stay inside the bodies,
so that `bnbench --help` needs no torch.

Exit codes: 0 done · 1 a check, claim or gate failed · 2 usage or config · 3 a run failed ·
4 data missing or corrupt · 130 and 143 interrupted.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from bnbench import __version__
from bnbench.errors import BnbenchError, Interrupted, RunError


class _Commands(TyperGroup):
    """Ends every foreseen failure in a sentence and its exit code; `--debug` lets the traceback through."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (BnbenchError, OSError, KeyboardInterrupt) as error:
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):
                raise
            raise typer.Exit(_explain(error)) from None


def _explain(error: BaseException) -> int:
    """Say what happened on stderr; return the exit code."""
    from bnbench.console import say

    if isinstance(error, KeyboardInterrupt):
        error = Interrupted("stopped by Ctrl-C before anything was trained", exit_code=130)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        error = RunError(f"{place}{error.strerror or error}")
    assert isinstance(error, BnbenchError)
    for line in str(error).split("\n"):
        say(f"bnbench: {line}")
    return error.exit_code


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")
data_app = typer.Typer(no_args_is_help=True, help="See, fetch and check the datasets.")
app.add_typer(data_app, name="data")

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Where datasets are kept.",
        envvar="BNBENCH_DATA",
        show_default="the user's cache folder",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; warnings and results only.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"bnbench {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """What does a normalization layer do to training? Train paired arms on MNIST, then compare them.

    Start with: bnbench run configs/mlp_bn.yaml, then: bnbench compare results/
    """


@app.command()
def run(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG...", help="YAML files, each one arm.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as in train.optimizer.lr=0.5; repeatable."),
    ] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0..9", help="Seeds: 3, 0..9 or 0,2,5.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name the run's folder.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The results folder.")] = Path("results"),
    data_dir: DataDir = None,
    no_fallback: Annotated[
        bool, typer.Option("--no-fallback", help="Without MNIST, exit with 4 rather than train on mnist5k.")
    ] = False,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"] | None, typer.Option(help="Override device.")] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Override threads, torch's threads.")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="One epoch on 512 images of mnist5k, labelled so.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Train anew, in place of what is there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train every seed of every CONFIG, and write results/NAME/seed-N.

    A run that is already complete is not trained again.

    Examples:

        bnbench run configs/mlp_bn.yaml

        bnbench run configs/mlp_bn.yaml configs/mlp_no_bn.yaml --seeds 0..9

        bnbench run configs/mlp_bn.yaml --set train.optimizer.lr=0.5
    """
    from bnbench.configfile import load_configs

    overrides = list(overrides or [])
    overrides += [f"{key}={value}" for key, value in (("device", device), ("threads", threads)) if value is not None]
    if no_fallback:
        overrides.append("data.fallback=error")
    loaded = load_configs(configs, overrides, name=name, seeds=seeds, smoke=smoke)

    from bnbench import datasets
    from bnbench.console import say
    from bnbench.executor import execute
    from bnbench.progress import Progress
    from bnbench.report import result_line
    from bnbench.results import read_run

    with Progress(quiet=quiet) as progress:
        outcomes = execute(loaded, out, datasets.data_dir(data_dir), smoke=smoke, force=force, progress=progress)
    for outcome in outcomes:
        if outcome.status != "failed":
            note = "" if outcome.trained else " (already complete, not trained; --force trains anew)"
            typer.echo(result_line(read_run(outcome.folder)) + note)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        raise RunError("\n".join(f"failed: {outcome.reason}" for outcome in failed))
    if not quiet:
        say(f"Compare: bnbench compare {out}")


@app.command()
def compare(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Results folders, or single runs.")],
    form: Annotated[
        Literal["table", "markdown", "csv", "json"], typer.Option("--format", help="How to print.")
    ] = "table",
    per_epoch: Annotated[bool, typer.Option("--per-epoch", help="A line an epoch, the arms side by side.")] = False,
) -> None:
    """Compare the arms found at or below PATH, a table for each set that may be compared.

    Examples:

        bnbench compare results/

        bnbench compare results/ --per-epoch

        bnbench compare results/ --format csv > table.csv
    """
    from bnbench import console, report
    from bnbench.compare import collect

    comparison = collect(paths)
    report.print_comparison(comparison, form, per_epoch=per_epoch, console=console.stdout())
    for note in comparison.notes:
        console.say(note)


@data_app.command()
def status(data_dir: DataDir = None) -> None:
    """Show which datasets are here, and check them."""
    from bnbench import datasets
    from bnbench.errors import DataError

    folder = datasets.data_dir(data_dir)
    typer.echo(f"{folder}")
    damaged = None
    for name in datasets.NAMES:
        try:
            typer.echo(f"  {name:14} {datasets.describe(name, folder)}")
        except DataError as error:
            damaged = error
            typer.echo(f"  {name:14} DAMAGED")
    if damaged is not None:
        raise damaged


@data_app.command()
def fetch(
    dataset: Annotated[
        Literal["mnist", "fashion_mnist", "kmnist", "mnist5k"], typer.Argument(help="Which one.")
    ] = "mnist",
    data_dir: DataDir = None,
) -> None:
    """Download a dataset, verify its checksums, and keep it for later runs."""
    from bnbench import datasets
    from bnbench.console import say

    folder = datasets.data_dir(data_dir)
    datasets.load(dataset, folder, say=say)
    typer.echo(f"{dataset} in {folder}: {datasets.describe(dataset, folder)}")
