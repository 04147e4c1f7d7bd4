"""A lock that allows one writer for each run's folder.

The operating system holds the lock on the file `.lock` in the folder (flock, through filelock), so it is
released when its process is killed. The text in the file only tells others who holds the lock.
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
    """Another process is writing this run; the message says which."""


@contextmanager
def hold(folder: Path, holder: str) -> Iterator[None]:
    """Be the only writer of a run's folder while the block runs; make the folder. `holder` tells others who it is.

    Raises Held at once where another process holds the lock, and RunError where the folder cannot be written
    or locked.
    """
    path = folder / NAME
    with suppress(OSError):
        if path.is_symlink():  # to a file that is not ours to write
            path.unlink()
    # thread_local=False: with a cluster, one thread takes the lock and another writes the finished run.
    # No fallback: without flock, filelock would make a file that stays after a kill and blocks every later run.
    lock = FileLock(path, blocking=False, thread_local=False, fallback_to_soft=False)
    # `_acquire` is inside the outer try, because a signal may raise between any two lines once the lock is held.
    try:
        _acquire(lock, folder, path)
        ours = _identity(path)
        try:
            with suppress(OSError):  # on a full disk, the lock still holds
                path.write_text(holder)
            yield
        finally:
            _remove(path, ours)
    finally:
        _release(lock)


def is_locked(folder: Path) -> bool:
    """Whether there is a lock file, held or left by a killed process."""
    return (folder / NAME).exists()


def held_by(folder: Path) -> str | None:
    """Who is writing a run's folder, or None if nobody is. Leaves no lock file."""
    path = folder / NAME
    if path.is_symlink() or not path.exists():
        return None
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        try:
            lock.acquire()
        except Timeout:
            return _holder(path) or "another command"
        except OSError:
            return None
        _remove(path, _identity(path))  # a dead process left it, or `acquire` has just made it
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
    # The file is removed while it is still locked: a process that has opened it finds it unlinked and opens a new
    # one. If the folder was deleted and made again meanwhile, the file may be another process's lock.
    if _identity(path) == ours:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _release(lock: BaseFileLock) -> None:
    """Release the lock if it is held, even if a signal raises meanwhile."""
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
