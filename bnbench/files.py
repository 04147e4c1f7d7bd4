"""Atomic writes (a file is old or new, never partial) and bounded reads."""

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from bnbench.errors import RunError


def write_atomic(path: Path, contents: bytes) -> None:
    """Replace `path` as a whole: write a temporary file in its folder, sync it, rename it.

    After a power cut, the file is old or new (see also sync_folder). If `path` is a link, the link is replaced
    and its target stays as it is. Raises OSError, and then leaves `path` unchanged; also where it is a device, a
    pipe or a folder.
    """
    if path.exists() and not path.is_symlink() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "is not a regular file", str(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _opened(temporary) as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _opened(temporary: Path) -> BinaryIO:
    """A new file, never what a link points to. A file that a killed process with this number left is replaced."""
    try:
        return temporary.open("xb")
    except FileExistsError:
        temporary.unlink()
        return temporary.open("xb")


def sync_folder(folder: Path) -> None:
    """Make earlier renames in a folder survive a power cut. Only POSIX systems can do this. Raises OSError."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unwritable(path: Path, error: OSError) -> RunError:
    """An error that says why `path` cannot be written and what to do."""
    if error.errno in (errno.ENOENT, errno.ESTALE) and not path.parent.exists():
        return RunError(f"{path} cannot be written: its folder has vanished. Run the same command again to make it")
    advice = "Make room, or choose" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Choose"
    return RunError(f"{path} cannot be written: {error.strerror}. {advice} another --out")


def read_bounded(path: Path, limit: int) -> bytes:
    """The contents of a regular file of at most `limit` bytes.

    Raises OSError where it cannot be read, and ValueError where it is larger or not a regular file (reading a
    pipe would never end).
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is not a regular file")
    with path.open("rb") as file:
        contents = file.read(limit + 1)
    if len(contents) > limit:
        raise ValueError(f"is larger than {limit:,} bytes")
    return contents


def check_writable(out: Path) -> None:
    """Raise RunError if nothing can be written at or below `out`, which may not exist yet. Leaves no file."""
    place = out
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise unwritable(out, error) from None
