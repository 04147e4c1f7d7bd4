"""`bnbench data status` and `fetch`."""

import json
from collections.abc import Iterator
from typing import Annotated

import typer

from bnbench.cli.app import DataDir, app
from bnbench.cli.options import TextOrJson
from bnbench.errors import ConfigError, RunError
from bnbench.signals import signals_raise, stop_at_once

data_app = typer.Typer(no_args_is_help=True, help="See, fetch and check the datasets.")
app.add_typer(data_app, name="data")


def _datasets() -> Iterator[tuple[str, str]]:
    """The names that a shell completes, with their titles."""
    from bnbench.config.catalog import DATASETS

    yield from ((name, row.title) for name, row in DATASETS.items())


@data_app.command()
def status(data_dir: DataDir = None, form: TextOrJson = "table") -> None:
    """Show which datasets are here, and check them.

    \b
    Examples:
      bnbench data status
      bnbench data status --data-dir my-data
      bnbench data status --format json
    """
    with stop_at_once():
        from bnbench.console import JSON_SCHEMA_VERSION, clean
        from bnbench.data import datasets
        from bnbench.errors import DataError

    folder = datasets.data_dir(data_dir)
    found: dict[str, dict[str, str]] = {}
    damaged = []
    for name in datasets.names():
        try:
            text = datasets.describe(name, folder)
            found[name] = {"status": "here" if datasets.is_here(name, folder) else "missing", "text": text}
        except DataError as error:
            damaged.append(str(error))
            found[name] = {"status": "damaged", "text": str(error)}
    if form == "json":
        rows = [{"dataset": name, **about} for name, about in found.items()]
        value = {"schema_version": JSON_SCHEMA_VERSION, "folder": str(folder), "datasets": rows}
        typer.echo(json.dumps(value, indent=2))
    else:
        typer.echo(clean(str(folder)))
        for name, about in found.items():
            typer.echo(f"  {name:14} {'DAMAGED' if about['status'] == 'damaged' else about['text']}")
    if damaged:
        raise DataError("\n".join(damaged))


@data_app.command()
def fetch(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", hidden=True, autocompletion=_datasets)] = "mnist",
    data_dir: DataDir = None,
) -> None:
    """Download DATASET (default: mnist), check it, and keep it.

    `bnbench data status` lists the datasets.

    \b
    Examples:
      bnbench data fetch
      bnbench data fetch fashion_mnist
    """
    with stop_at_once():
        from bnbench.console import clean
        from bnbench.data import datasets
        from bnbench.launch.progress import Progress

    if dataset not in datasets.names():
        raise ConfigError(f"there is no dataset called {dataset!r}; the datasets are {', '.join(datasets.names())}")
    folder = datasets.data_dir(data_dir)
    with stop_at_once():
        import bnbench.data.splits  # noqa: F401  # it imports torch, which a signal must not interrupt
    with signals_raise(), Progress() as progress:  # a signal must not leave a terminal without its cursor
        datasets.load(dataset, folder, say=progress.say, show=progress.download)
    if not datasets.cache_file(dataset, folder).exists():
        raise RunError(f"{dataset} could not be kept in {folder}; make room there, or choose another --data-dir")
    typer.echo(clean(f"{dataset} in {folder}: {datasets.describe(dataset, folder)}"))
