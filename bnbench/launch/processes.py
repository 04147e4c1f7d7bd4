"""Many runs at once in worker processes of this machine.

A worker is a Python process that has one end of a socket pair and the open file of the images. It gets one
run at a time, or the runs of one stack, and sends back what each tells and how it ended. The socket ties their
lives together: a worker whose parent is gone ends at once, and a parent sees at once that a worker is gone, and
with which runs. The parent waits for all of them by `multiprocessing.connection.wait`.
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path

import bnbench
from bnbench.config.experiment import Config
from bnbench.data.splits import Pixels
from bnbench.errors import RunError
from bnbench.launch.channel import Channel
from bnbench.launch.images import Shared, loaded, shared
from bnbench.launch.run_one import Job, Outcome, ReportRun, Results, attempt
from bnbench.signals import STOPPING
from bnbench.training.events import Event
from bnbench.training.experiment import Loaded

MAX_FALSE_STARTS = 3  # workers in a row that die before they have started
KILLED = "its process was killed, by hand or for want of memory; fewer --jobs need less"


def in_workers(
    processes: int, work: Sequence[Sequence[Job]], load: Callable[[Config], Loaded], report: ReportRun
) -> Results:
    """Train the runs in `processes` workers; yield what came of each as it ends. Leaves no process behind.

    Each item of `work` is one run, or the runs of a stack, and trains in one worker. If a worker dies, only its
    current run fails; the runs of a stack are tried again in two halves. Raises RunError where the images cannot be
    shared.
    """
    if sys.platform == "win32":
        raise RunError("worker processes need Linux or macOS; use --jobs 1")
    by_images: dict[tuple[str, Pixels], list[Sequence[Job]]] = {}  # one dataset in one form in memory at a time
    for jobs in work:
        by_images.setdefault((jobs[0].config.data.dataset, Pixels.of(jobs[0].config)), []).append(jobs)
    for same in by_images.values():
        with shared(load(same[0][0].config)) as images:
            yield from _train(min(processes, len(same)), same, images, report)


def _train(processes: int, work: Sequence[Sequence[Job]], images: Shared, report: ReportRun) -> Results:
    waiting = deque(work)
    workers: dict[socket.socket, _Worker] = {}
    false_starts = 0
    try:
        while waiting or any(worker.jobs for worker in workers.values()):
            while waiting and len(workers) < processes:
                worker = _Worker(images)
                workers[worker.channel.socket] = worker
                worker.give(waiting.popleft())
            for ready in wait(list(workers)):
                worker = workers[ready]  # type: ignore[index]  # wait() gives back what it was given
                try:
                    message = worker.channel.receive()
                except (EOFError, OSError):
                    del workers[worker.channel.socket]
                    worker.end()
                    if not (jobs := list(worker.jobs.values())):
                        continue
                    false_starts = 0 if worker.started else false_starts + 1
                    if not worker.started and false_starts < MAX_FALSE_STARTS:
                        waiting.appendleft(jobs)
                    elif len(jobs) > 1:
                        waiting.extendleft((jobs[len(jobs) // 2 :], jobs[: len(jobs) // 2]))
                    else:
                        false_starts = 0
                        (job,) = jobs
                        yield job.number, Outcome(job.config, job.folder, "failed", trained=True, reason=KILLED)
                    continue
                if message is None:
                    worker.started, false_starts = True, 0
                    continue
                number, said = message
                if not isinstance(said, Outcome):
                    if number in worker.jobs:
                        report(number, said)
                    continue
                del worker.jobs[number]
                if not worker.jobs and waiting:
                    worker.give(waiting.popleft())
                yield number, said
    finally:
        for worker in workers.values():
            worker.end()


class _Worker:
    """A worker process as its parent sees it: its channel, the runs that it has, and whether it has started."""

    def __init__(self, images: Shared) -> None:
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        self.jobs: dict[int, Job] = {}  # by their numbers
        self.started = False
        paths = [str(Path(bnbench.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        # -P: no file in the current folder replaces a module. PYTHONPATH: bnbench may not be installed.
        command = [sys.executable, "-P", "-c", "from bnbench.launch.processes import main; main()"]
        with theirs, _signals_blocked():  # inherited: Ctrl-C is for the parent, which then stops the workers
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), images.file),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            )
        with suppress(OSError):  # it died already: receive() will say so
            self.channel.send(images)

    def give(self, jobs: Sequence[Job]) -> None:
        self.jobs = {job.number: job for job in jobs}
        with suppress(OSError):
            self.channel.send(list(jobs))

    def end(self) -> None:
        self.channel.close()
        self._process.kill()
        self._process.wait()


def main() -> None:
    """A worker: `python -c "..." DESCRIPTOR`, the descriptor of its socket."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    received: queue.SimpleQueue[Shared | list[Job]] = queue.SimpleQueue()

    def receive() -> None:
        try:
            while True:
                received.put(channel.receive())
        except (EOFError, OSError):
            os._exit(1)  # the parent is gone

    def send(message: tuple[int, Event | Outcome] | None) -> None:
        try:
            channel.send(message)
        except OSError:
            os._exit(1)

    threading.Thread(target=receive, daemon=True).start()
    images = received.get()
    assert isinstance(images, Shared)
    data = loaded(images)
    send(None)
    while True:
        jobs = received.get()
        assert isinstance(jobs, list)
        for outcome in attempt(jobs, data, lambda number, event: send((number, event))):
            send(outcome)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Processes that are started in the block never see the signals that end a command."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
