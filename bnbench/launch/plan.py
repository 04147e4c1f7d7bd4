"""Lists the runs that a command asks for, and the status of those that exist. No torch here; writes nothing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bnbench.config.experiment import Config
from bnbench.config.naming import base_name
from bnbench.errors import RunError
from bnbench.runs.evaluations import lacking, needs_training, with_lacking
from bnbench.runs.find import arms_by_digest
from bnbench.runs.format import FINISHED, Run
from bnbench.runs.kept import epochs_kept
from bnbench.runs.lock import held_by
from bnbench.runs.shorter import key, shorter_runs, why_not
from bnbench.runs.write import existing_status, refuse_links, run_folder

CI_ASKS = (
    "CI is set in the environment, so bnbench does not train on mnist5k instead;"
    " to allow it, use --fallback or write data.fallback: mnist5k into the config"
)


def asks_in_ci(config: Config) -> bool:
    """Whether the fallback needs a word of the user: in CI nobody reads a warning, and the job would be green."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false") and "fallback" not in config.data.model_fields_set


@dataclass(frozen=True)
class Planned:
    """One run: its config with one seed, its folder, and the status of the run there, None if there is no run."""

    config: Config
    folder: Path
    status: str | None
    shorter: Run | None = None  # a complete, shorter run of the same arm and seed; see `with_shorter`
    lacks: tuple[str, ...] = ()  # the evaluations that a complete run lacks

    @property
    def label(self) -> str:
        return label(self.config)

    @property
    def finished(self) -> bool:
        return self.status in FINISHED and not self.lacks

    @property
    def trains_again(self) -> bool:
        """Whether a complete run must be trained again for the evaluations that it lacks."""
        return bool(self.lacks) and needs_training(self.folder, with_lacking(self.folder, self.config)) is not None

    @property
    def continues(self) -> bool:
        """Whether it would continue a shorter run."""
        return self.shorter is not None and why_not(self.shorter) is None


def label(config: Config) -> str:
    """The name of a run in messages."""
    return f"{config.name} seed {config.seed}"


def plan(configs: Sequence[Config], out: Path, *, force: bool) -> list[Planned]:
    """Every run of every config, in order. Raises one RunError, which names every folder that holds another run.

    Where the same arm is in `out` under an older name, its runs have that name (see `moved`). `force` ignores it.
    """
    runs, problems = [], []
    arms = configs if force else _under_older_names(configs, out)
    for config in (one for arm in arms for one in arm.one_per_seed()):
        folder = run_folder(out, config)
        try:
            refuse_links(folder)
            status = None if force else _status(folder, config)
            lacks = tuple(lacking(folder, config)) if status == "complete" else ()
            runs.append(Planned(config, folder, status, lacks=lacks))
        except RunError as error:
            problems.append(str(error))
    if problems:
        raise RunError("\n".join(problems))
    return runs


def with_shorter(runs: Sequence[Planned], out: Path) -> list[Planned]:
    """The same runs. Those that would train from the start know a shorter run in `out` that they can continue."""
    starting = [run for run in runs if run.status not in FINISHED and not epochs_kept(run.folder, run.config)]
    found = shorter_runs(out, [run.config for run in starting])
    if not found:
        return list(runs)
    return [replace(run, shorter=found.get(key(run.config))) if run in starting else run for run in runs]


def _under_older_names(configs: Sequence[Config], out: Path) -> list[Config]:
    """The configs. One that has no folder yet gets the name of the folder that holds the same arm."""
    known: dict[str, dict[str, str]] = {}
    names = {config.name for config in configs}
    renamed = []
    for config in configs:
        if not (out / config.name).exists():
            base = base_name(config.name)
            if base not in known:
                known[base] = arms_by_digest(out, base)
            older = known[base].get(config.digest()) if known[base] else None
            if older is not None and older not in names:  # another config of the command may have the name
                names.add(older)
                config = config.model_copy(update={"name": older})
        renamed.append(config)
    return renamed


def moved(configs: Sequence[Config], runs: Sequence[Planned]) -> list[str]:
    """A sentence for each config whose runs are under an older name."""
    asked = [config.name for config in configs for _ in config.seeds]
    pairs = dict.fromkeys((name, run.config.name) for name, run in zip(asked, runs, strict=True))
    return [f"{new} is the same arm as {old}, so it uses that folder" for new, old in pairs if new != old]


def _status(folder: Path, config: Config) -> str | None:
    try:
        return existing_status(folder, config)
    except RunError:
        if held_by(folder) is not None:
            return None  # another command is writing it now; `claim` will find the lock
        return existing_status(folder, config)  # another command may have finished writing it meanwhile


def warnings(runs: Sequence[Planned]) -> list[str]:
    """A line for each batch of `runs` that a person may not expect, with the names of its arms."""
    arms: dict[str, dict[str, None]] = {}
    for run in runs:
        for sentence in (run.config.data.tiny_last_batch(), _smoke_batch(run.config)):
            if not run.finished and sentence:
                arms.setdefault(sentence, {})[run.config.name] = None
    return [f"WARNING: {_names(list(names))}: {sentence}" for sentence, names in arms.items()]


def _smoke_batch(config: Config) -> str | None:
    """What to say of a smoke run whose one batch has all of its images, if it does."""
    data = config.data
    if not config.smoke or data.batch_size != data.train_limit:
        return None
    return f"--smoke trains on {data.batch_size} images, so a batch has {data.batch_size}, whatever the config asks for"


def _names(names: Sequence[str]) -> str:
    more = len(names) - 1
    return names[0] + (f" and {more:,} other arm{'s' if more > 1 else ''}" if more else "")


ACTIONS = ("skip", "held", "evaluate", "resume", "continue", "start")


def action(run: Planned) -> tuple[str, int]:
    """What a command would do with this run, one of ACTIONS; and the number of epochs that are done."""
    if run.finished:
        return "skip", run.config.train.epochs
    if held_by(run.folder) is not None:
        return "held", 0
    if run.lacks:
        return "evaluate", 0 if run.trains_again else run.config.train.epochs
    if run.status is not None and (done := epochs_kept(run.folder, run.config)):
        return "resume", done
    if run.shorter is not None and run.continues:
        return "continue", run.shorter.epochs
    return "start", 0


def in_words(run: Planned) -> str:
    """A line of `--dry-run`: what a command would do with this run."""
    epochs, (what, done) = run.config.train.epochs, action(run)
    trains = f"trains {epochs} epoch{'s' if epochs > 1 else ''}"
    words = {
        "skip": f"already {run.status}",
        "held": f"is being trained by {held_by(run.folder)}",
        "resume": f"resumes after epoch {done} of {epochs}",
        "continue": f"continues {run.shorter and run.shorter.path} after epoch {done} of {epochs}",
        "start": trains,
    }
    if what == "evaluate":
        return (
            f"{run.label}: {run.status}, {f'{trains} again ' * run.trains_again}to evaluate by {', '.join(run.lacks)}"
        )
    return f"{run.label}: {words[what]}"
