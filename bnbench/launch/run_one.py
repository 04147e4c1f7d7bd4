"""Attempts one run under its lock and returns its outcome. A failure is an outcome too."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.config.experiment import Config
from bnbench.errors import RunError, failure
from bnbench.runs.format import FINISHED
from bnbench.runs.lock import Held, hold, is_locked
from bnbench.runs.write import existing_status, has_leftovers, run_folder, sweep
from bnbench.training.events import Event, Report

if TYPE_CHECKING:  # no torch before a run is trained
    from bnbench.training.experiment import Loaded


@dataclass(frozen=True)
class Job:
    """One run to train. `number` is its place in the command; `holder` tells other commands who holds its lock."""

    number: int
    config: Config
    out: Path
    force: bool  # replace a run that is already in the folder
    holder: str
    shorter: Path | None = None  # the folder of a complete, shorter run to continue

    @property
    def folder(self) -> Path:
        return run_folder(self.out, self.config)


@dataclass(frozen=True)
class Outcome:
    """The result of one run. `trained` is False if the command did not train it."""

    config: Config
    folder: Path
    status: str  # complete, diverged, failed, or held: another process is training it
    trained: bool
    reason: str | None = None


ReportRun = Callable[[int, Event], None]  # receives the number of a run and its event
Results = Generator[tuple[int, Outcome], None, None]  # the number and outcome of each run, as they end


def attempt(job: Job, data: "Loaded", report: Report) -> Outcome:
    """Train one run and return its outcome, unless it is already finished or another process holds it."""
    from bnbench.training import experiment

    with ExitStack() as locked:
        if (settled := claim(job, locked)) is not None:
            return settled
        try:
            status = experiment.run(job.config, data, job.out, report=report, force=job.force, shorter=job.shorter)
        except Exception as error:  # a failure must not stop the other runs
            return Outcome(job.config, job.folder, "failed", trained=True, reason=failure(error))
        return Outcome(job.config, job.folder, status, trained=True)


def claim(job: Job, locked: ExitStack) -> Outcome | None:
    """Take the run's lock, which `locked` releases. Return None, or an outcome if there is nothing to train."""
    try:
        locked.enter_context(hold(job.folder, job.holder))
        there = None if job.force else existing_status(job.folder, job.config)
    except Held as held:
        return Outcome(job.config, job.folder, "held", trained=False, reason=str(held))
    except (RunError, OSError) as error:
        return Outcome(job.config, job.folder, "failed", trained=False, reason=failure(error))
    if there not in FINISHED:
        return None
    sweep(job.folder)  # another command has finished the run since this command looked
    return Outcome(job.config, job.folder, str(there), trained=False)


def tidy(folder: Path, config: Config) -> None:
    """Remove leftovers of a kill from a finished run's folder. Do not touch a folder without leftovers."""
    if has_leftovers(folder) or is_locked(folder):
        with suppress(RunError), hold(folder, "another command, for a moment"):
            if existing_status(folder, config) in FINISHED:  # it may have been replaced meanwhile
                sweep(folder)
