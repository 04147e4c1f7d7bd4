"""`bnbench show`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bnbench.cli.app import app
from bnbench.cli.options import TextOrJson
from bnbench.errors import ConfigError, ResultsError
from bnbench.signals import stop_at_once

CONFIGS = (".yaml", ".yml", ".json")


@app.command(short_help="Show a run, an arm, or a config with all its defaults.")
def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", hidden=True)],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config; repeatable.")
    ] = None,
    form: TextOrJson = "table",
) -> None:
    """Show PATH: a config file with every default, or the folder of a run or an arm.

    For a run, it shows the origin, the metrics, which classes are mistaken for
    which, and the weights (gamma), biases (beta) and running statistics of each
    norm layer. For an arm, it shows a line for each seed.

    \b
    Examples:
      bnbench show configs/mlp_bn.yaml
      bnbench show configs/mlp_bn.yaml --set norm.momentum=0.1 > my.yaml
      bnbench show results/mlp_bn/seed-0
      bnbench show results/mlp_bn
    """
    from bnbench.runs.find import holds_runs, refuse_missing

    if path.is_dir() or (path.suffix not in CONFIGS and holds_runs(path.parent)):
        refuse_missing([path])
        if overrides:
            raise ConfigError(f"--set is for configs; {path} is a folder")
        if (path / "run.json").exists():
            _show_run(path, form)
        else:
            _show_arm(path, form)
        return

    from bnbench.config.base import EVERY_KEY
    from bnbench.config.load import load_config
    from bnbench.config.strict_yaml import dump

    config = load_config(path, overrides or []).model_dump(mode="json", context=EVERY_KEY)
    typer.echo(json.dumps(config, indent=2) if form == "json" else dump(config).rstrip())


def _show_run(folder: Path, form: str) -> None:
    with stop_at_once():
        from bnbench import console
        from bnbench.analysis.confusion import confusion
        from bnbench.report.show import print_run, run_as_json
        from bnbench.runs.format import read_run
        from bnbench.runs.weights import norm_values

    run, layers, found, missing = read_run(folder), {}, None, []
    try:
        layers = norm_values(folder)
    except ResultsError as error:
        missing.append(str(error))
    try:
        found = confusion([run]) if run.status == "complete" and run.tested else None
    except ResultsError as error:
        missing.append(str(error))
    if form == "json":
        console.stdout().print(run_as_json(run, layers, found), soft_wrap=True)
    else:
        print_run(run, layers, found, console.stdout())
    for reason in missing:
        console.say(reason)


def _show_arm(folder: Path, form: str) -> None:
    with stop_at_once():
        from bnbench import console
        from bnbench.analysis.confusion import confusion
        from bnbench.report.show import arm_as_json, print_arm
        from bnbench.runs.find import find_runs
        from bnbench.runs.format import read_run
        from bnbench.runs.notes import Note

    notes: list[Note] = []
    folders = list(find_runs([folder], notes))
    if not folders:
        raise ResultsError(f"{folder}: holds no run; bnbench run makes one")
    if any(there.parent != folder for there in folders):
        raise ResultsError(f"{folder}: holds the runs of several arms; name an arm's folder, as in {folders[0].parent}")
    runs, found = sorted(map(read_run, folders), key=lambda run: run.seed), None
    complete = [run for run in runs if run.status == "complete"]
    try:
        found = confusion(complete) if complete else None
    except ResultsError as error:
        console.say(str(error))
    if form == "json":
        console.stdout().print(arm_as_json(runs, found), soft_wrap=True)
    else:
        print_arm(runs, found, console.stdout())
    for note in notes:
        console.say(str(note))
