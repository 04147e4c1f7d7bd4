"""Many runs, one after another: which are already complete, which to train, what came of each."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from bnbench import datasets, experiment
from bnbench.config import IMAGES, Config
from bnbench.datasets import Dataset
from bnbench.errors import ConfigError, DataMissing, Interrupted, RunError
from bnbench.progress import Progress
from bnbench.results import FINISHED
from bnbench.writer import check_writable, existing_status, run_folder


@dataclass(frozen=True)
class Outcome:
    """What came of one run: `status` is complete, diverged or failed; `trained` is False where it was there already."""

    config: Config
    folder: Path
    status: str
    trained: bool
    reason: str | None = None


class _Stop(KeyboardInterrupt):
    """A signal that ends the command; like KeyboardInterrupt, no library's `except Exception` swallows it."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


def execute(
    configs: Sequence[Config], out: Path, data_folder: Path, *, force: bool, progress: Progress
) -> list[Outcome]:
    """Run every seed of every config below `out`; a run that fails does not stop the others.

    Raises ConfigError, DataError or RunError where nothing can start, Interrupted on Ctrl-C or SIGTERM.
    """
    outcomes: list[Outcome] = []
    total = sum(len(config.seeds) for config in configs)
    with _signals_raise():
        try:
            configs = [experiment.resolve_device(config) for config in configs]
            check_writable(out)
            prepared = prepare(configs, data_folder, progress)
            runs = [(run, ready) for ready in prepared for run in ready.config.one_per_seed()]
            there = {} if force else _existing(out, [config for config, _ in runs])
            loaded: dict[tuple[object, ...], experiment.Loaded] = {}
            progress.begin(total)
            for config, ready in runs:
                folder = run_folder(out, config)
                if there.get(folder) in FINISHED:
                    outcomes.append(Outcome(config, folder, str(there[folder]), trained=False))
                else:
                    progress.begin_run(config)
                    outcomes.append(_train_one(config, ready, loaded, out, progress))
                progress.end_run()
        except _Stop as stop:
            name = "Ctrl-C" if stop.signum == signal.SIGINT else signal.Signals(stop.signum).name
            raise Interrupted(
                f"stopped by {name}; {len(outcomes)} of {total} runs had ended and are kept."
                f" The same command{' without --force' if force else ''} trains the rest",
                exit_code=128 + stop.signum,
            ) from None
    return outcomes


@dataclass(frozen=True)
class Prepared:
    """A config with its device resolved and any fallback taken, and its dataset with its SHA-256."""

    config: Config
    dataset: Dataset
    sha256: str


def prepare(configs: Sequence[Config], data_folder: Path, progress: Progress) -> list[Prepared]:
    """Each config with its dataset; mnist5k stands in, loudly, for an mnist that cannot be had."""

    @cache  # a dataset is read once, and looked for once
    def find(name: str) -> tuple[Dataset, str] | DataMissing:
        try:
            return datasets.load(name, data_folder, say=progress.say)
        except DataMissing as missing:
            return missing

    prepared = []
    for config in configs:
        found = find(config.data.dataset)
        if isinstance(found, DataMissing):
            if config.data.dataset != "mnist" or config.data.fallback == "error":
                raise found
            config = on_mnist5k(config)
            fewer = f" {config.data.valid:,} of the training images are held out." if config.data.valid else ""
            progress.say(
                f"WARNING: {found}.\nWARNING: training on mnist5k instead, 4,000 + 1,000 images of MNIST:"
                f" its numbers are not MNIST's.{fewer} The runs are recorded as {config.name};"
                " --no-fallback refuses instead."
            )
            found = datasets.load("mnist5k", data_folder, say=progress.say)
        prepared.append(Prepared(config, *found))
    return prepared


def on_mnist5k(config: Config) -> Config:
    """The same config on mnist5k, under a name that says so. Raises ConfigError where it does not fit."""
    settings = config.model_dump()
    settings["data"]["dataset"] = "mnist5k"
    train_images, test_images = IMAGES["mnist5k"]
    held_out = min(settings["data"]["valid"] or 0, test_images)
    settings["data"]["valid"] = held_out or None
    limits = {"train_limit": train_images - held_out, "valid_limit": held_out or test_images}
    for key, images in limits.items():
        if settings["data"][key] is not None:
            settings["data"][key] = min(settings["data"][key], images)
    settings["name"] += ",data.dataset=mnist5k"
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise ConfigError(f"{config.name} does not fit mnist5k, which stands in for mnist: {reason}") from None


def _existing(out: Path, configs: Sequence[Config]) -> dict[Path, str | None]:
    """The status of what is in each run's folder; RunError names every folder that holds something else."""
    statuses, problems = {}, []
    for config in configs:
        folder = run_folder(out, config)
        try:
            statuses[folder] = existing_status(folder, config)
        except RunError as error:
            problems.append(str(error))
    if problems:
        raise RunError("\n".join(problems))
    return statuses


def _train_one(
    config: Config,
    ready: Prepared,
    loaded: dict[tuple[object, ...], experiment.Loaded],
    out: Path,
    progress: Progress,
) -> Outcome:
    """Train one run; `loaded` keeps the last data made ready, for the next run."""
    key = (config.data, config.device, config.dtype)
    try:
        if key not in loaded:
            loaded.clear()  # free the last before making the next: full MNIST is 220 MB
            loaded[key] = experiment.load(config, ready.dataset, ready.sha256)
        status = experiment.run(config, loaded[key], out, on_row=progress.row)
    except (RunError, *experiment.FAILURES) as error:
        reason = experiment.failure(error)
        progress.say(f"{config.name} seed {config.seed} failed: {reason}")
        return Outcome(config, run_folder(out, config), "failed", trained=True, reason=reason)
    return Outcome(config, run_folder(out, config), status, trained=True)


@contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGINT and SIGTERM raise _Stop in the main thread while the block runs; once, so that it ends in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    stopped = False

    def stop(signum: int, _: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise _Stop(signum)

    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        if not stopped:  # else a further Ctrl-C would only break the ending
            for number, handler in before.items():
                signal.signal(number, handler)
