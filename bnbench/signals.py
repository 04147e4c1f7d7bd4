"""The signals that stop a command cleanly: Ctrl-C, SIGTERM, and SIGHUP, which a closed terminal sends. And the alarm
that stops a person's code.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PATIENCE = 2.0  # seconds to stop cleanly; a signal after that stops the process at once


class Stop(KeyboardInterrupt):
    """A signal stops the command. This is a KeyboardInterrupt, so `except Exception` in libraries does not catch it."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


class TimeIsUp(BaseException):
    """The time limit is over. This is not an Exception, so `except Exception` in a person's code does not catch it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp if the block runs longer, at the line that it has reached.

    There is no limit outside the main thread and on Windows, which have no alarm.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_: int, __: FrameType | None) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def stop_at_once() -> Iterator[None]:
    """Exit at the first signal while the block runs. Use it for heavy imports, when there is nothing to save.

    An exception inside torch's C++ initialization would abort the process with a dump.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, _: FrameType | None) -> None:
        os.write(2, f"bnbench: stopped by {signal_name(signum)}\n".encode())
        os._exit(128 + signum)

    before = {number: signal.signal(number, stop) for number in _heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def signal_name(signum: int) -> str:
    """The signal's name in messages: Ctrl-C or, for example, SIGTERM."""
    return "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name


def _heeded() -> list[signal.Signals]:
    """The signals to handle: those that are not ignored (nohup ignores SIGHUP), and always SIGINT.

    A shell makes its background jobs ignore SIGINT.
    """
    return [number for number in STOPPING if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]


@contextmanager
def signals_raise() -> Iterator[None]:
    """Raise Stop in the main thread at the first signal while the block runs. Ignore later ones for PATIENCE."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped = None

    def stop(signum: int, _: FrameType | None) -> None:
        nonlocal stopped
        if stopped is None:
            stopped = time.monotonic()
            raise Stop(signum)
        if time.monotonic() - stopped > PATIENCE:  # a hanging disk can block the clean stop
            os._exit(128 + signum)

    before = {number: signal.signal(number, stop) for number in _heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():  # after a stop, only the last message remains to be printed
            signal.signal(number, handler if stopped is None else signal.SIG_IGN)
