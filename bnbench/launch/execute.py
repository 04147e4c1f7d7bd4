"""Executes the runs of a command: decides which to train and where, and collects their outcomes."""

import os
import platform
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.config.experiment import Config
from bnbench.errors import Interrupted, RunError
from bnbench.files import check_writable
from bnbench.launch.devices import resolve_device
from bnbench.launch.engines import EngineName, refuse_engine, units
from bnbench.launch.memory import refuse_too_large
from bnbench.launch.plan import (
    Planned,
    label,
    moved,
    plan,
    warnings,
    with_shorter,
)
from bnbench.launch.progress import Progress
from bnbench.launch.run_one import Job, Outcome, ReportRun, Results, attempt, tidy
from bnbench.runs.evaluations import is_done
from bnbench.runs.format import FINISHED, EpochRow
from bnbench.runs.lock import held_by, hold
from bnbench.runs.write import existing_status, mark_interrupted
from bnbench.signals import Stop, signal_name, signals_raise, stop_at_once
from bnbench.training.events import Event, Started

if TYPE_CHECKING:  # no torch before a run is trained
    from bnbench.launch.prepare import Prepared
    from bnbench.training.experiment import Loaded


@dataclass(frozen=True)
class Places:
    """Where and how to train: in `jobs` processes here, or on a `cluster`; and by which engine."""

    jobs: int | None = None  # None: `default_jobs`
    cluster: str | None = None  # the address of its scheduler
    fail_fast: bool = False  # stop at the first failure
    engine: EngineName = "auto"
    stack: int | None = None  # the largest number of runs in a stacked network; None: as engines.py decides


# Trains jobs and yields each outcome when its run ends. It may report the events of each run by its number.
Place = Callable[[Sequence[Job], Sequence["Prepared"], ReportRun], Results]


def execute(
    configs: Sequence[Config],
    out: Path,
    data_folder: Path,
    *,
    force: bool,
    places: Places,
    progress: Progress,
    place: Place | None = None,
) -> list[Outcome]:
    """Run every seed of every config below `out`. A run that fails does not stop the others.

    Return the outcomes in the order of the command. With `fail_fast`, runs that have not ended at the first
    failure have no outcome. `force` replaces the runs in the folders. `place`, if given, trains the runs
    instead of `places`.

    Raises ConfigError, DataError or RunError where no run can start, Interrupted on Ctrl-C, SIGTERM or SIGHUP,
    and OSError where progress can no longer be shown.
    """
    place = place or partial(_train, places)
    session = _Session(progress, saves_epochs=places.cluster is None)
    with signals_raise():
        try:
            configs = for_this_machine(configs, places)
            runs = _all_finished(configs, out, force=force)
            prepared: list[Prepared] = []
            if runs is None:
                check_writable(out)
                with stop_at_once():
                    from bnbench.launch.prepare import prepare

                prepared = prepare(configs, data_folder, progress.say, progress.download)
                configs = [ready.config for ready in prepared]
                runs = plan(configs, out, force=force)
                sentences = moved(configs, runs)
                if not force and places.cluster is None:
                    runs = with_shorter(runs, out)
                sentences += warnings(runs)
            else:
                sentences = moved(configs, runs)
            for sentence in sentences:
                progress.say(sentence)
            session.begin(runs)
            holder = f"process {os.getpid()} on {platform.node()} since {datetime.now():%Y-%m-%d %H:%M:%S}"
            jobs = [
                Job(number, run.config, out, force, holder, run.shorter.path if run.shorter else None, places.engine)
                for number, run in enumerate(session.runs)
                if number not in session.outcomes
            ]
            stopping = False
            while jobs:
                with closing(place(jobs, prepared, session.event)) as results:
                    for number, outcome in results:
                        session.end(number, outcome)
                        stopping = session.unheard is not None or (places.fail_fast and outcome.status == "failed")
                        if stopping:
                            break
                jobs = [] if stopping else session.left_by_others(jobs)
        except Stop as stop:
            session.close()
            raise session.interrupted(stop.signum, force) from None
    outcomes = session.close()
    if session.unheard is not None:
        raise session.unheard
    return outcomes


def for_this_machine(configs: Sequence[Config], places: Places) -> list[Config]:
    """The configs with their device. Raises ConfigError where this machine, if it trains, lacks device or memory."""
    here = places.cluster is None
    configs = [resolve_device(config, here=here) for config in configs]
    refuse_engine(configs, places.engine, places.stack)
    for config in configs if here else ():
        refuse_too_large(config)
    return list(configs)


def _all_finished(configs: Sequence[Config], out: Path, *, force: bool) -> list[Planned] | None:
    """The runs, if all are finished, else None. If they are, the command needs neither the data nor torch."""
    if force:
        return None
    try:
        runs = plan(configs, out, force=False)
    except (RunError, OSError):  # the run there may be of the fallback dataset, so `prepare` must decide first
        return None
    return runs if all(run.finished for run in runs) else None


def _train(places: Places, jobs: Sequence[Job], prepared: Sequence["Prepared"], report: ReportRun) -> Results:
    """Train the runs on the cluster, in this process or in worker processes, as `places` says."""
    if places.cluster is not None:
        from bnbench.launch.cluster import on_cluster

        return on_cluster(places.cluster, jobs, prepared, report)
    from bnbench.launch.prepare import loader

    load = loader(prepared)
    processes = min(places.jobs or default_jobs([job.config for job in jobs]), len(jobs))
    # In a stack, a failure is seen when all of its runs have ended; --fail-fast asks for it at once.
    engine = "eager" if places.fail_fast and places.engine == "auto" else places.engine
    work = units(jobs, processes, engine, places.stack)
    if processes == 1:
        return _here(work, load, report)
    from bnbench.launch.processes import in_workers

    return in_workers(processes, work, load, report)


def default_jobs(configs: Sequence[Config]) -> int:
    """The number of runs that the available cores can train at once; 1 if a run uses a GPU."""
    if any(config.device != "cpu" for config in configs):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // max(config.threads for config in configs))


def _here(work: Sequence[Sequence[Job]], load: Callable[[Config], "Loaded"], report: ReportRun) -> Results:
    """Train the runs in this process, one after another, or those of a stack together."""
    for jobs in work:
        yield from attempt(jobs, load(jobs[0].config), report)


class _Session:
    """The state of every run during a command. It is also shown as progress."""

    def __init__(self, progress: Progress, *, saves_epochs: bool) -> None:
        """`saves_epochs`: whether runs write a checkpoint after every epoch, not only their final results."""
        self._saves_epochs = saves_epochs
        self.runs: list[Planned] = []
        self.outcomes: dict[int, Outcome] = {}
        self._under_way: dict[int, int] = {}  # the finished epochs of each run in training, by its number
        self._progress = progress
        self.unheard: OSError | None = None  # why progress can no longer be shown
        self._lock = threading.Lock()  # events and outcomes come from different threads

    def begin(self, runs: list[Planned]) -> None:
        """Set the runs of the command. Finished ones get their outcome at once."""
        self.runs = runs
        for number, run in enumerate(runs):
            if run.finished:
                tidy(run.folder, run.config)
                self.outcomes[number] = Outcome(run.config, run.folder, str(run.status), trained=False)
        self._progress.begin([(run.label, run.config.train.epochs) for run in runs], set(self.outcomes))

    def event(self, number: int, event: Event) -> None:
        """Record and show an event of a run."""
        with self._lock:
            if number in self.outcomes and self.outcomes[number].status != "held":
                return  # a worker's last events may come after its outcome
            if isinstance(event, Started):
                self._under_way[number] = event.epochs
            elif isinstance(event, EpochRow):
                self._under_way[number] = event.epoch
            self._show(self._progress.event, number, event)

    def _show(self, show: Callable[..., None], *what: object) -> None:
        """Show progress. If stderr is a full disk or a closed pipe, record the error: no run fails because of it."""
        try:
            show(*what)
        except OSError as error:
            self.unheard = self.unheard or error

    def end(self, number: int, outcome: Outcome) -> None:
        """Record and show the outcome of a run."""
        with self._lock:
            self._under_way.pop(number, None)
            self.outcomes[number] = replace(outcome, config=self.runs[number].config)  # not a worker's copy
            self._show(self._progress.end, number, outcome.status, outcome.reason)

    def left_by_others(self, jobs: Sequence[Job]) -> list[Job]:
        """The runs that another process held earlier, that nobody holds now, and that are not finished.

        The outcomes of those that are finished or cannot be read by now are updated.
        """
        left = []
        for job in jobs:
            outcome = self.outcomes[job.number]
            if outcome.status != "held" or held_by(job.folder) is not None:
                continue
            try:
                there = existing_status(job.folder, job.config)
            except RunError as error:
                self.outcomes[job.number] = replace(outcome, status="failed", reason=str(error))
                continue
            if is_done(job.folder, job.config, there):
                self.outcomes[job.number] = replace(outcome, status=str(there), reason=None)
            else:
                left.append(replace(job, force=False))
        return left

    def close(self) -> list[Outcome]:
        """Mark the runs stopped in training as interrupted; return all outcomes, in the order of the command."""
        for number in self._under_way:
            folder = self.runs[number].folder
            # An error here, as on a full disk, must not hide why the command stopped. Another command may hold the run.
            with suppress(RunError), hold(folder, "another command, for a moment"):
                mark_interrupted(folder)
        return [self.outcomes[number] for number in sorted(self.outcomes)]

    def interrupted(self, signum: int, force: bool) -> Interrupted:
        """The error for a command that a signal stopped: how far it came, and how to finish the rest."""
        complete = sum(outcome.status in FINISHED for outcome in self.outcomes.values())
        saved = [
            f"{label(self.runs[number].config)} after epoch {epochs} of {self.runs[number].config.train.epochs}"
            for number, epochs in sorted(self._under_way.items())
            if epochs and self._saves_epochs
        ]
        return Interrupted(
            f"stopped by {signal_name(signum)}. {complete} of {len(self.runs)} runs are complete"
            + (f"; saved: {', '.join(saved)}" if saved else "")
            + f". Run the same command {'without --force' if force else 'again'} to finish the rest"
            + ("" if self._saves_epochs else "; runs that the cluster had not finished start over"),
            exit_code=128 + signum,
        )
