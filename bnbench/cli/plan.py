"""`bnbench plan`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnbench.cli.app import DataDir, Quiet, app
from bnbench.cli.options import At, Baseline, Metric, TextOrJson, parse_at
from bnbench.cli.slips import refuse_seeds_apart
from bnbench.errors import ConfigError, ResultsError, RunError
from bnbench.signals import stop_at_once

if TYPE_CHECKING:
    from bnbench.config.experiment import Config
    from bnbench.runs.format import Run


@app.command(short_help="Plan a study: how many seeds, how long.")
def plan(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG", hidden=True)],
    detect: Annotated[
        float, typer.Option(metavar="POINTS", help="The difference to find, in points of accuracy, or a loss.")
    ] = 0.3,
    power: Annotated[float, typer.Option(metavar="P", help="Find it in this share of studies.")] = 0.8,
    origin: Annotated[
        Path, typer.Option("--from", metavar="DIR", help="The finished runs that show the spread.")
    ] = Path("results"),
    pilot: Annotated[
        int | None, typer.Option(metavar="N", min=2, max=1_000, help="First train N seeds of each arm into DIR.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config; repeatable.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="SEEDS", help="Say what these seeds can show, as in 0..9.")
    ] = None,
    baseline: Baseline = None,
    metric: Metric = "valid_accuracy",
    at: At = "final",
    norms: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A Python file with norms of your own; configs may name them.")
    ] = None,
    data_dir: DataDir = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=1_024, envvar="BNBENCH_JOBS", help="Runs at once.", show_default="one per core"
        ),
    ] = None,
    form: TextOrJson = "table",
    quiet: Quiet = False,
) -> None:
    """Plan a study of each CONFIG: how many seeds find a difference, and how long.

    The spread comes from finished runs of the same configs, or from a pilot.

    \b
    Examples:
      bnbench plan configs/mlp_bn.yaml configs/mlp_no_bn.yaml --detect 0.3
      bnbench plan my.yaml other.yaml --pilot 3 --seeds 0..9
    """
    from bnbench.plugins.configs import load_configs

    refuse_seeds_apart(seeds, configs)
    if norms is not None:
        with stop_at_once():
            import bnbench.norms  # noqa: F401  # the file needs torch
    with stop_at_once():
        from bnbench import console
        from bnbench.analysis.arms import collect
        from bnbench.analysis.compare import Question
        from bnbench.analysis.pilot import check_aim, make_plan
        from bnbench.launch.devices import resolve_device
        from bnbench.launch.execute import default_jobs
        from bnbench.report.plan import print_plan

    aim = check_aim(Question(metric, parse_at(at), baseline), detect, power)
    loaded = [
        resolve_device(config)
        for config in load_configs(configs, overrides or [], norms=norms, seeds=seeds, say=console.say)
    ]
    if len(loaded) < 2:
        raise ConfigError("a plan needs two arms or more: name a second config")
    trained: list[Run] = []
    if pilot is not None:
        loaded, trained = _train(loaded, pilot, origin, data_dir, jobs, quiet)
    try:
        runs = collect([origin])
    except ResultsError:
        runs = None
    made = make_plan(loaded, runs, aim, jobs or default_jobs(loaded), str(origin), trained)
    print_plan(made, form, console.stdout())
    for note in made.notes:
        console.say(str(note))


def _train(
    configs: "list[Config]", pilot: int, out: Path, data_dir: Path | None, jobs: int | None, quiet: bool
) -> "tuple[list[Config], list[Run]]":
    """Train a pilot as `bnbench run` does. Return its runs, and the configs as trained: mnist5k may replace mnist."""
    with stop_at_once():
        from bnbench.config.experiment import Config
        from bnbench.data import datasets
        from bnbench.launch.execute import Places
        from bnbench.launch.progress import Progress
        from bnbench.launch.train import train
        from bnbench.runs.format import run_config

    few = [config.model_copy(update={"seeds": list(range(pilot))}) for config in configs]
    with Progress(quiet=quiet) as progress:
        runs, problems = train(few, out, datasets.data_dir(data_dir), Places(jobs), progress, force=False)
    if problems:
        raise RunError("\n".join(problems))
    as_trained = []
    for config, (run, _) in zip(configs, runs[::pilot], strict=True):
        there = config if run.digest == config.digest() else Config.of_run(run_config(run.path))
        as_trained.append(there.model_copy(update={"name": run.name, "seeds": config.seeds}))
    return as_trained, [run for run, _ in runs]
