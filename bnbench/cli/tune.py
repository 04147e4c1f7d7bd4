"""`bnbench tune`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bnbench.cli.app import DataDir, Quiet, app
from bnbench.signals import stop_at_once


@app.command(short_help="Tune arms alike: a grid, chosen on held-out images.")
def tune(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG", hidden=True)],
    grid: Annotated[
        list[str],
        typer.Option(metavar="KEY=A,B", help="The values to try, as in train.optimizer.lr=0.01,0.1,1; repeatable."),
    ],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config; repeatable.")
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="SEEDS", help="The seeds of the final runs.")] = "0..9",
    tuning_seeds: Annotated[
        str, typer.Option(metavar="SEEDS", help="The seeds of the runs that choose the value.")
    ] = "1000..1002",
    norms: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A Python file with norms of your own; configs may name them.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of this tuning.")] = Path("results/tuned"),
    data_dir: DataDir = None,
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
    final: Annotated[
        bool, typer.Option("--final/--no-final", help="Train the winners, or stop after the choice.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs; train nothing, write nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Tune the arms of each CONFIG over the same grid, and compare them at their best.

    Each arm is trained at every value with the tuning seeds. The best mean on
    held-out training images (data.valid) wins. If two means are equal, the smaller
    value wins.
    Only the winners read the test images, once, with the final seeds. The grid
    and the rule are written to DIR/tune.json before the first run. Run the same
    command again to finish the rest, or with more values to widen the grid. With
    --no-final, look at the choices first, while the test images are unread.

    \b
    Examples:
      bnbench tune a.yaml b.yaml --grid train.optimizer.lr=0.01,0.03,0.1,0.3,1
      bnbench tune a.yaml b.yaml --grid train.optimizer.lr=0.1,1 --dry-run
      bnbench compare --tuned results/tuned
    """
    with stop_at_once():
        if norms is not None:
            import bnbench.norms  # noqa: F401  # the file needs torch
        from bnbench import console
        from bnbench.analysis.tuned import read_tuned
        from bnbench.data import datasets
        from bnbench.launch.execute import Places
        from bnbench.launch.progress import Progress
        from bnbench.report.tuned import chosen, print_tuned
        from bnbench.tuner import dry_tune, load_tuning, parse_grid
        from bnbench.tuner import tune as train_and_choose

    places = Places(jobs, cluster)
    values = parse_grid(grid)
    asked = load_tuning(
        configs,
        values,
        overrides or [],
        seeds=seeds,
        tuning_seeds=tuning_seeds,
        norms=norms,
        places=places,
        say=console.say,
    )
    folder = datasets.data_dir(data_dir)
    if dry_run:
        lines, summary = dry_tune(asked, out, folder, places)
        for line in lines:
            typer.echo(console.clean(line))
        console.say(summary)
        return
    choices = train_and_choose(asked, out, folder, places, partial(Progress, quiet=quiet), console.say, final=final)
    if not final:
        for name, choice in choices.items():
            console.stdout().print(console.clean(chosen(name, choice, values)))
        return
    tuned = read_tuned([out])
    print_tuned(tuned, "table", console.stdout())
    for note in tuned.notes:
        console.say(str(note))
