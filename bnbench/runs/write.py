"""Writes a run's folder, in the format of format.py. A reader sees each file either old or new, never partial."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bnbench.config.base import flat
from bnbench.config.experiment import Config
from bnbench.config.strict_yaml import dump
from bnbench.errors import ResultsError, RowsError, RunError
from bnbench.files import sync_folder, unwritable, write_atomic
from bnbench.runs.evaluations import Evaluation, table
from bnbench.runs.format import (
    CHECKPOINT,
    CONTINUE,
    EVALUATIONS,
    FILES,
    FINISHED,
    METRICS,
    MISTAKES,
    SCHEMA_VERSION,
    TIMING,
    UNFINISHED,
    EpochRow,
    final_metrics,
    read_json,
    read_run,
    run_config,
)


def run_folder(out: Path, config: Config) -> Path:
    """The folder of a run with one seed: out/name/seed-n."""
    return out / config.name / f"seed-{config.seed}"


def refuse_links(folder: Path) -> None:
    """Raise RunError if a run's folder, or its arm's, is a link: nothing is written outside the results folder."""
    for place in (folder.parent, folder):
        if place.is_symlink():
            raise RunError(
                f"{place} is a link, and bnbench writes nothing outside the results folder. Move the link away, or"
                " choose another --name or --out"
            )


def existing_status(folder: Path, config: Config) -> str | None:
    """The status of the run in `folder`, or None if there is no run.

    Raises RunError if the run has another arm or seed than `config`, or cannot be read.
    """
    if not (folder / "run.json").exists():  # it is removed first and written last
        return None
    try:
        there = Config.of_run(run_config(folder)).arm()  # keys that are newer than the run get their defaults
        seed, status = _seed_and_status(folder)
    except (ResultsError, ValidationError) as error:
        reason = f": {error}" if isinstance(error, ResultsError) else ""
        raise RunError(
            f"{folder} holds something that is not a readable run{reason}. Move it away, choose another --name or"
            " --out, or use --force to replace it"
        ) from None
    differences = _differences({"seed": seed, **there}, {"seed": config.seed, **config.arm()})
    if differences:
        shown = "; ".join(differences[:5]) + ("; …" if len(differences) > 5 else "")
        raise RunError(
            f"{folder} holds a run of another config ({shown}); choose another --name or --out,"
            " or use --force to replace it"
        )
    return status


def _seed_and_status(folder: Path) -> tuple[int, str]:
    """Of a run that can be read, or of an unfinished one whose tables are damaged: its checkpoint has their rows."""
    try:
        run = read_run(folder)
    except RowsError:
        about = read_json(folder)
        if about.get("status") not in UNFINISHED:
            raise
        return int(about["seed"]), str(about["status"])
    return run.seed, run.status


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """`key is X there, Y here` for every key whose value differs."""
    absent = "not set"
    flat_there, flat_here = flat(there), flat(here)
    pairs = {key: (flat_there.get(key, absent), flat_here.get(key, absent)) for key in {**flat_here, **flat_there}}
    return [f"{key} is {old} there, {new} here" for key, (old, new) in pairs.items() if old != new]


class RunWriter:
    """Writes one run's folder. Every method raises RunError, which names the path, where it cannot write."""

    def __init__(self, folder: Path, config: Config, about: dict[str, Any]) -> None:
        """`about` is copied into run.json: dataset, split, parameters, provenance."""
        self.folder = folder
        self._rows: list[EpochRow] = []
        self._config = config
        self._json: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "status": "running",
            "name": config.name,
            "seed": config.seed,
            "digest": config.digest(),
            "epochs": config.train.epochs,
            "smoke": config.smoke,
            "config": config.model_dump(mode="json"),  # a copy, for speed: reading YAML takes 4 ms a run
            **about,
            "started": _now(),
            "ended": None,
            "final": None,
        }

    def start(self, rows: Sequence[EpochRow] = (), *, continued: Path | None = None) -> None:
        """Make the folder and remove any earlier run from it, then write the files of a run with no epochs.

        `rows` are those of the shorter run in the folder `continued`, if the run continues one.
        """
        self._rows = list(rows)
        if continued is not None:
            self._json["continued_from"] = {"run": "/".join(continued.parts[-2:]), "epochs": len(rows)}
        try:
            _empty(self.folder)
        except OSError as error:
            raise unwritable(self.folder, error) from None
        self._write_all()

    def resume(self, rows: Sequence[EpochRow]) -> None:
        """Resume after `rows`, which come from the checkpoint: after a kill, the CSVs may be one epoch behind."""
        try:
            _sweep(self.folder)
        except OSError as error:
            raise unwritable(self.folder, error) from None
        before = read_json(self.folder)
        earlier = before.get("resumed_after")
        self._rows = list(rows)
        self._json["started"] = before.get("started")
        if "continued_from" in before:
            self._json["continued_from"] = before["continued_from"]
        self._json["resumed_after"] = [*(earlier if isinstance(earlier, list) else []), len(rows)]
        self._write_all()

    def _write_all(self) -> None:
        self._write("config.yaml", dump(self._config.model_dump(mode="json")).encode())
        self._write_rows()
        self._write("run.json", _dump_json(self._json))
        self._sync()

    def _write_rows(self) -> None:
        self._write("metrics.csv", _dump_csv(METRICS, self._rows))
        self._write("timing.csv", _dump_csv(TIMING, self._rows))

    def add(self, row: EpochRow, checkpoint: bytes) -> None:
        """Write the checkpoint after an epoch, then the CSVs with its row."""
        self._rows.append(row)
        self._write(CHECKPOINT, checkpoint)
        self._write_rows()
        self._sync()

    def finish(
        self,
        status: str,
        *,
        weights: bytes | None = None,
        end: bytes | None = None,
        mistakes: Sequence[tuple[int, int, int]] | None = None,
        test: dict[str, float] | None = None,
        evaluations: Mapping[str, Evaluation] | None = None,
        engine: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> None:
        """Write the weights, `end` (continue.pt), the mistakes (MISTAKES, sorted by image), the evaluations and the
        test metrics, then the final status.

        `engine` is the entry of run.json: its name, and the number of networks that shared the training time.
        The checkpoint is removed if the run is finished; a failed run can resume from it.
        """
        if weights is not None:
            self._write("model.pt", weights)
        if end is not None:
            self._write(CONTINUE, end)
        if mistakes is not None:
            rows = [",".join(map(str, row)) for row in mistakes]
            self._write("mistakes.csv", "\n".join([",".join(MISTAKES), *rows, ""]).encode())
        if evaluations is not None:
            self._write(EVALUATIONS, table(evaluations))
        self._json["test"] = test
        if engine is not None:
            self._json["engine"] = engine
        self._json["status"] = status
        self._json["ended"] = _now()
        if reason is not None:
            self._json["reason"] = reason
        if self._rows:
            self._json["final"] = final_metrics(self._rows[-1])
        self._sync()  # all other files must be on the disk before the status is
        self._write("run.json", _dump_json(self._json))
        self._sync()
        if status in FINISHED:
            sweep(self.folder)

    def _sync(self) -> None:
        try:
            sync_folder(self.folder)
        except OSError as error:
            raise unwritable(self.folder, error) from None

    def _write(self, name: str, contents: bytes) -> None:
        try:
            write_atomic(self.folder / name, contents)
        except OSError as error:
            raise unwritable(self.folder / name, error) from None


def has_leftovers(folder: Path) -> bool:
    """Whether the folder of a finished run has files that it no longer needs."""
    return (folder / CHECKPOINT).exists() or any(_temporary(folder))


def sweep(folder: Path) -> None:
    """Remove the files that a finished run no longer needs, where possible."""
    with suppress(OSError):  # a finished run may be in a read-only folder
        (folder / CHECKPOINT).unlink(missing_ok=True)
        _sweep(folder)


def mark_interrupted(folder: Path) -> None:
    """Set the status of a run that is "running" to "interrupted". Raises RunError where run.json cannot be written."""
    with suppress(ResultsError):  # it was killed before run.json was written
        about = read_json(folder)
        if about.get("status") == "running":
            about |= {"status": "interrupted", "ended": _now()}
            try:
                write_atomic(folder / "run.json", _dump_json(about))
            except OSError as error:
                raise unwritable(folder / "run.json", error) from None


def adopt(folder: Path, files: dict[str, bytes]) -> None:
    """Write a run that was trained elsewhere. run.json comes last, so a partial run has none. Raises RunError."""
    try:
        _empty(folder)
        for name in files.keys() - {"run.json"}:
            write_atomic(folder / name, files[name])
        sync_folder(folder)
        write_atomic(folder / "run.json", files["run.json"])
        sync_folder(folder)
    except OSError as error:
        raise unwritable(Path(error.filename or folder), error) from None


def _empty(folder: Path) -> None:
    """Make a folder and remove any earlier run from it."""
    folder.mkdir(parents=True, exist_ok=True)
    # run.json goes first. A folder without it is not a run, so after a kill nothing is read or resumed.
    for leftover in ("run.json", CHECKPOINT, *FILES):
        (folder / leftover).unlink(missing_ok=True)
    _sweep(folder)


def _temporary(folder: Path) -> Iterator[Path]:
    """The temporary files that killed writers left."""
    return folder.glob(".*.tmp")


def _sweep(folder: Path) -> None:
    """Remove the temporary files of killed writers."""
    for leftover in list(_temporary(folder)):
        leftover.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _dump_json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def _dump_csv(header: Sequence[str], rows: Sequence[EpochRow]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([repr(getattr(row, name)) for name in header])  # repr: the shortest exact digits
    return text.getvalue().encode()
