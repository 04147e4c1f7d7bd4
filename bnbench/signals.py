"""The signals that end a command in order: Ctrl-C, SIGTERM, and SIGHUP, a closed terminal's."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PATIENCE = 2.0  # seconds for an ending in order; a signal after that ends at once


class Stop(KeyboardInterrupt):
    """A signal that ends the command; like KeyboardInterrupt, no library's `except Exception` swallows it."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


@contextmanager
def stop_at_once() -> Iterator[None]:
    """End the command at the first of the signals: for heavy imports, where there is nothing to save.

    Inside the C++ start of torch, an exception would abort the process with a dump.
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
    return "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name


def _heeded() -> list[signal.Signals]:
    """One that is ignored, as nohup does with SIGHUP, stays so; except SIGINT, which background jobs ignore."""
    return [number for number in STOPPING if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]


@contextmanager
def signals_raise() -> Iterator[None]:
    """The first of the signals raises Stop in the main thread while the block runs; what follows waits for its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped = None

    def stop(signum: int, _: FrameType | None) -> None:
        nonlocal stopped
        if stopped is None:
            stopped = time.monotonic()
            raise Stop(signum)
        if time.monotonic() - stopped > PATIENCE:  # a disk that hangs
            os._exit(128 + signum)

    before = {number: signal.signal(number, stop) for number in _heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():  # what is left after a stop is to say so
            signal.signal(number, handler if stopped is None else signal.SIG_IGN)
