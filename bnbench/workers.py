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
from functools import lru_cache
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pickle import PicklingError
from typing import Any

import joblib
import numpy as np
import torch

from bnbench.attempt import Job, Outcome, ReportRun, Results, attempt
from bnbench.data import Normalized, Split
from bnbench.errors import RunError
from bnbench.experiment import Loaded

MAX_FALSE_STARTS = 3
SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    """
    left = {job.number: job for job in jobs}

    @lru_cache(maxsize=1)  # the same arrays again, for joblib knows them by identity
    def share(dataset: str, dtype: str) -> Shared:
        return Shared.of(load(dataset, dtype))

    before_training = 0  # workers that died with no run
    with _Parent(report) as parent:
        while left:
            tasks = (
                joblib.delayed(_work)(job, share(job.config.data.dataset, job.config.dtype))
                for job in list(left.values())
            )
            try:
                with closing(_pool(processes, tasks, parent)) as results:
                    for number, outcome in results:
                        del left[number]
                        # Of a run that ended as another's worker died, only the second answer is heard.
                        yield number, replace(outcome, trained=outcome.trained or number in parent.begun)
            except PicklingError as error:  # of a task, which is small but for the images
                reason = str(error.__cause__).strip(' \n"').splitlines()[-1]
                raise RunError(
                    f"the images cannot be laid where worker processes can map them ({reason}). Make room there,"
                    " name another folder by JOBLIB_TEMP_FOLDER, or use --jobs 1"
                ) from None
            except BrokenProcessPool:
                for number in parent.begun & left.keys():
                    left[number] = replace(left[number], anew=False)  # it goes on, it does not begin again
                # joblib ends all workers when one dies; the others' runs are not to blame.
                lost = [number for number in parent.died() if number in left][:1]
                before_training += not lost
                if before_training == MAX_FALSE_STARTS:
                    lost = list(left)
                for number in lost:
                    job = left.pop(number)
                    reason = "its process was killed, by hand or for want of memory; fewer --jobs need less"
                    yield number, Outcome(job.config, job.folder, "failed", trained=True, reason=reason)


def _pool(processes: int, tasks: Iterator[Any], parent: "_Parent") -> Results:
    """What the tasks return, as they end; however this ends, no worker is left."""
    # max_nbytes: labels are mapped too, not sent with every run; "c": mapped writable, as torch wants
    # it, though nobody writes. One task at a time, so that a kill never costs the results of others.
    parallel = joblib.Parallel(
        processes, backend="loky", return_as="generator_unordered", batch_size=1, max_nbytes=1_000, mmap_mode="c",
        initializer=_connect, initargs=(parent.address, parent.key),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        warnings.filterwarnings("ignore", r"\d+ tasks", UserWarning)  # that an early end waits for none is meant
        with _signals_blocked():  # the workers inherit that: Ctrl-C is for the parent, which stops them
            results = parallel(tasks)
        try:
            yield from results
        finally:
            results.close()
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor(processes, reuse=True).shutdown(kill_workers=True)


class _Parent:
    """The parent's end of the workers' sockets. `with _Parent(report) as parent:`"""

    def __init__(self, report: ReportRun) -> None:
        self.key = secrets.token_bytes(32)
        self._report = report
        self._listener = Listener(("127.0.0.1", 0), backlog=128, authkey=self.key)
        self.address = self._listener.address
        self.begun: set[int] = set()  # the runs of which anything was heard
        self._died: list[int] = []
        self._listening: list[threading.Thread] = []
        self._closed = False

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
            try:
                connection = self._listener.accept()
            except (OSError, EOFError, AuthenticationError):  # a stranger, or a worker that died on its way in
                continue
            thread = threading.Thread(target=self._listen, args=(connection,), daemon=True)
            self._listening.append(thread)
            thread.start()

    def _listen(self, connection: "Connection[Any, Any]") -> None:
        running = None
        with connection, suppress(EOFError, OSError):
            while True:
                running, event = connection.recv()
                if event is not None:
                    self.begun.add(running)
                    self._report(running, event)
        if running is not None:
            self._died.append(running)

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
    except OSError:
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
    """Hold SIGINT and SIGTERM back while the block runs; processes started in it never see them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
