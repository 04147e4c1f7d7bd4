"""`bnbench run`."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from bnbench.cli.app import DataDir, Quiet, app, stop_at_once
from bnbench.errors import RunError


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

    with stop_at_once():
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
