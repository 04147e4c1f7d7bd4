"""One writer a run's folder: a lock that its process holds, and that dies with it.

The lock is the operating system's on the file `.lock` in the folder (flock, through filelock), so a
killed process leaves none behind; what is in the file only says to others who holds it.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from bnbench.errors import RunError
from bnbench.files import read_bounded, unwritable

NAME = ".lock"


class Held(RunError):
    """Another process is writing this run."""


@contextmanager
def hold(folder: Path, holder: str) -> Iterator[None]:
    """Be the only writer of a run's folder, which is made; `holder` says to others who that is.

    Raises Held at once where another process is it, RunError where the folder cannot be written.
    """
    path = folder / NAME
    # thread_local: what a cluster finished is written by another thread than the one that took the lock.
    # No fallback: where there is no flock, a file of our own would stay behind after a kill, and block.
    lock = FileLock(path, blocking=False, thread_local=False, fallback_to_soft=False)
    # The outer try spans the acquiring: a signal may raise between any two lines once the lock is held.
    try:
        _acquire(lock, folder, path)
        ours = _identity(path)
        try:
            with suppress(OSError):  # a full disk; the lock itself stands
                path.write_text(holder)
            yield
        finally:
            _remove(path, ours)
    finally:
        _release(lock)


def is_locked(folder: Path) -> bool:
    """Whether there is a lock, be it held or left by a killed process."""
    return (folder / NAME).exists()


def held_by(folder: Path) -> str | None:
    """Who is writing a run's folder, None for nobody. Leaves nothing behind."""
    path = folder / NAME
    if not path.exists():
        return None
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        try:
            lock.acquire()
        except Timeout:
            return _holder(path) or "another command"
        except OSError:
            return None
        _remove(path, _identity(path))  # it was a dead process's, or has just been made anew here
    finally:
        _release(lock)
    return None


def _acquire(lock: BaseFileLock, folder: Path, path: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise Held(f"{folder} is being trained by {_holder(path) or 'another command'}") from None
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise RunError(
                f"{path} cannot be locked: {error.strerror}. Choose another --out, on another disk"
            ) from None
        raise unwritable(folder, error) from None


def _remove(path: Path, ours: tuple[int, int] | None) -> None:
    # Removed while still held: whoever has opened the old file finds it unlinked and opens anew. Where the
    # folder was deleted meanwhile and made again, another's lock may be in it by now.
    if _identity(path) == ours:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _release(lock: BaseFileLock) -> None:
    """Release the lock, also where a signal raises on the way; nothing happens where it is not held."""
    try:
        lock.release(force=True)
    finally:
        if lock.is_locked:
            lock.release(force=True)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _holder(path: Path) -> str:
    try:
        return read_bounded(path, 1_000).decode()
    except (OSError, ValueError):
        return ""
