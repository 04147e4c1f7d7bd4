"""Finds the runs below a path. It never loops, and it notes every folder that cannot be read."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

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
            subfolders.sort()
            real = Path(folder).resolve()
            if "run.json" in [*files, *subfolders] and real not in seen:
                seen.add(real)
                yield Path(folder)
