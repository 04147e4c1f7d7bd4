"""The commands: parse, call the plain function, print. Heavy imports stay inside the bodies,
so that `bnbench --help` needs no torch.

Exit codes: 0 done · 1 a check, claim or gate failed · 2 usage or config · 3 a run failed ·
4 data missing or corrupt · 130 and 143 interrupted · 141 the reader of a pipe went away.
"""

import io
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from bnbench import __version__
from bnbench.errors import BnbenchError, CheckFailed, Interrupted, RunError


class _Commands(TyperGroup):
    """Ends every foreseen failure in a sentence and its exit code; `--debug` lets the traceback through."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (BnbenchError, OSError, KeyboardInterrupt) as error:
            if isinstance(error, BrokenPipeError):  # as in `| head`: what reads has enough, and nothing is to say
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is still buffered
                raise typer.Exit(141) from None  # 128 + SIGPIPE, as other programs do
            if ctx.params.get("debug"):
                traceback.print_exc()
            raise typer.Exit(_explain(error)) from None


@contextmanager
def _stop_at_once() -> Iterator[None]:
    """Heavy imports: Ctrl-C there has nothing to save, and inside torch's C++ start it would abort with a dump."""

    def stop(signum: int, _: Any) -> None:
        os.write(2, b"bnbench: stopped by Ctrl-C\n")
        os._exit(128 + signum)

    before = signal.signal(signal.SIGINT, stop) if threading.current_thread() is threading.main_thread() else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _explain(error: BaseException) -> int:
    """Say what happened on stderr; return the exit code."""
    from bnbench.console import say

    if isinstance(error, KeyboardInterrupt):
        error = Interrupted("stopped by Ctrl-C", exit_code=130)
    if isinstance(error, OSError):
        error = RunError(f"{error.filename or 'the output'} cannot be written or read: {error.strerror or error}")
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # so that no locale turns a ± into a traceback


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
    force: Annotated[bool, typer.Option("--force", help="Train anew; what is there is removed first.")] = False,
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

    with _stop_at_once():
        from bnbench import datasets
        from bnbench.console import clean, say
        from bnbench.executor import execute
        from bnbench.progress import Progress, result_line
        from bnbench.results import read_run

    with Progress(quiet=quiet) as progress:
        outcomes = execute(loaded, out, datasets.data_dir(data_dir), force=force, progress=progress)
    for outcome in outcomes:
        if outcome.status != "failed":
            note = "" if outcome.trained else " (already complete, not trained; --force trains anew)"
            typer.echo(clean(result_line(read_run(outcome.folder)) + note).replace("\n", "\\n"))
    failed = [f"{outcome.config.name} seed {outcome.config.seed}" for outcome in outcomes if outcome.status == "failed"]
    if failed:
        raise RunError(
            f"{len(failed)} of {len(outcomes)} runs failed, for the reasons above: {', '.join(failed)}."
            " The same command trains them again"
        )
    if not quiet:
        say(f"Compare: bnbench compare {shlex.quote(str(out))}")


@app.command()
def compare(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Results folders, or single runs.")],
    form: Annotated[
        Literal["table", "markdown", "csv", "json"], typer.Option("--format", help="How to print.")
    ] = "table",
    per_epoch: Annotated[
        bool, typer.Option("--per-epoch", help="The tutorial's lines, an epoch a row, the arms side by side.")
    ] = False,
) -> None:
    """Compare the arms found at or below PATH, a table for each set that may be compared.

    Examples:

        bnbench compare results/

        bnbench compare results/ --per-epoch

        bnbench compare results/ --format csv > table.csv
    """
    with _stop_at_once():
        from bnbench import console, report
        from bnbench.compare import collect

    comparison = collect(paths)
    report.print_comparison(comparison, form, per_epoch=per_epoch, console=console.stdout())
    for note in comparison.notes:
        console.say(note)


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
    with _stop_at_once():
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


@data_app.command()
def status(data_dir: DataDir = None) -> None:
    """Show which datasets are here, and check them."""
    with _stop_at_once():
        from bnbench import datasets
        from bnbench.console import clean
        from bnbench.errors import DataError

    folder = datasets.data_dir(data_dir)
    typer.echo(clean(str(folder)))
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
    with _stop_at_once():
        from bnbench import datasets
        from bnbench.console import clean, say

    folder = datasets.data_dir(data_dir)
    datasets.load(dataset, folder, say=say)
    if not datasets.cache_file(dataset, folder).exists():
        raise RunError(f"{dataset} could not be kept in {folder}; make room there, or choose another --data-dir")
    typer.echo(clean(f"{dataset} in {folder}: {datasets.describe(dataset, folder)}"))
