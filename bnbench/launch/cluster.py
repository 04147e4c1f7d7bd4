"""Many runs on the workers of a Dask scheduler.

A worker trains in a scratch folder of its own and sends back the files, which are written here, under
the run's lock: the machines share nothing but the scheduler. Data is sent to each worker once. A run
whose worker dies is done again on another; Dask gives up on one that has taken several with it.
"""

import tempfile
import uuid
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bnbench.data.datasets import Dataset
from bnbench.data.splits import Normalized, Pixels, normalize
from bnbench.errors import ConfigError, RunError
from bnbench.launch.prepare import Prepared
from bnbench.launch.run_one import Job, Outcome, ReportRun, Results, attempt, claim, is_complete
from bnbench.launch.scheduler import CLOSE_SECONDS, VERSIONS, Late, client_of, within
from bnbench.runs import evaluations
from bnbench.runs.format import CHECKPOINT, EVALUATIONS, FILES, EpochRow
from bnbench.runs.write import adopt
from bnbench.training.events import Event, Notice, Started
from bnbench.training.experiment import Loaded

try:
    import distributed
except ImportError:
    raise ConfigError("--cluster needs Dask: pip install -e '.[cluster]'") from None

AHEAD = 64  # runs that are given to the cluster at once, at least, so that workers that join later find some
TOGETHER = 2  # how often a run is tried beside others; then alone, and then given up
EVENTS: dict[str, Callable[..., Event]] = {kind.__name__: kind for kind in (Started, EpochRow, Notice)}


Files = dict[str, bytes]


@dataclass(frozen=True)
class Sent:
    """A dataset as it travels: its name, its SHA-256 and the uint8 arrays of a `Dataset`."""

    name: str
    sha256: str
    arrays: dict[str, np.ndarray[Any, Any]]

    def loaded(self, pixels: Pixels) -> Loaded:
        key = (self.sha256, pixels)
        images = _normalized.get(key)
        if images is None:
            dataset = Dataset(**{name: torch.tensor(array) for name, array in self.arrays.items()})
            _normalized.clear()  # a worker keeps the last: full MNIST is 220 MB
            images = _normalized[key] = normalize(dataset, pixels)
        return Loaded(self.name, self.sha256, images)


_normalized: dict[tuple[str, Pixels], Normalized] = {}


@dataclass(frozen=True)
class _Lost:
    """The cluster returned nothing of a run, for this reason."""

    reason: str

    @classmethod
    def by(cls, error: BaseException) -> "_Lost":
        if isinstance(error, distributed.KilledWorker):
            return cls("every worker that tried it died, for want of memory or time")
        text = " ".join(str(error).split()) or type(error).__name__
        return cls(f"the cluster lost it ({text:.200})")


def on_cluster(address: str, jobs: Sequence[Job], prepared: Sequence[Prepared], report: ReportRun) -> Results:
    """Train the runs on the scheduler's workers; yield what came of each as it ends.

    Raises RunError where there is no scheduler, no worker, or another version than here.
    """
    sent: dict[str, Sent] = {
        ready.config.data.dataset: Sent(
            ready.config.data.dataset,
            ready.sha256,
            {name: tensor.numpy() for name, tensor in ready.dataset.tensors().items()},
        )
        for ready in prepared
    }
    with client_of(address) as client:
        topic = f"bnbench-{uuid.uuid4()}"
        client.subscribe_topic(topic, lambda event: report(*_from_message(event[1])))
        left = {job.number: job for job in jobs}
        tries = Counter[int]()
        try:
            while left:
                if not client.ncores():
                    report(next(iter(left)), Notice("waits, because the cluster has no workers left"))
                    client.wait_for_workers(1)
                together = [job for job in left.values() if tries[job.number] < TOGETHER]
                # A run that takes workers with it, and other runs and the data with them, takes no other when alone.
                with closing(_round(client, together or [next(iter(left.values()))], sent, topic)) as results:
                    for number, outcome in results:
                        if isinstance(outcome, _Lost):
                            tries[number] += 1
                            if tries[number] <= TOGETHER:
                                continue
                            job = left[number]
                            outcome = Outcome(job.config, job.folder, "failed", trained=True, reason=outcome.reason)
                        del left[number]
                        yield number, outcome
        except OSError:
            raise RunError(
                f"the scheduler at {address} is gone, with {len(left)} runs left."
                " Start the scheduler again, then run the same command again to train them"
            ) from None


def _round(
    client: Any, jobs: Sequence[Job], sent: dict[str, Sent], topic: str
) -> Generator[tuple[int, Outcome | _Lost], None, None]:
    """Ask the cluster for every run once, a bounded number at a time."""
    versions = {package: version(package) for package in VERSIONS}
    data = {name: client.scatter(dataset, broadcast=True, hash=False) for name, dataset in sent.items()}
    ahead = max(AHEAD, 2 * sum(client.ncores().values()))
    waiting = deque(jobs)
    claims: dict[Any, tuple[Job, ExitStack]] = {}  # the runs that the cluster has, with their locks, by future
    ended = distributed.as_completed(loop=client.loop)
    try:
        while waiting or claims:
            while waiting and len(claims) < ahead:
                job = waiting.popleft()
                locked = ExitStack()
                outcome, start = _claimed(job, locked)
                if outcome is not None:
                    locked.close()
                    yield job.number, outcome
                    continue
                arguments = (job, data[job.config.data.dataset], start, topic, versions)
                future = client.submit(_work, *arguments, key=f"bnbench-{uuid.uuid4()}", pure=False)
                claims[future] = (job, locked)
                ended.add(future)
            if not claims:
                continue
            future = next(ended)
            job, locked = claims.pop(future)
            with locked:
                yield job.number, _ended(job, future)
    finally:
        with suppress(OSError, Late):
            within(CLOSE_SECONDS, partial(client.cancel, list(claims)))
        for _, locked in claims.values():
            locked.close()


def _claimed(job: Job, locked: ExitStack) -> tuple[Outcome | None, Files]:
    """The run's lock taken, and the files to resume from; or an outcome where there is nothing to train."""
    outcome = claim(job, locked)
    if outcome is not None or job.force:
        return outcome, {}
    try:
        return None, _files(job.folder)
    except OSError as error:
        reason = f"{error.filename} cannot be read: {error.strerror}"
        return Outcome(job.config, job.folder, "failed", trained=False, reason=reason), {}


def _ended(job: Job, future: Any) -> Outcome | _Lost:
    """What came of a run; its files are written here."""
    try:
        outcome, files = future.result()
    except (Exception, CancelledError) as error:  # whatever the cluster fails by; or the data of the run is gone
        return _Lost.by(error)
    return _written(job, outcome, files) if files else outcome


def _written(job: Job, outcome: Outcome, files: Files) -> Outcome:
    try:
        if files.keys() == {EVALUATIONS}:
            evaluations.write(job.folder, files[EVALUATIONS])
        else:
            adopt(job.folder, files)
    except RunError as error:
        return replace(outcome, status="failed", reason=str(error))
    return outcome


def _files(folder: Path) -> Files:
    """What a run's folder holds of the run."""
    return {name: (folder / name).read_bytes() for name in (*FILES, CHECKPOINT) if (folder / name).is_file()}


def _work(job: Job, data: Sent, start: Files, topic: str, versions: dict[str, str]) -> tuple[Outcome, Files]:
    """On a worker: one run, from the files that there are of it to those that come of it."""
    worker = distributed.get_worker()
    if different := [package for package in VERSIONS if version(package) != versions[package]]:  # it joined late
        reason = f"the worker {worker.address} has another {different[0]} than the command"
        return Outcome(job.config, job.folder, "failed", trained=False, reason=reason), {}
    key = worker.get_current_task()

    def report(event: Event) -> None:
        worker.log_event(topic, {"number": job.number, "event": type(event).__name__, "fields": asdict(event)})
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise _Abandoned  # who asked has gone: no further epoch

    with tempfile.TemporaryDirectory(prefix="bnbench-", dir=worker.local_directory) as scratch:
        here = replace(job, out=Path(scratch), holder="this worker")
        here.folder.mkdir(parents=True)
        for name, contents in start.items():
            (here.folder / name).write_bytes(contents)
        complete = is_complete(here)
        ((_, outcome),) = attempt([here], data.loaded(Pixels.of(job.config)), lambda _, event: report(event))
        if outcome.reason is not None:
            outcome = replace(outcome, reason=f"{outcome.reason} (on {worker.address})")
        files = _files(here.folder)
        if complete:  # nothing else of a complete run is written again
            files = {name: contents for name, contents in files.items() if name == EVALUATIONS}
        return replace(outcome, folder=job.folder), files


class _Abandoned(BaseException):
    """The command that asked for the run is gone."""


def _from_message(message: dict[str, Any]) -> tuple[int, Event]:
    return message["number"], EVENTS[message["event"]](**message["fields"])
