"""`bnbench run`."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from bnbench.cli.app import DataDir, Quiet, app, stop_at_once
from bnbench.errors import RunError


@app.command()
def run(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG...", help="YAML files, each one arm or a grid.")],
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
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=1_024,
            envvar="BNBENCH_JOBS",
            help="Runs at once, each in a process of its own.",
            show_default="the cores",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Train on a Dask cluster: its scheduler, as in tcp://host:8786."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"] | None, typer.Option(help="Override device.")] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Override threads, torch's threads.")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="One epoch on 512 images of mnist5k, labelled so.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Train anew; what is there is removed first.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first run that fails.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be done, and do nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train every seed of every CONFIG, and write results/NAME/seed-N.

    A run that is complete is not trained again, and one that was stopped goes on after its last epoch:
    the same command again always does what is left.

    Examples:

        bnbench run configs/mlp_bn.yaml

        bnbench run configs/mlp_bn.yaml configs/mlp_no_bn.yaml --seeds 0..9 --jobs 2

        bnbench run configs/mlp_bn.yaml --set 'grid={train.optimizer.lr: [0.05, 0.1, 0.2]}' --dry-run
    """
    from bnbench.config.load import load_configs

    overrides = list(overrides or [])
    overrides += [f"{key}={value}" for key, value in (("device", device), ("threads", threads)) if value is not None]
    if no_fallback:
        overrides.append("data.fallback=error")
    loaded = load_configs(configs, overrides, name=name, seeds=seeds, smoke=smoke)

    with stop_at_once():
        from bnbench.console import clean, say
        from bnbench.data import datasets
        from bnbench.launch.execute import Places, dry
        from bnbench.launch.progress import Progress, result_line
        from bnbench.launch.train import train

    folder = datasets.data_dir(data_dir)
    places = Places(jobs, cluster, fail_fast)
    if dry_run:
        lines, summary = dry(loaded, out, folder, force=force, places=places)
        for line in lines:
            typer.echo(clean(line))
        say(summary)
        return
    with Progress(quiet=quiet) as progress:
        runs, problems = train(loaded, out, folder, places, progress, force=force)
    for finished, trained in runs:
        note = "" if trained else " (already complete, not trained; --force trains anew)"
        typer.echo(clean(result_line(finished) + note).replace("\n", "\\n"))
    if problems:
        raise RunError("\n".join(problems))
    if not quiet:
        say(f"Compare: bnbench compare {shlex.quote(str(out))}")
