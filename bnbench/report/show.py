"""One run or one arm in full: `bnbench show`."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from bnbench.analysis.confusion import Confusion
from bnbench.config.strict_yaml import dump
from bnbench.console import JSON_SCHEMA_VERSION, inert
from bnbench.report import classes
from bnbench.report.classes import print_confusion
from bnbench.runs.format import Run, read_json, run_config

FIRST = 10  # values printed of each tensor, as in the tutorial
SYMBOLS = {"weight": "γ (weight)", "bias": "β (bias)"}

Layers = dict[str, dict[str, list[float]]]  # norm layer → tensor → its values, flattened


def print_run(run: Run, layers: Layers, found: Confusion | None, console: Console) -> None:
    """Print the status and metrics of a run, the values of its norm layers, its mistakes, its config and its origin."""
    console.print(
        f"{run.name}, seed {run.seed}: {run.status} after {len(run.rows)} of {run.epochs} epochs", style="bold"
    )
    about = read_json(run.path)
    results = {
        "folder": run.path,
        "data": f"{run.dataset}, {run.train_images:,} training and {run.valid_images:,} validation images"
        + (f" held out, {run.test.images:,} test images" if run.test else ""),
        "parameters": f"{run.parameters:,}",
        **({"reason": about["reason"]} if "reason" in about else {}),
        **_metrics(run),
    }
    origin = {
        "dataset's SHA-256": run.dataset_sha256,
        "config's SHA-256": run.digest,
        "started": about.get("started"),
        "ended": about.get("ended"),
        **run.provenance,
    }
    _print_facts(results, console)
    for layer, tensors in layers.items():
        console.print(f"\n{inert(layer)}", style="bold")
        for name, values in tensors.items():
            console.print(_tensor(name, values))
    if found is not None:
        print_confusion(found, console)
    console.print("\nconfig", style="bold")
    console.print(dump(run_config(run.path)).rstrip())
    console.print("\norigin", style="bold")
    _print_facts(origin, console)


def _print_facts(facts: dict[str, Any], console: Console) -> None:
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        grid.add_row(inert(name), inert(value))
    console.print(grid)


def print_arm(runs: Sequence[Run], found: Confusion | None, console: Console) -> None:
    """Print a line for each run of an arm, the arm's config and the mistakes of its complete runs."""
    console.print(f"{inert(runs[0].name)}, {len(runs)} seed{'s' if len(runs) > 1 else ''}", style="bold")
    grid = Grid(box=None, padding=(0, 2, 0, 0))
    for heading in ("seed", "status", "epochs", "train loss", "train %", "valid loss", "valid %", "test %", "folder"):
        grid.add_column(heading, no_wrap=True, justify="left" if heading in ("status", "folder") else "right")
    for run in runs:
        cells = [""] * 4
        if run.rows:
            last = run.rows[-1]
            cells = [f"{last.train_loss:.4f}", f"{100 * last.train_accuracy:.2f}"]
            cells += [f"{last.valid_loss:.4f}", f"{100 * last.valid_accuracy:.2f}"]
        test = f"{100 * run.test.accuracy:.2f}" if run.test else ""
        done = f"{len(run.rows)}/{run.epochs}"
        grid.add_row(str(run.seed), run.status, done, *cells, test, inert(run.path))
    console.print(grid)
    console.print(f"\nconfig of seed {runs[0].seed}", style="bold")
    console.print(dump(run_config(runs[0].path)).rstrip())
    if found is not None:
        print_confusion(found, console)
    console.print(f"\nOne run in full: bnbench show {shlex.quote(inert(runs[0].path))}")


def _metrics(run: Run) -> dict[str, str]:
    if not run.rows:
        return {}
    last, best = run.rows[-1], max(run.rows, key=lambda row: row.valid_accuracy)
    shown = {
        "training, last epoch": f"loss {last.train_loss:.4f}, accuracy {100 * last.train_accuracy:.2f} %",
        "validation, last epoch": f"loss {last.valid_loss:.4f}, accuracy {100 * last.valid_accuracy:.2f} %",
        "validation, best epoch": f"accuracy {100 * best.valid_accuracy:.2f} %, epoch {best.epoch},"
        " chosen on the validation images",
    }
    if run.test:
        shown["test"] = f"loss {run.test.loss:.4f}, accuracy {100 * run.test.accuracy:.2f} %"
    elif not run.tested:
        shown["test"] = "not read, because of data.test: false"
    return shown


def _tensor(name: str, values: list[float]) -> str:
    title = inert(SYMBOLS.get(name, name))
    if len(values) < 2:
        return f"{title}: {', '.join(f'{value:g}' for value in values)}"
    first = ", ".join(f"{value:.4g}" for value in values[:FIRST])
    more = f", … {len(values):,} in all" if len(values) > FIRST else ""
    spread = f"min {min(values):.4g}, mean {sum(values) / len(values):.4g}, max {max(values):.4g}"
    return f"{title}: {first}{more}; {spread}"


def run_as_json(run: Run, layers: Layers, found: Confusion | None) -> str:
    """run.json, the config, the metrics of every epoch, the mistakes by class, and every value of the norm layers."""
    value: dict[str, Any] = {
        "schema_version": JSON_SCHEMA_VERSION,
        "run": read_json(run.path),
        "config": run_config(run.path),
        "epochs": [vars(row) for row in run.rows],
        **classes.as_json(found),
        "norms": layers,
    }
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def arm_as_json(runs: Sequence[Run], found: Confusion | None) -> str:
    """run.json and the metrics of every epoch of each run, the config of the first, and the mistakes by class."""
    value: dict[str, Any] = {
        "schema_version": JSON_SCHEMA_VERSION,
        "runs": [{"run": read_json(run.path), "epochs": [vars(row) for row in run.rows]} for run in runs],
        "config": run_config(runs[0].path),
        **classes.as_json(found),
    }
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    """The same with None for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
