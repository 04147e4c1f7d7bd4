"""Many runs: which are complete, which to train and where, what came of each."""

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
from bnbench.data import datasets
from bnbench.errors import Interrupted, RunError
from bnbench.launch.devices import resolve_device
from bnbench.launch.plan import Planned, epochs_kept, in_words, label, plan
from bnbench.launch.progress import Progress
from bnbench.launch.run_one import Job, Outcome, ReportRun, Results, attempt, tidy
from bnbench.runs.format import FINISHED, EpochRow
from bnbench.runs.lock import held_by, hold
from bnbench.runs.write import check_writable, existing_status, mark_interrupted
from bnbench.signals import Stop, signal_name, signals_raise, stop_at_once
from bnbench.training.events import Began, Event

if TYPE_CHECKING:  # no torch before a run is trained
    from bnbench.launch.prepare import Prepared
    from bnbench.training.experiment import Loaded


@dataclass(frozen=True)
class Places:
    """Where runs are trained: `jobs` processes here, or a cluster's scheduler; whether the first failure ends all."""

    jobs: int | None = None  # None: as many as there are cores
    cluster: str | None = None
    fail_fast: bool = False


# Trains runs and yields what came of each, as they end; it may report events of each by its number.
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
    """Run every seed of every config below `out`; a run that fails does not stop the others.

    `place` trains them in place of what `places` names.
    Outcomes are in the order of the command; with `fail_fast` the runs after a failure may have none.
    Raises ConfigError, DataError or RunError where nothing can start, Interrupted on Ctrl-C or SIGTERM.
    """
    place = place or partial(_train, places)
    session = _Session(progress, saves_epochs=places.cluster is None)
    with signals_raise():
        try:
            configs = [resolve_device(config, here=places.cluster is None) for config in configs]
            check_writable(out)
            runs = _all_finished(configs, out, force=force)
            prepared: list[Prepared] = []
            if runs is None:
                with stop_at_once():
                    from bnbench.launch.prepare import prepare

                prepared = prepare(configs, data_folder, progress.say)
                runs = plan([ready.config for ready in prepared], out, force=force)
            session.begin(runs)
            holder = f"process {os.getpid()} on {platform.node()} since {datetime.now():%Y-%m-%d %H:%M:%S}"
            jobs = [
                Job(number, run.config, out, force, holder)
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


def _all_finished(configs: Sequence[Config], out: Path, *, force: bool) -> list[Planned] | None:
    """The runs, if nothing is left to train: then neither data nor torch are needed."""
    if force:
        return None
    try:
        runs = plan(configs, out, force=False)
    except RunError:  # it may be of a dataset that another will stand in for
        return None
    return runs if all(run.finished for run in runs) else None


def dry(
    configs: Sequence[Config], out: Path, data_folder: Path, *, force: bool, places: Places
) -> tuple[list[str], str]:
    """What `execute` would do: a line a run, and a summary. Nothing is written, and nothing downloaded."""
    configs = [resolve_device(config, here=places.cluster is None) for config in configs]
    runs = plan(configs, out, force=force)
    finished = sum(run.finished for run in runs)
    resumed = sum(run.status is not None and not run.finished and epochs_kept(run.folder) > 0 for run in runs)
    summary = f"{len(runs)} runs: {finished} complete, {resumed} to resume, {len(runs) - finished - resumed} to start"
    for name in dict.fromkeys(config.data.dataset for config in configs):
        if not datasets.is_here(name, data_folder):
            summary += f"\n{name} is not in {data_folder}: it would be downloaded first"
            summary += ", or else mnist5k used and named so" if name == "mnist" else ""
    return [in_words(run) for run in runs], summary


def _train(places: Places, jobs: Sequence[Job], prepared: Sequence["Prepared"], report: ReportRun) -> Results:
    """Train the runs where `places` says."""
    if places.cluster is not None:
        from bnbench.launch.cluster import on_cluster

        return on_cluster(places.cluster, jobs, prepared, report)
    from bnbench.launch.prepare import loader

    load = loader(prepared)
    processes = min(places.jobs or default_jobs([job.config for job in jobs]), len(jobs))
    if processes == 1:
        return _here(jobs, load, report)
    from bnbench.launch.processes import in_workers

    return in_workers(processes, jobs, load, report)


def default_jobs(configs: Sequence[Config]) -> int:
    """As many as the cores that this process may use have room for; one where a GPU does the work."""
    if any(config.device != "cpu" for config in configs):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // max(config.threads for config in configs))


def _here(jobs: Sequence[Job], load: Callable[[str, str], "Loaded"], report: ReportRun) -> Results:
    """One after another, in this process."""
    for job in jobs:
        data = load(job.config.data.dataset, job.config.dtype)
        yield job.number, attempt(job, data, partial(report, job.number))


class _Session:
    """What is known of every run while the command lasts, and shown."""

    def __init__(self, progress: Progress, *, saves_epochs: bool) -> None:
        """`saves_epochs`: what a run has finished is kept epoch by epoch, and not only at its end."""
        self._saves_epochs = saves_epochs
        self.runs: list[Planned] = []
        self.outcomes: dict[int, Outcome] = {}
        self._under_way: dict[int, int] = {}  # epochs finished, by number
        self._progress = progress
        self.unheard: OSError | None = None  # nobody hears what is shown, and why
        self._lock = threading.Lock()  # events come from other threads than outcomes

    def begin(self, runs: list[Planned]) -> None:
        self.runs = runs
        for number, run in enumerate(runs):
            if run.finished:
                tidy(run.folder, run.config)
                self.outcomes[number] = Outcome(run.config, run.folder, str(run.status), trained=False)
        self._progress.begin([(run.label, run.config.train.epochs) for run in runs], set(self.outcomes))

    def event(self, number: int, event: Event) -> None:
        with self._lock:
            if number in self.outcomes and self.outcomes[number].status != "held":
                return  # a worker's last words may come after its result
            if isinstance(event, Began):
                self._under_way[number] = event.epochs
            elif isinstance(event, EpochRow):
                self._under_way[number] = event.epoch
            self._show(self._progress.event, number, event)

    def _show(self, show: Callable[..., None], *what: object) -> None:
        """What cannot be shown, for stderr is a full disk or a closed pipe, is no failure of a run."""
        try:
            show(*what)
        except OSError as error:
            self.unheard = self.unheard or error

    def end(self, number: int, outcome: Outcome) -> None:
        with self._lock:
            self._under_way.pop(number, None)
            self.outcomes[number] = replace(outcome, config=self.runs[number].config)  # not a worker's copy of it
            self._show(self._progress.end, number, outcome.status, outcome.reason)

    def left_by_others(self, jobs: Sequence[Job]) -> list[Job]:
        """Of the runs that another process held: those that nobody does now, though they are not finished."""
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
            if there in FINISHED:
                self.outcomes[job.number] = replace(outcome, status=str(there), reason=None)
            else:
                left.append(replace(job, anew=False))
        return left

    def close(self) -> list[Outcome]:
        """Mark the runs that were stopped on the way; the outcomes, in the order of the command."""
        for number in self._under_way:
            folder = self.runs[number].folder
            # A full disk must not hide why it stopped; and another command may have taken the run already.
            with suppress(RunError), hold(folder, "another command, for a moment"):
                mark_interrupted(folder)
        return [self.outcomes[number] for number in sorted(self.outcomes)]

    def interrupted(self, signum: int, force: bool) -> Interrupted:
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
