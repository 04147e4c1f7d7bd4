"""Finds the runs below a path. It never loops, and it notes every folder that cannot be read."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bnbench.config.naming import base_name
from bnbench.errors import ResultsError
from bnbench.runs.format import read_json
from bnbench.runs.notes import Kind, Note


def find_runs(paths: Sequence[Path], notes: list[Note]) -> Iterator[Path]:
    """Yield each run folder (a folder with a run.json) at or below the paths once, sorted below each path.

    Paths that do not exist and folders that cannot be read are added to `notes`. Links to folders are not
    followed, so there are no loops.
    """
    seen = set()
    for path in paths:
        try:
            if not path.exists():
                notes.append(
                    Note(
                        Kind.NOT_FOUND, f"{path}: no such folder; run something first: bnbench run configs/mlp_bn.yaml"
                    )
                )
                continue
            if not path.is_dir():
                notes.append(Note(Kind.NOT_FOUND, f"{path}: is a file; name a run's folder, or one above it"))
                continue
        except OSError as error:
            notes.append(Note(Kind.UNREADABLE, f"left out, unreadable: {path}: {error.strerror}"))
            continue

        def unreadable(error: OSError) -> None:
            notes.append(Note(Kind.UNREADABLE, f"left out, unreadable: {error.filename}: {error.strerror}"))

        for folder, subfolders, files in os.walk(path, onerror=unreadable):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))  # hidden: no runs
            real = Path(folder).resolve()
            if "run.json" in [*files, *subfolders] and real not in seen:
                seen.add(real)
                yield Path(folder)


def arms_by_digest(out: Path, base: str) -> dict[str, str]:
    """The digest of each arm in `out` whose folder is called `base`, with or without a suffix, and the folder's name.

    One run of each folder is read.
    """
    found: dict[str, str] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(out) if base_name(entry.name) == base)
        for name in names:
            for run in sorted((out / name).glob("seed-*/run.json"))[:1]:
                with suppress(ResultsError):
                    found.setdefault(str(read_json(run.parent).get("digest")), name)
    except OSError:
        return found
    return found
