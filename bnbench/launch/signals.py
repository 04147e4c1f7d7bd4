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

    # One that is ignored, as nohup does with SIGHUP, stays so; but SIGINT, which a script's background jobs ignore.
    heeded = [s for s in STOPPING if s == signal.SIGINT or signal.getsignal(s) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():  # what is left after a stop is to say so
            signal.signal(number, handler if stopped is None else signal.SIG_IGN)
