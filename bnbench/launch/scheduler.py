"""The connection to a Dask scheduler: found in time, with workers of the same versions, and left in time."""

import logging
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import version
from threading import Thread
from typing import Any, TypeVar

from bnbench.errors import ConfigError, RunError

try:
    import distributed
except ImportError:
    raise ConfigError("--cluster needs Dask: pip install -e '.[cluster]'") from None

CONNECT_SECONDS = 10
CLOSE_SECONDS = 0.7  # for each of two farewells: a command ends within 2 s of a signal
MAX_GREETING = 1_000_000  # bytes
VERSIONS = ("bnbench", "torch")  # of which every machine must have the same: the bytes depend on them
T = TypeVar("T")


def _greet(host: str, port: int) -> None:
    """Raise OSError or Late where no scheduler speaks. A client that finds none does not go away quietly.

    A scheduler speaks first: eight bytes, the length of its greeting.
    """
    with socket.create_connection((host, port), timeout=CONNECT_SECONDS) as connection:
        try:
            with connection.makefile("rb") as stream:
                length = stream.read(8)
        except TimeoutError:
            raise Late from None
    if len(length) < 8 or int.from_bytes(length, "little") > MAX_GREETING:
        raise Late("another program listens there")


class Late(Exception):
    """Dask has not answered in time, or another program has."""

    def __str__(self) -> str:
        return super().__str__() or f"a program listens there and has said nothing for {CONNECT_SECONDS} s"


def within(seconds: float, ask: Callable[[], T]) -> T:
    """The answer of `ask`, which a thread of its own gets: Dask may wait without end for a scheduler that is silent.

    Raises Late after `seconds`, and the errors of `ask`. A signal ends the wait at once. The thread that is left
    ends with the process.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=work, name="Dask", daemon=True).start()
    if not wait([answer], seconds).done:
        raise Late
    return answer.result()


@contextmanager
def client_of(address: str) -> Iterator[Any]:
    """A client of the scheduler. It has at least one worker, and the versions of this machine."""
    advice = "Start one: dask scheduler, and on each machine: dask worker"
    match = re.fullmatch(r"tcp://(?:\[([0-9a-fA-F:]+)\]|([\w.-]+)):(\d{1,5})", address)
    if match is None:
        raise ConfigError(f"--cluster {address}: is not a scheduler's address, as in tcp://host:8786")
    logging.disable()  # what Dask would say, the outcomes say
    try:
        _greet(match[1] or match[2], int(match[3]))
        client = within(CONNECT_SECONDS, partial(distributed.Client, address, set_as_default=False))
    except (Late, OSError, OverflowError) as error:  # TimeoutError is an OSError
        logging.disable(logging.NOTSET)
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise RunError(f"no Dask scheduler answers at {address} ({reason}). {advice} {address}") from None
    try:
        try:
            within(2 * CONNECT_SECONDS, partial(client.wait_for_workers, 1, timeout=CONNECT_SECONDS))
        except (TimeoutError, Late):
            raise RunError(
                f"the scheduler at {address} has no workers. On each machine: dask worker {address}"
            ) from None
        same_versions(within(CONNECT_SECONDS, partial(client.get_versions, packages=VERSIONS)))
        yield client
    except Late:
        raise RunError(f"the scheduler at {address} stopped answering. Run the same command again") from None
    finally:
        with suppress(OSError, Late):
            within(CLOSE_SECONDS, client.close)
        logging.disable(logging.NOTSET)


def same_versions(there: dict[str, Any]) -> None:
    for place, about in {"the scheduler": there["scheduler"], **there["workers"]}.items():
        for package in VERSIONS:
            found = about["packages"].get(package)
            if found != version(package):
                raise RunError(
                    f"{place} of the cluster has {package} {found or 'not at all'}, here it is {version(package)};"
                    " install the same versions on all machines, because the numbers depend on them"
                )
