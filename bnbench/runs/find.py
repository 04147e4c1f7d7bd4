"""Finds the runs below a path. It never loops, and it notes every folder that cannot be read."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bnbench.config.naming import base_name
from bnbench.config.problems import closest
from bnbench.errors import ResultsError
from bnbench.runs.format import read_json
from bnbench.runs.notes import Kind, Note

SHOWN = 5  # names in a message
RUNS = ("seed-*/run.json", "*/seed-*/run.json")  # in the folder of an arm, and in a results folder


def refuse_missing(paths: Sequence[Path]) -> None:
    """Raise ResultsError, which names every path that is not a folder, and what may be meant."""
    problems = []
    for path in paths:
        with suppress(OSError):  # find_runs notes what cannot be read
            if not path.exists():
                problems.append(f"{path}: no such folder; {_instead(path)}")
            elif not path.is_dir():
                problems.append(f"{path}: is a file; name a run's folder, or one above it")
    if problems:
        raise ResultsError("\n".join(problem.replace("\n", "\\n") for problem in problems))


def _instead(path: Path) -> str:
    """What a person may mean by a folder that is not there: a similar name, what is beside it, or no run is there."""
    beside = sorted(there.name for there in path.parent.iterdir() if there.is_dir()) if path.parent.is_dir() else []
    names = [name for name in beside if not name.startswith(".")]
    if close := closest(path.name, names):
        return f"did you mean {path.parent / close}?"
    if path.parent == Path() and "results" in names:
        return "the results folder here is results"
    if holds_runs(path.parent):
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"{path.parent} has {', '.join(names[:SHOWN])}{more}"
    return "run something first: bnbench run configs/mlp_bn.yaml"


def holds_runs(folder: Path) -> bool:
    """Whether a folder is that of an arm, or a results folder; False where it cannot be read."""
    try:
        return any(True for depth in RUNS for _ in folder.glob(depth))
    except OSError:
        return False


def find_runs(paths: Sequence[Path], notes: list[Note]) -> Iterator[Path]:
    """Yield each run folder (a folder with a run.json) at or below the paths once, sorted below each path.

    Paths without a run and folders that cannot be read are added to `notes`. Links to folders are not followed, so
    there are no loops. Hidden folders hold no runs.
    """
    seen = set()
    for path in paths:
        found = False
        unread = len(notes)

        def unreadable(error: OSError) -> None:
            notes.append(Note(Kind.UNREADABLE, f"left out, unreadable: {error.filename}: {error.strerror}"))

        for folder, subfolders, files in os.walk(path, onerror=unreadable):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))  # hidden: no runs
            real = Path(folder).resolve()
            if "run.json" in [*files, *subfolders]:
                found = True
                if real not in seen:
                    seen.add(real)
                    yield Path(folder)
        if not found and len(notes) == unread:
            notes.append(Note(Kind.NOT_FOUND, f"{path}: holds no run"))


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
