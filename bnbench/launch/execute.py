"""Executes the runs of a command: decides which to train and where, and collects their outcomes."""

import os
import platform
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.config.experiment import Config
from bnbench.errors import RunError
from bnbench.files import check_writable
from bnbench.launch.devices import resolve_device
from bnbench.launch.engines import EngineName, refuse_engine, units
from bnbench.launch.memory import refuse_too_large
from bnbench.launch.plan import (
    Planned,
    moved,
    plan,
    warnings,
    with_shorter,
)
from bnbench.launch.progress import Progress
from bnbench.launch.run_one import Job, Outcome, ReportRun, Results, attempt
from bnbench.launch.session import Ended, Session
from bnbench.signals import Stop, signals_raise, stop_at_once

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
    ended: Ended | None = None,
) -> list[Outcome]:
    """Run every seed of every config below `out`. A run that fails does not stop the others.

    Return the outcomes in the order of the command. With `fail_fast`, runs that have not ended at the first
    failure have no outcome. `force` replaces the runs in the folders. `place`, if given, trains the runs
    instead of `places`. `ended` is told each outcome as it comes; one that another command holds, at the end.

    Raises ConfigError, DataError or RunError where no run can start, Interrupted on Ctrl-C, SIGTERM or SIGHUP,
    and OSError where progress can no longer be shown.
    """
    place = place or partial(_train, places)
    session = Session(progress, saves_epochs=places.cluster is None, ended=ended)
    with signals_raise():
        try:
            configs = for_this_machine(configs, places)
            runs = _planned(configs, out, force=force)
            prepared: list[Prepared] = []
            if runs is None or not all(run.finished for run in runs):
                check_writable(out)
                session.starting(*_to_start(configs, runs, out, places, force=force))
                with stop_at_once():
                    from bnbench.launch.prepare import prepare

                prepared = prepare(configs, data_folder, progress.say, progress.download, progress.warn)
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
    session.tell_the_rest()
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


def _planned(configs: Sequence[Config], out: Path, *, force: bool) -> list[Planned] | None:
    """The runs, or None. If all are finished, the command needs neither the data nor torch."""
    try:
        return plan(configs, out, force=force)
    except (RunError, OSError):  # the run there may be of the fallback dataset, so `prepare` must decide first
        return None


def _to_start(
    configs: Sequence[Config], runs: list[Planned] | None, out: Path, places: Places, *, force: bool
) -> tuple[int, int]:
    """The number of runs to train and of processes that train them, as far as `plan` knows it without the data."""
    left = [config for one in configs for config in one.one_per_seed()]
    if runs is not None:
        left = [run.config for run in runs if not run.finished]
    processes, work = _divided(places, [Job(number, config, out, force, "") for number, config in enumerate(left)])
    return len(left), 1 if places.cluster is not None else min(processes, len(work))


def _divided(places: Places, jobs: Sequence[Job]) -> tuple[int, list[list[Job]]]:
    """The number of processes, and the runs, with those of a stack together."""
    processes = min(places.jobs or default_jobs([job.config for job in jobs]), len(jobs))
    # In a stack, a failure is seen when all of its runs have ended; --fail-fast asks for it at once.
    engine = "eager" if places.fail_fast and places.engine == "auto" else places.engine
    return processes, units(jobs, processes, engine, places.stack)


def _train(places: Places, jobs: Sequence[Job], prepared: Sequence["Prepared"], report: ReportRun) -> Results:
    """Train the runs on the cluster, in this process or in worker processes, as `places` says."""
    if places.cluster is not None:
        from bnbench.launch.cluster import on_cluster

        return on_cluster(places.cluster, jobs, prepared, report)
    from bnbench.launch.prepare import loader

    load = loader(prepared)
    processes, work = _divided(places, jobs)
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
