"""Many runs, one after another: which are already complete, which to train, what came of each."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from bnbench import datasets, experiment
from bnbench.config import Config
from bnbench.datasets import Dataset
from bnbench.errors import ConfigError, DataMissing, Interrupted, RunError
from bnbench.progress import Progress
from bnbench.results import FINISHED
from bnbench.writer import existing_status, make_root, run_folder


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
    configs: Sequence[Config], out: Path, data_folder: Path, *, smoke: bool, force: bool, progress: Progress
) -> list[Outcome]:
    """Run every seed of every config below `out`; a run that fails does not stop the others.

    Raises ConfigError, DataError or RunError where nothing can start, Interrupted on Ctrl-C or SIGTERM.
    """
    outcomes: list[Outcome] = []
    total = sum(len(config.seeds) for config in configs)
    with _signals_raise():
        try:
            make_root(out)
            prepared = prepare(configs, data_folder, progress)
            runs = [(run, ready) for ready in prepared for run in ready.config.one_per_seed()]
            there = {} if force else _existing(out, [config for config, _ in runs])
            loaded: tuple[object, experiment.Loaded] | None = None
            progress.begin(total)
            for config, ready in runs:
                folder = run_folder(out, config)
                if there.get(folder) in FINISHED:
                    outcomes.append(Outcome(config, folder, str(there[folder]), trained=False))
                else:
                    key = (config.data, config.device, config.dtype)
                    if loaded is None or loaded[0] != key:
                        loaded = None  # free the last before making the next: full MNIST is 220 MB
                        loaded = key, experiment.load(config, ready.dataset, ready.sha256)
                    outcomes.append(_run_one(config, loaded[1], out, smoke, progress))
                progress.end_run()
        except _Stop as stop:
            name = "Ctrl-C" if stop.signum == signal.SIGINT else signal.Signals(stop.signum).name
            raise Interrupted(
                f"stopped by {name}; {len(outcomes)} of {total} runs had ended and are kept."
                " The same command trains the rest",
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
    """Find each config's device and dataset; the datasets are read once each."""
    found: dict[str, tuple[Dataset, str]] = {}

    def find(name: str) -> tuple[Dataset, str]:
        if name not in found:
            found[name] = datasets.load(name, data_folder, say=progress.say)
        return found[name]

    prepared = []
    for config in map(experiment.resolve_device, configs):
        try:
            prepared.append(Prepared(config, *find(config.data.dataset)))
        except DataMissing as missing:
            if config.data.dataset != "mnist" or config.data.fallback == "error":
                raise
            config = on_mnist5k(config)
            progress.say(
                f"WARNING: {missing}.\nWARNING: training on mnist5k instead, 4,000 + 1,000 images of MNIST:"
                f" its numbers are not MNIST's. The runs are recorded as {config.name}; --no-fallback refuses instead."
            )
            prepared.append(Prepared(config, *find("mnist5k")))
    return prepared


def on_mnist5k(config: Config) -> Config:
    """The same config on mnist5k, under a name that says so. Raises ConfigError where it does not fit."""
    settings = config.model_dump()
    settings["data"]["dataset"] = "mnist5k"
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


def _run_one(config: Config, data: experiment.Loaded, out: Path, smoke: bool, progress: Progress) -> Outcome:
    folder = run_folder(out, config)
    progress.begin_run(config)
    try:
        status = experiment.run(config, data, out, smoke=smoke, on_row=progress.row)
    except RunError as error:
        progress.say(f"failed: {error}")
        return Outcome(config, folder, "failed", trained=True, reason=str(error))
    return Outcome(config, folder, status, trained=True)


@contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGINT and SIGTERM raise _Stop in the main thread while the block runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, _: FrameType | None) -> None:
        raise _Stop(signum)

    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
