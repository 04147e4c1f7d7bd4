"""`--dry-run`: what a command would do, without doing it. No torch here."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bnbench.config.experiment import Config
from bnbench.config.naming import in_words as settings_in_words
from bnbench.console import JSON_SCHEMA_VERSION
from bnbench.data import datasets
from bnbench.launch.execute import Places, for_this_machine
from bnbench.launch.plan import (
    ACTIONS,
    CI_ASKS,
    Planned,
    action,
    asks_in_ci,
    in_words,
    moved,
    plan,
    warnings,
    with_shorter,
)
from bnbench.runs.format import FINISHED
from bnbench.runs.kept import epochs_kept


def dry(
    configs: Sequence[Config], out: Path, data_folder: Path, *, force: bool, places: Places
) -> tuple[list[str], str]:
    """What `execute` would do: one line for each run, and a summary. Writes and downloads nothing.

    Raises ConfigError, DataError or RunError as `execute`.
    """
    runs, summary = dry_runs(configs, out, data_folder, force=force, places=places)
    settings = settings_in_words([run.config for run in runs])
    lines = [
        f"{in_words(run)}{f' ({settings[run.config.name]})' if run.config.name in settings else ''}" for run in runs
    ]
    return lines, summary


def dry_runs(
    configs: Sequence[Config], out: Path, data_folder: Path, *, force: bool, places: Places
) -> tuple[list[Planned], str]:
    """The runs that `execute` would train or skip, and a summary. Raises the errors of `dry`."""
    configs = for_this_machine(configs, places)
    runs = plan(configs, out, force=force)
    if not force and places.cluster is None:
        runs = with_shorter(runs, out)
    finished = sum(run.finished for run in runs)
    evaluated = sum(bool(run.lacks) for run in runs)
    resumed = sum(
        run.status is not None and run.status not in FINISHED and epochs_kept(run.folder, run.config) > 0
        for run in runs
    )
    continued = sum(run.continues for run in runs)
    starting = len(runs) - finished - evaluated - resumed - continued
    summary = f"{len(runs)} runs: {finished} complete, {f'{evaluated} to evaluate, ' if evaluated else ''}"
    summary += f"{continued} to continue, " if continued else ""
    summary += f"{resumed} to resume, {starting} to start"
    for name in dict.fromkeys(config.data.dataset for config in configs):
        if not datasets.is_here(name, data_folder):
            summary += f"\n{name} is not in {data_folder}: it would be downloaded first"
            summary += _if_it_fails(name, configs)
    return runs, "\n".join([summary, *moved(configs, runs), *warnings(runs)])


def dry_as_json(runs: Sequence[Planned]) -> list[str]:
    """A line of JSON for each run: what the command would do with it. A last line counts them."""
    actions = [action(run) for run in runs]
    lines: list[dict[str, object]] = [
        {
            "type": "planned",
            "name": run.config.name,
            "seed": run.config.seed,
            "folder": str(run.folder),
            "action": what,
            "epochs": run.config.train.epochs,
            "epochs_done": done,
        }
        for run, (what, done) in zip(runs, actions, strict=True)
    ]
    counts = Counter(what for what, _ in actions)
    lines.append({"type": "summary", "runs": len(runs), **{what: counts[what] for what in ACTIONS}})
    return [json.dumps({"schema_version": JSON_SCHEMA_VERSION, **line}) for line in lines]


def _if_it_fails(name: str, configs: Sequence[Config]) -> str:
    """The end of a sentence on a dataset that must be downloaded; empty where there is no fallback."""
    using = [config for config in configs if config.data.dataset == name]
    if name != "mnist" or any(config.data.fallback == "error" for config in using):
        return ""
    if any(map(asks_in_ci, using)):
        return f"; if that fails, the command exits with 4. {CI_ASKS}"
    return "; if that fails, mnist5k replaces it"
