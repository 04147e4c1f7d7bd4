"""One run, tried: under its lock, from where it stands, to an outcome. What goes wrong is one, too."""

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
    """One run to do: `number` is its place in the command, `anew` removes what is there, `holder` is who asks."""

    number: int
    config: Config
    out: Path
    anew: bool
    holder: str

    @property
    def folder(self) -> Path:
        return run_folder(self.out, self.config)


@dataclass(frozen=True)
class Outcome:
    """What came of one run; `held`: another process is training it. `trained` is False where it was there already."""

    config: Config
    folder: Path
    status: str
    trained: bool
    reason: str | None = None


ReportRun = Callable[[int, Event], None]  # what a run tells, by its number
Results = Generator[tuple[int, Outcome], None, None]  # what came of each run, by its number, as they end


def attempt(job: Job, data: "Loaded", report: Report) -> Outcome:
    """Train one run, unless it is finished by now or another process holds it."""
    from bnbench.training import experiment

    with ExitStack() as locked:
        if (settled := claim(job, locked)) is not None:
            return settled
        try:
            status = experiment.run(job.config, data, job.out, report=report, anew=job.anew)
        except Exception as error:  # one run must not take the others with it
            return Outcome(job.config, job.folder, "failed", trained=True, reason=failure(error))
        return Outcome(job.config, job.folder, status, trained=True)


def claim(job: Job, locked: ExitStack) -> Outcome | None:
    """Take the run's lock, which `locked` then releases; an outcome where there is nothing to train."""
    try:
        locked.enter_context(hold(job.folder, job.holder))
        there = None if job.anew else existing_status(job.folder, job.config)
    except Held as held:
        return Outcome(job.config, job.folder, "held", trained=False, reason=str(held))
    except (RunError, OSError) as error:
        return Outcome(job.config, job.folder, "failed", trained=False, reason=failure(error))
    if there not in FINISHED:
        return None
    sweep(job.folder)  # finished by another command, since this one looked
    return Outcome(job.config, job.folder, str(there), trained=False)


def tidy(folder: Path, config: Config) -> None:
    """Remove what a kill in its last moment left beside a finished run; a run without such is not touched."""
    if has_leftovers(folder) or is_locked(folder):
        with suppress(RunError), hold(folder, "another command, for a moment"):
            if existing_status(folder, config) in FINISHED:  # still
                sweep(folder)
