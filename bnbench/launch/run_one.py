"""Attempts runs under their locks and gives their outcomes. A failure is an outcome too."""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.config.experiment import Config
from bnbench.errors import ResultsError, RunError, failure
from bnbench.runs.evaluations import is_done
from bnbench.runs.format import FINISHED
from bnbench.runs.kept import Unusable
from bnbench.runs.lock import Held, hold, is_locked
from bnbench.runs.write import existing_status, has_leftovers, refuse_links, run_folder, sweep
from bnbench.training.events import Event, Notice

if TYPE_CHECKING:  # no torch before a run is trained
    from bnbench.training.experiment import Loaded


AGAIN = ".again"  # below the results folder: runs that are trained a second time, for their evaluations


@dataclass(frozen=True)
class Job:
    """One run to train. `number` is its place in the command; `holder` tells other commands who holds its lock."""

    number: int
    config: Config
    out: Path
    force: bool  # replace a run that is already in the folder
    holder: str
    shorter: Path | None = None  # the folder of a complete, shorter run to continue
    engine: str = "auto"  # auto, eager, traced or stacked

    @property
    def folder(self) -> Path:
        return run_folder(self.out, self.config)


@dataclass(frozen=True)
class Outcome:
    """The result of one run. `trained` is False if the command did not train it."""

    config: Config
    folder: Path
    status: str  # complete, diverged, failed, or held: another process is training it
    trained: bool  # also if it was trained a second time for its evaluations
    reason: str | None = None


ReportRun = Callable[[int, Event], None]  # receives the number of a run and its event
Results = Generator[tuple[int, Outcome], None, None]  # the number and outcome of each run, as they end


def attempt(jobs: Sequence[Job], data: "Loaded", report: ReportRun) -> Results:
    """Train runs, several as one stacked network; yield the outcome of each, with its number.

    Complete runs that lack `evaluations` of their configs get them. Runs that are already finished, or that another
    process holds, are not trained. The locks are free before an outcome is yielded: whoever gets the last one may end
    this process.
    """
    outcomes: list[tuple[int, Outcome]] = []
    with ExitStack() as locked:
        complete: list[Job] = []
        left: list[Job] = []
        for job in jobs:
            if (settled := claim(job, locked)) is not None:
                outcomes.append((job.number, settled))
            else:
                (complete if is_complete(job) else left).append(job)
        outcomes += _evaluate(complete, data, report)
        if left:
            outcomes += _train(left, data, report)
    yield from outcomes


def is_complete(job: Job) -> bool:
    """Whether the run that a job has claimed is complete, so that it only lacks evaluations."""
    return not job.force and existing_status(job.folder, job.config) == "complete"


def _evaluate(jobs: Sequence[Job], data: "Loaded", report: ReportRun) -> Results:
    """Add the evaluations that complete runs lack, from their weights, or else from a second training beside."""
    from bnbench.training.again import add_from_weights, take_over

    again: dict[int, Job] = {}
    for job in jobs:
        try:
            add_from_weights(job.folder, job.config, data)
            yield job.number, Outcome(job.config, job.folder, "complete", trained=False)
        except Unusable as reason:
            report(job.number, Notice(f"{reason}, so it is trained again for its evaluations"))
            again[job.number] = job
        except Exception as error:
            yield job.number, Outcome(job.config, job.folder, "failed", trained=False, reason=failure(error))
    beside = [replace(job, out=job.out / AGAIN, shorter=None) for job in again.values()]
    for number, outcome in _train(beside, data, report) if beside else ():
        folder = again[number].folder
        try:
            if outcome.reason is None:
                take_over(folder, outcome.folder)
        except (RunError, ResultsError, OSError) as error:
            outcome = replace(outcome, status="failed", reason=failure(error))
        yield number, replace(outcome, folder=folder)


def _train(jobs: Sequence[Job], data: "Loaded", report: ReportRun) -> Results:
    from bnbench.launch.engines import engine_of
    from bnbench.training import experiment
    from bnbench.training.engines import engine_maker

    first = jobs[0]
    name = engine_of(first.config, first.engine, len(jobs))
    try:
        recordings = experiment.train_together(
            [job.config for job in jobs],
            data,
            first.out,
            reports=[partial(report, job.number) for job in jobs],
            force=first.force,
            shorter=[job.shorter for job in jobs],
            engine=engine_maker(name, lambda text: report(first.number, Notice(text))),
        )
    except experiment.StartsDiffer:  # a checkpoint cannot be used, which nobody knew before it was read
        for job in jobs:
            yield from _train([job], data, report)
        return
    except Exception as error:  # a failure must not stop the other runs
        for job in jobs:
            yield job.number, Outcome(job.config, job.folder, "failed", trained=True, reason=failure(error))
        return
    if len(jobs) > 1 and all(_no_memory(recording.error) for recording in recordings):
        for half in (jobs[: len(jobs) // 2], jobs[len(jobs) // 2 :]):
            yield from _train(half, data, report)
        return
    for job, recording in zip(jobs, recordings, strict=True):
        status, reason = ("failed", failure(recording.error)) if recording.error else (recording.status, None)
        yield job.number, Outcome(job.config, job.folder, status, trained=True, reason=reason)


def _no_memory(error: Exception | None) -> bool:
    """Whether a run failed because there was no memory. PyTorch's allocator raises a RuntimeError."""
    return error is not None and (
        isinstance(error.__cause__, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error)
    )


def claim(job: Job, locked: ExitStack) -> Outcome | None:
    """Take the run's lock, which `locked` releases. Return None, or an outcome if there is nothing to train."""
    try:
        for place in (job.folder, job.out / AGAIN / job.config.name):
            refuse_links(place)
        locked.enter_context(hold(job.folder, job.holder))
        there = None if job.force else existing_status(job.folder, job.config)
    except Held as held:
        return Outcome(job.config, job.folder, "held", trained=False, reason=str(held))
    except (RunError, OSError) as error:
        return Outcome(job.config, job.folder, "failed", trained=False, reason=failure(error))
    if not is_done(job.folder, job.config, there):
        return None
    sweep(job.folder)  # another command has finished the run since this command looked
    return Outcome(job.config, job.folder, str(there), trained=False)


def tidy(folder: Path, config: Config) -> None:
    """Remove leftovers of a kill from a finished run's folder. Do not touch a folder without leftovers."""
    if has_leftovers(folder) or is_locked(folder):
        with suppress(RunError), hold(folder, "another command, for a moment"):
            if existing_status(folder, config) in FINISHED:  # it may have been replaced meanwhile
                sweep(folder)
