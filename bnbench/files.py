"""Files that are either old or new, never half; and reads that are bounded."""

import errno
import os
import stat
from pathlib import Path

from bnbench.errors import RunError


def write_atomic(path: Path, contents: bytes) -> None:
    """Replace `path` as a whole: write beside it, sync, rename. A power cut leaves old or new (see sync_folder).

    Raises OSError and leaves `path` as it was.

    What is there and is no regular file (a device, a pipe) is never replaced; of a link, what it points to is.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "is there and is not a regular file", str(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last: after it, what was renamed before it is there. Only POSIX opens folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unwritable(path: Path, error: OSError) -> RunError:
    """That `path` cannot be written, why, and what to do."""
    if error.errno in (errno.ENOENT, errno.ESTALE) and not path.parent.exists():
        return RunError(f"{path} cannot be written: its folder has vanished. The same command makes it again")
    advice = "Make room, or choose" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Choose"
    return RunError(f"{path} cannot be written: {error.strerror}. {advice} another --out")


def read_bounded(path: Path, limit: int) -> bytes:
    """The contents of a regular file of at most `limit` bytes.

    Raises OSError where it cannot be read, ValueError where it is larger or not a regular file
    (a pipe would never end).
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is not a regular file")
    with path.open("rb") as file:
        contents = file.read(limit + 1)
    if len(contents) > limit:
        raise ValueError(f"is larger than {limit:,} bytes")
    return contents
