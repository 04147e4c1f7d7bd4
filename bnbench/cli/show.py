"""`bnbench show`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bnbench.cli.app import app
from bnbench.cli.options import TextOrJson
from bnbench.errors import ConfigError, ResultsError
from bnbench.signals import stop_at_once


@app.command(short_help="Show one run, or a config with all its defaults.")
def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", hidden=True)],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config; repeatable.")
    ] = None,
    form: TextOrJson = "table",
) -> None:
    """Show PATH: a config file with every default, or the folder of a run.

    For a run, it shows the origin, the metrics, which classes are mistaken for
    which, and the weights (gamma), biases (beta) and running statistics of each
    norm layer.

    \b
    Examples:
      bnbench show configs/mlp_bn.yaml
      bnbench show configs/mlp_bn.yaml --set norm.momentum=0.1 > my.yaml
      bnbench show results/mlp_bn/seed-0
    """
    if path.is_dir():
        if overrides:
            raise ConfigError(f"--set is for configs; {path} is a folder")
        _show_run(path, form)
        return

    from bnbench.config.base import EVERY_KEY
    from bnbench.config.load import load_config
    from bnbench.config.strict_yaml import dump

    config = load_config(path, overrides or []).model_dump(mode="json", context=EVERY_KEY)
    typer.echo(json.dumps(config, indent=2) if form == "json" else dump(config).rstrip())


def _show_run(folder: Path, form: str) -> None:
    if not (folder / "run.json").exists():
        raise ResultsError(f"{folder}: is not a run; name a run's folder, as in {folder / 'seed-0'}")
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
