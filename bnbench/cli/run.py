"""`bnbench run`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bnbench.cli.app import DataDir, app
from bnbench.cli.slips import refuse_seeds_apart
from bnbench.errors import BnbenchError, RunError
from bnbench.signals import stop_at_once

if TYPE_CHECKING:
    from bnbench.config.experiment import Config
    from bnbench.runs.format import Run

MANY = 10  # runs; for more, a terminal gets a line for each arm


@app.command(short_help="Train every seed of every config.")
def run(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG", hidden=True)],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config; repeatable.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="SEEDS", help="Train these seeds, as in 3, 0..9 or 0,2,5.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name the folder of the runs.")] = None,
    norms: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A Python file with norms of your own; configs may name them.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The results folder.")] = Path("results"),
    data_dir: DataDir = None,
    fallback: Annotated[
        bool | None,
        typer.Option(
            "--fallback/--no-fallback",
            help="If MNIST cannot be downloaded: use mnist5k, or exit with 4.",
            show_default="--fallback, but --no-fallback if CI is set",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=1_024,
            envvar="BNBENCH_JOBS",
            help="Train N runs at once, each in its own process.",
            show_default="one per core",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Train on a Dask cluster; its scheduler is at ADDRESS, as in tcp://host:8786."
        ),
    ] = None,
    engine: Annotated[
        Literal["auto", "eager", "traced", "stacked"],
        typer.Option(
            metavar="ENGINE", help="auto, eager, traced or stacked. The results are the same, the speed is not."
        ),
    ] = "auto",
    stack: Annotated[
        int | None, typer.Option(metavar="N", min=2, max=100, help="Train at most N runs as one stacked network.")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"] | None,
        typer.Option(metavar="DEVICE", help="auto, cpu, cuda or mps: overrides the config."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="PyTorch threads per process: overrides the config.")
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Try the config: one epoch on 512 images of mnist5k.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Delete existing runs, and train them again.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first run that fails.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs; train nothing, write nothing.")] = False,
    form: Annotated[
        Literal["text", "json"],
        typer.Option("--format", metavar="FORMAT", help="text, or json: a line of JSON for each run as it ends."),
    ] = "text",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Train every seed of each CONFIG (YAML files) into results/NAME/seed-N.

    Complete runs are skipped, and interrupted runs are resumed after their last
    epoch: run the same command again to finish the rest.

    \b
    Examples:
      bnbench run configs/mlp_bn.yaml
      bnbench run configs/mlp_bn.yaml configs/mlp_no_bn.yaml --seeds 0..9
      bnbench run configs/mlp_bn.yaml --set train.optimizer.lr=0.5 --dry-run
      bnbench run my.yaml --norms my_norm.py
    """
    with stop_at_once():
        from bnbench.console import clean, nothing, say
        from bnbench.plugins.configs import load_configs

    refuse_seeds_apart(seeds, configs)
    overrides = list(overrides or [])
    overrides += [f"{key}={value}" for key, value in (("device", device), ("threads", threads)) if value is not None]
    if fallback is not None:
        overrides.append(f"data.fallback={'mnist5k' if fallback else 'error'}")
    if norms is not None:
        with stop_at_once():
            import bnbench.norms  # noqa: F401  # the file needs torch
    loaded = load_configs(
        configs, overrides, norms=norms, name=name, seeds=seeds, smoke=smoke, say=nothing if quiet else say
    )

    with stop_at_once():
        from bnbench.data import datasets
        from bnbench.launch.advice import compare_command, swept_key
        from bnbench.launch.dry import dry, dry_as_json, dry_runs
        from bnbench.launch.execute import Places
        from bnbench.launch.progress import Progress
        from bnbench.launch.results import arm_line, result_line, run_as_json, summary_as_json
        from bnbench.launch.run_one import Outcome
        from bnbench.launch.train import train

    folder = datasets.data_dir(data_dir)
    places = Places(jobs, cluster, fail_fast, engine, stack)
    if dry_run:
        if form == "json":
            planned, summary = dry_runs(loaded, out, folder, force=force, places=places)
            lines = dry_as_json(planned)
        else:
            lines, summary = dry(loaded, out, folder, force=force, places=places)
        for line in lines:
            typer.echo(clean(line))
        if not quiet:
            say(summary)
        return
    asked = min(len(config.seeds) for config in loaded)
    if not quiet and asked > 1 and len(loaded) > 1 and out.is_dir():
        _say_what_seeds_can_show(loaded, out, asked)
    ended: list[Outcome] = []

    def tell(outcome: Outcome) -> None:
        ended.append(outcome)
        typer.echo(run_as_json(outcome))

    def summarize(error: BnbenchError | None, compare: str | None = None) -> None:
        if form == "json":
            typer.echo(summary_as_json(sum(len(config.seeds) for config in loaded), ended, error, compare))

    try:
        with Progress(quiet=quiet) as progress:
            listen = tell if form == "json" else None
            runs, problems = train(loaded, out, folder, places, progress, force=force, ended=listen)
    except BnbenchError as error:
        summarize(error)
        raise
    if form == "text" and not quiet:
        for line in _lines(runs, arm_line, result_line):
            typer.echo(clean(line).replace("\n", "\\n"))
    if problems:
        failed = RunError("\n".join(problems))
        summarize(failed)
        raise failed
    command = compare_command(out, [finished.path.parent.name for finished, _ in runs])
    summarize(None, command)
    if not quiet:
        say(f"Compare: {command}")
        if key := swept_key(loaded):
            say(f"As a sweep: {command} --by {key}")


def _lines(
    runs: "list[tuple[Run, bool]]", arm_line: "Callable[[list[Run]], str]", result_line: "Callable[[Run], str]"
) -> "Iterator[str]":
    """A line for each run; in a terminal, a line for each arm where there are many runs."""
    if len(runs) <= MANY or not sys.stdout.isatty():
        for run, trained in runs:
            note = "" if trained else " (already complete, not trained; --force trains it again)"
            yield result_line(run) + note
        return
    arms: dict[str, list[Run]] = {}
    for run, _ in runs:
        arms.setdefault(run.name, []).append(run)
    yield from map(arm_line, arms.values())
    if there := sum(not trained for _, trained in runs):
        yield f"{there} of {len(runs)} runs were already complete and not trained; --force trains them again"


def _say_what_seeds_can_show(configs: "list[Config]", out: Path, asked: int) -> None:
    """A line on what so many seeds can show, if finished runs tell it."""
    with stop_at_once():
        from bnbench.analysis.pilot import known
        from bnbench.analysis.power import POWER
        from bnbench.console import say
        from bnbench.launch.devices import resolve_device
        from bnbench.report.plan import line

    if measured := known([resolve_device(config) for config in configs], out):
        say(line(measured, asked, POWER))
