"""Runs → arms → tables. Reads results folders only; no torch.

An arm is a config without its seed; arms stand in one table when they share dataset, images, epochs
and whether they are smoke runs. An unfinished run is left out, a diverged one counted apart; both are named.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bnbench.errors import ResultsError
from bnbench.results import FINISHED, Run, find_runs, read_run

METRICS = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")


@dataclass(frozen=True, order=True)
class Group:
    """What arms must share to be compared."""

    smoke: bool
    dataset: str
    dataset_sha256: str
    train_images: int
    valid_images: int
    epochs: int

    def title(self) -> str:
        return (
            f"{'smoke runs: ' if self.smoke else ''}{self.dataset}, {self.train_images:,} training and"
            f" {self.valid_images:,} test images, {self.epochs} epoch{'s' if self.epochs > 1 else ''}"
        )


@dataclass(frozen=True)
class Comparison:
    """The runs of each group, by arm and seed, and a sentence on each run that was left out."""

    groups: dict[Group, list[Run]]
    notes: list[str]


def collect(paths: Sequence[Path]) -> Comparison:
    """Read every run at or below `paths`. Raises ResultsError where not one can be shown."""
    notes: list[str] = []
    found: dict[tuple[str, str, int], Run] = {}
    for folder in find_runs(paths, notes):
        try:
            run = read_run(folder)
        except ResultsError as error:
            notes.append(f"left out, unreadable: {error}")
            continue
        if run.status not in FINISHED:
            notes.append(f"left out, not finished ({run.status}): {folder}")
            continue
        first = found.setdefault((run.name, run.digest, run.seed), run)
        if first is not run:
            how = (
                "the same run, to the last digit,"
                if _metrics(first) == _metrics(run)
                else "with other metrics, the same run"
            )
            notes.append(f"left out, {how} as {first.path}: {folder}")
    if not found:
        where = " ".join(map(str, paths))
        raise ResultsError("\n".join([*notes, f"{where}: no finished run to compare; bnbench run makes one"]))
    groups: dict[Group, list[Run]] = defaultdict(list)
    for _, run in sorted(found.items()):
        groups[
            Group(run.smoke, run.dataset, run.dataset_sha256, run.train_images, run.valid_images, run.epochs)
        ].append(run)
        if run.status == "diverged":
            notes.append(f"diverged after epoch {len(run.rows)}, so in no mean: {run.path}")
    return Comparison(dict(sorted(groups.items())), notes)


def _metrics(run: Run) -> list[tuple[float, ...]]:
    return [tuple(getattr(row, name) for name in METRICS) for row in run.rows]


def arm_table(runs: Sequence[Run]) -> pd.DataFrame:
    """One row an arm: means and sample standard deviations over the seeds of its complete runs.

    Accuracies are fractions. A standard deviation of one seed, and everything of an arm whose runs
    all diverged, is NaN. `best` is each seed's best epoch, chosen on the images that it is measured
    on. `epoch_seconds` is the median training time of an epoch, over epochs and seeds.
    """
    arms = pd.DataFrame(
        [(run.name, run.digest, run.parameters, run.status == "diverged") for run in runs],
        columns=["arm", "digest", "parameters", "diverged"],
    )
    table = arms.groupby(["arm", "digest"], sort=False).agg(
        diverged=("diverged", "sum"), parameters=("parameters", "first")
    )
    epochs = epoch_rows(runs)
    accuracy = epochs.groupby(["arm", "digest", "seed"])["valid_accuracy"].agg(["last", "max"])
    accuracy = accuracy.groupby(level=["arm", "digest"]).agg(["count", "mean", "std"])
    table["seeds"] = accuracy["last", "count"]
    for column, which in (("final", "last"), ("best", "max")):
        table[f"{column}_valid_accuracy"] = accuracy[which, "mean"]
        table[f"{column}_valid_accuracy_sd"] = accuracy[which, "std"]
    table["epoch_seconds"] = epochs.groupby(["arm", "digest"])["train_seconds"].median()
    table["seeds"] = table["seeds"].fillna(0).astype(int)
    columns = [
        "arm",
        "digest",
        "seeds",
        "diverged",
        "final_valid_accuracy",
        "final_valid_accuracy_sd",
        "best_valid_accuracy",
        "best_valid_accuracy_sd",
        "epoch_seconds",
        "parameters",
    ]
    return table.reset_index()[columns]


def epoch_table(runs: Sequence[Run]) -> pd.DataFrame:
    """The tutorial's lines: for each epoch, each arm's means over its complete runs, one under the other."""
    epochs = epoch_rows(runs)
    epochs["seconds"] = epochs["train_seconds"] + epochs["valid_seconds"]
    groups = epochs.groupby(["epoch", "arm", "digest"])
    table = groups.agg(seeds=("seed", "count"), **{name: (name, "mean") for name in METRICS})
    for name in METRICS:
        table[f"{name}_sd"] = groups[name].std()
    table["seconds"] = groups["seconds"].median()
    return table.reset_index()


def epoch_rows(runs: Sequence[Run]) -> pd.DataFrame:
    """One row for each epoch of each complete run: arm, digest, seed and the columns of its CSVs."""
    rows = [
        {"arm": run.name, "digest": run.digest, "seed": run.seed, **vars(row)}
        for run in runs
        if run.status == "complete"
        for row in run.rows
    ]
    columns = ["arm", "digest", "seed", "epoch", *METRICS, "train_seconds", "valid_seconds"]
    return pd.DataFrame(rows, columns=columns)
