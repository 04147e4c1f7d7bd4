"""Many runs at once in worker processes of this machine, through joblib.

The images lie in memory once: joblib writes them, normalized, to a file that every worker maps. What
a worker tells goes to its parent through a socket of its own, which also ties their lives together: a
worker whose parent is gone ends at once, and a parent whose worker is gone knows which run it had.
"""

import os
import secrets
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from pickle import PicklingError
from typing import Any

import joblib
import numpy as np
import torch

from bnbench.data.splits import Normalized, Split
from bnbench.errors import RunError
from bnbench.launch.run_one import Job, Outcome, ReportRun, Results, attempt
from bnbench.signals import STOPPING
from bnbench.training.events import Event
from bnbench.training.experiment import Loaded

MAX_FALSE_STARTS = 3


@dataclass(frozen=True)
class Shared:
    """`Loaded` as NumPy arrays, which joblib maps into every worker."""

    name: str
    sha256: str
    arrays: tuple[np.ndarray[Any, Any], ...]  # images and labels, of training and test

    @classmethod
    def of(cls, data: Loaded) -> "Shared":
        train, test = data.images.train, data.images.test
        return cls(
            data.name, data.sha256, tuple(t.numpy() for t in (train.images, train.labels, test.images, test.labels))
        )

    def loaded(self) -> Loaded:
        images, labels, test_images, test_labels = map(torch.from_numpy, self.arrays)
        return Loaded(self.name, self.sha256, Normalized(Split(images, labels), Split(test_images, test_labels)))


def in_workers(processes: int, jobs: Sequence[Job], load: Callable[[str, str], Loaded], report: ReportRun) -> Results:
    """Train the runs, `processes` at once; yield what came of each as it ends. Leaves no process behind.

    A worker that dies costs the run that it had, which fails; the others go on in new workers.
    Raises RunError where the images cannot be laid where the workers map them.
    """
    by_images: dict[tuple[str, str], dict[int, Job]] = {}  # one pool for each: joblib keeps what a pool has mapped
    for job in jobs:
        by_images.setdefault((job.config.data.dataset, job.config.dtype), {})[job.number] = job
    with _Parent(report) as parent:
        for images, left in by_images.items():
            yield from _trained(min(processes, len(left)), left, Shared.of(load(*images)), parent)


def _trained(processes: int, left: dict[int, Job], data: Shared, parent: "_Parent") -> Results:
    """What comes of the runs that are `left`, of one dataset in one dtype."""
    false_starts = 0  # workers that died with no run, one after another
    while left:
        tasks = (joblib.delayed(_work)(job, data) for job in list(left.values()))
        try:
            with closing(_pool(processes, tasks, parent)) as results:
                for number, outcome in results:
                    false_starts = 0
                    del left[number]
                    # Of a run that ended as another's worker died, only the second answer is heard.
                    yield number, replace(outcome, trained=outcome.trained or number in parent.begun)
        except PicklingError as error:  # of a task, which is small but for the images
            reason = str(error.__cause__ or error).strip(' \n"').splitlines()[-1]
            raise RunError(
                f"the images cannot be laid where worker processes can map them ({reason}). Make room there,"
                " name another folder by JOBLIB_TEMP_FOLDER, or use --jobs 1"
            ) from None
        except BrokenProcessPool:
            for number in parent.begun & left.keys():
                left[number] = replace(left[number], force=False)  # it goes on, it does not begin again
            # joblib ends all workers when one dies; the others' runs are not to blame.
            lost = [number for number in parent.died() if number in left][:1]
            false_starts = 0 if lost else false_starts + 1
            if false_starts == MAX_FALSE_STARTS:
                lost = list(left)
            for number in lost:
                job = left.pop(number)
                reason = "its process was killed, by hand or for want of memory; fewer --jobs need less"
                yield number, Outcome(job.config, job.folder, "failed", trained=True, reason=reason)
        parent.raise_what_went_wrong()


def _pool(processes: int, tasks: Iterator[Any], parent: "_Parent") -> Results:
    """What the tasks return, as they end; however this ends, no worker is left."""
    # max_nbytes: labels are mapped too, not sent with every run; "c": mapped writable, as torch wants
    # it, though nobody writes. One task at a time, so that a kill never costs the results of others.
    # Two workers at least, for joblib would train a single one's runs here, where a kill is a kill of all.
    processes = max(2, processes)
    parallel = joblib.Parallel(
        processes, backend="loky", return_as="generator_unordered", batch_size=1, max_nbytes=1_000, mmap_mode="c",
        initializer=_connect, initargs=(parent.address, parent.key),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        warnings.filterwarnings("ignore", r"\d+ tasks", UserWarning)  # that an early end waits for none is meant
        try:
            with _signals_blocked():  # inherited by the workers: Ctrl-C is for the parent, which stops them
                results = parallel(tasks)
            with closing(results):
                for result in results:
                    yield result
                    parent.raise_what_went_wrong()
        finally:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor(processes, reuse=True).shutdown(kill_workers=True)


class _Parent:
    """The parent's end of the workers' sockets. `with _Parent(report) as parent:`"""

    def __init__(self, report: ReportRun) -> None:
        self.key = secrets.token_bytes(32)
        self._report = report
        self._listener = Listener(("127.0.0.1", 0), backlog=128)
        self.address = self._listener.address
        self.begun: set[int] = set()  # the runs of which anything was heard
        self._died: list[int] = []
        self._listening: list[threading.Thread] = []
        self._closed = False
        self._error: BaseException | None = None

    def __enter__(self) -> "_Parent":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        with suppress(OSError):
            socket.create_connection(self.address).close()  # wakes _accept
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            with suppress(OSError):
                thread = threading.Thread(target=self._listen, args=(self._listener.accept(),), daemon=True)
                thread.start()
                self._listening.append(thread)

    def _listen(self, connection: "Connection[Any, Any]") -> None:
        running = None
        with connection, suppress(EOFError, OSError, AuthenticationError):
            # What a Listener with a key does; here, so that a stranger who says nothing keeps nobody waiting.
            deliver_challenge(connection, self.key)
            answer_challenge(connection, self.key)
            while True:
                running, event = connection.recv()
                if event is not None:
                    self.begun.add(running)
                    self._tell(running, event)
        if running is not None:
            self._died.append(running)

    def _tell(self, number: int, event: Event) -> None:
        try:
            self._report(number, event)
        except BaseException as error:  # stderr is closed, say: no fault of the worker's
            self._error = error

    def raise_what_went_wrong(self) -> None:
        """In the main thread, what went wrong while telling."""
        if self._error is not None:
            raise self._error

    def died(self) -> list[int]:
        """The runs whose workers are gone, in the order in which they went; to be asked when all are."""
        for thread in self._listening:
            thread.join(1)
        died, self._died, self._listening = self._died, [], []
        return died


_connection: "Connection[Any, Any]"  # in a worker: to its parent


def _connect(address: Any, key: bytes) -> None:
    """In a worker, before anything else: tie its life to its parent's."""
    global _connection
    try:
        _connection = Client(address, authkey=key)
    except (OSError, EOFError, AuthenticationError):
        os._exit(1)  # the parent is gone already

    def end_with_the_parent() -> None:
        with suppress(EOFError, OSError):
            _connection.recv()  # it never sends: this returns when it is gone
        os._exit(1)

    threading.Thread(target=end_with_the_parent, daemon=True).start()


def _work(job: Job, data: Shared) -> tuple[int, Outcome]:
    """In a worker: one run."""
    _connection.send((job.number, None))
    outcome = attempt(job, data.loaded(), lambda event: _connection.send((job.number, event)))
    _connection.send((None, None))
    return job.number, outcome


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Processes that are started in the block never see the signals that end a command."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
