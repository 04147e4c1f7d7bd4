"""The format of a run on disk, and functions that read it. write.py writes it. No torch here.

    results/<name>/seed-<n>/
      config.yaml   the resolved config with every default; `bnbench run` accepts it
      metrics.csv   METRICS, one row for each epoch; every rerun writes the same bytes
      timing.csv    TIMING, one row for each epoch
      mistakes.csv  MISTAKES, one row for each test image that the final network misclassifies
      evaluations.csv  only if the config has evaluations: one row for each (evaluations.py)
      run.json      status, config and its digest, data, parameters, provenance, final (and test) metrics
      model.pt      final weights (a state_dict)
      continue.pt   of a complete run: the rest of its last state, from which a longer run continues
      checkpoint    only until the run is finished: its state after the last epoch; includes the rows of the CSVs

Every file is replaced as a whole. run.json says "running" before training starts. Its final status is
written after all other files, so a run whose status is "complete" has all of them.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bnbench.config import strict_yaml
from bnbench.config.experiment import MAX_NAME, MAX_SEED, NAME
from bnbench.errors import ResultsError, RowsError
from bnbench.files import read_bounded

SCHEMA_VERSION = 1
METRICS = ("epoch", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
TIMING = ("epoch", "train_seconds", "valid_seconds")
MISTAKES = ("image", "label", "predicted")
CHECKPOINT = "checkpoint"  # an unfinished run resumes from it (kept.py)
CONTINUE = "continue.pt"  # with model.pt, a longer run continues a complete one from it
EVALUATIONS = "evaluations.csv"
FILES = ("config.yaml", "metrics.csv", "timing.csv", "mistakes.csv", EVALUATIONS, "run.json", "model.pt", CONTINUE)
FINISHED = ("complete", "diverged")  # a diverged run is a result too
DIVERGED_LOSS = 1e3  # a run with a larger loss of a batch has diverged (training/loop.py)
UNFINISHED = ("running", "interrupted", "failed")
MAX_BYTES = 10_000_000
MAX_DEPTH = 50
MAX_IMAGES = 1_000_000


@dataclass(frozen=True)
class EpochRow:
    """The metrics of one epoch. Losses are means over images; accuracies are fractions (correct / total)."""

    epoch: int  # counted from 1
    train_loss: float
    train_accuracy: float
    valid_loss: float
    valid_accuracy: float
    train_seconds: float
    valid_seconds: float
    diverged: bool = False


def final_metrics(row: EpochRow) -> dict[str, float | None]:
    """The METRICS of a run's last row, for run.json. Values that are not finite become None: JSON has no NaN."""
    values = {name: getattr(row, name) for name in METRICS}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


@dataclass(frozen=True)
class FinalTest:
    """The test metrics after the last epoch, for a run that validates on held-out training images."""

    images: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Run:
    """A run, read from its folder."""

    path: Path
    name: str
    seed: int
    digest: str
    status: str
    smoke: bool
    dataset: str
    dataset_sha256: str
    train_images: int
    valid_images: int
    held_out: int  # the number of training images held out for validation; 0: the run validates on the test images
    epochs: int  # the number that the config asks for; a complete run has as many rows
    parameters: int
    rows: tuple[EpochRow, ...]
    test: FinalTest | None  # only a complete run with held-out images that are not its test images has it
    provenance: dict[str, Any]
    tested: bool = True  # False: data.test is false, so the run never reads the test images

    @property
    def test_images(self) -> int:
        """The number of test images that the final network was evaluated on."""
        return self.test.images if self.test else self.valid_images

    @property
    def test_accuracy(self) -> float:
        """The final network's accuracy on the test images. Without held-out images, these are the validation images."""
        return self.test.accuracy if self.test else self.rows[-1].valid_accuracy


def read_run(folder: Path) -> Run:
    """Read a run from its folder. Raises ResultsError, which names the wrong file and what is wrong in it."""
    about = read_json(folder)
    if type(about.get("schema_version")) is not int or about["schema_version"] < 1:
        raise ResultsError(f"{folder / 'run.json'}: has no schema_version")
    if about["schema_version"] > SCHEMA_VERSION:
        raise ResultsError(f"{folder / 'run.json'}: was written by a newer bnbench; update to read it")
    try:
        run = Run(
            path=folder,
            name=_checked(about["name"], str),
            seed=_checked(about["seed"], int),
            digest=_checked(about["digest"], str),
            status=_checked(about["status"], str),
            smoke=_checked(about["smoke"], bool),
            dataset=_checked(about["dataset"]["name"], str),
            dataset_sha256=_checked(about["dataset"]["sha256"], str),
            train_images=_images(about["split"]["train_images"]),
            valid_images=_images(about["split"]["valid_images"]),
            held_out=_checked(about["split"].get("held_out", 0), int),
            epochs=_checked(about["epochs"], int),
            parameters=_checked(about["parameters"], int),
            rows=_read_rows(folder),
            test=_read_test(about.get("test")),
            provenance=_checked(about.get("provenance", {}), dict),
            tested=_checked(about["split"].get("test_images", 1), int) > 0,
        )
    except (KeyError, TypeError) as error:
        raise ResultsError(f"{folder / 'run.json'}: lacks or misstates {error}") from None
    if not NAME.fullmatch(run.name) or not NAME.fullmatch(run.dataset) or len(run.name + run.dataset) > 2 * MAX_NAME:
        raise ResultsError(f"{folder / 'run.json'}: has a name that is not valid for a run")
    if not _HEX.fullmatch(run.digest) or not _HEX.fullmatch(run.dataset_sha256):
        raise ResultsError(f"{folder / 'run.json'}: has a digest or a SHA-256 that is not valid")
    if run.status not in FINISHED + UNFINISHED:
        raise ResultsError(f"{folder / 'run.json'}: has an unknown status")
    if run.status in FINISHED and not run.rows:
        raise ResultsError(f"{folder / 'metrics.csv'}: has no epochs, but the run is {run.status}")
    if run.status == "complete" and len(run.rows) != run.epochs:
        raise ResultsError(f"{folder}: has metrics and timing of {len(run.rows)} epochs, not of {run.epochs}")
    if run.status == "complete" and not all(0 <= loss <= DIVERGED_LOSS for loss in _losses(run)):
        raise ResultsError(f"{folder / 'metrics.csv'}: has a loss that a complete run cannot have")
    if run.status == "complete" and (run.test is None) is (run.held_out > 0 and run.tested):
        what = "runs with images held out and data.test" if run.held_out else "runs with images held out"
        raise ResultsError(f"{folder / 'run.json'}: test metrics belong to {what}, and only to them")
    if run.status in FINISHED and about.get("final") != final_metrics(run.rows[-1]):
        raise ResultsError(f"{folder / 'metrics.csv'}: ends with other metrics than run.json has")
    return run


def _read_test(value: Any) -> FinalTest | None:
    if value is None:
        return None
    test = FinalTest(_images(value["images"]), _checked(value["loss"], float), _checked(value["accuracy"], float))
    if not 0 <= test.accuracy <= 1 or not 0 <= test.loss < 1e9:
        raise TypeError("impossible test metrics")
    return test


def read_mistakes(run: Run) -> list[int]:
    """The indices (from 0) of the test images that the final network of a complete run misclassifies.

    Raises ResultsError where mistakes.csv is missing, damaged, or does not fit run.json.
    """
    path = run.path / "mistakes.csv"
    header, *lines = _read(path).split("\n")
    if header != ",".join(MISTAKES) or not lines or lines.pop() != "":
        raise ResultsError(f"{path}: is not a complete table of {','.join(MISTAKES)}")
    if not all(map(_MISTAKE.fullmatch, lines)):
        raise ResultsError(f"{path}: has a row that is not three whole numbers")
    wrong = [int(line.partition(",")[0]) for line in lines]
    if any(a >= b for a, b in pairwise([*wrong, run.test_images])):
        raise ResultsError(f"{path}: has images that are out of order or not in the test set")
    if len(wrong) != run.test_images - round(run.test_accuracy * run.test_images):
        raise ResultsError(f"{path}: has {len(wrong)} mistakes, which does not fit the accuracy of the run")
    return wrong


def _images(value: Any) -> int:
    if not 1 <= _checked(value, int) <= MAX_IMAGES:
        raise TypeError(f"{value} images")
    return int(value)


def _losses(run: Run) -> Iterator[float]:
    for row in run.rows:
        yield from (row.train_loss, row.valid_loss)


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind or (type(value) is int and not 0 <= value <= MAX_SEED):
        raise TypeError(f"{value!r:.40} where {kind.__name__} belongs")
    return value


def _read(path: Path) -> str:
    try:
        return read_bounded(path, MAX_BYTES).decode()
    except FileNotFoundError:
        raise ResultsError(f"{path}: is missing") from None
    except UnicodeDecodeError:
        raise ResultsError(f"{path}: is not UTF-8 text") from None
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ResultsError(f"{path}: {error}") from None


def read_json(folder: Path) -> dict[str, Any]:
    """The contents of run.json. Raises ResultsError."""
    path = folder / "run.json"
    try:
        value = json.loads(_read(path))
    except (ValueError, RecursionError):
        raise ResultsError(f"{path}: is not JSON") from None
    if not isinstance(value, dict):
        raise ResultsError(f"{path}: is not a JSON object")
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [part for whole in level for part in (whole.values() if isinstance(whole, dict) else whole)]
        level = [part for part in level if isinstance(part, dict | list)]
    if level:
        raise ResultsError(f"{path}: is nested deeper than {MAX_DEPTH} levels")
    return value


def run_config(folder: Path) -> dict[str, Any]:
    """The resolved config of a run, from run.json, which is fast, or else from config.yaml. Raises ResultsError."""
    config = read_json(folder).get("config")
    return config if isinstance(config, dict) else read_config(folder)


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved config of a run, from config.yaml. Raises ResultsError."""
    path = folder / "config.yaml"
    try:
        value, _ = strict_yaml.parse(_read(path))
    except strict_yaml.YamlError as error:
        raise ResultsError(f"{path}: {error}") from None
    if not isinstance(value, dict):
        raise ResultsError(f"{path}: is not a config")
    return value


def _read_rows(folder: Path) -> tuple[EpochRow, ...]:
    try:
        metrics = _read_csv(folder / "metrics.csv", METRICS)
        timing = _read_csv(folder / "timing.csv", TIMING)
    except ResultsError as error:
        raise RowsError(str(error)) from None
    # metrics.csv is written first. A run that is killed before timing.csv is written has one more row of metrics.
    return tuple(EpochRow(**{**m, **t}) for m, t in zip(metrics, timing, strict=False))


def _read_csv(path: Path, header: Sequence[str]) -> list[dict[str, Any]]:
    text = _read(path)
    lines = text.split("\n")
    if lines[0] != ",".join(header):
        raise ResultsError(f"{path}: does not start with the header {','.join(header)}")
    if lines.pop() != "":
        raise ResultsError(f"{path}: is cut off in its last line")
    rows = []
    for number, line in enumerate(lines[1:], start=1):
        cells = line.split(",")
        if len(cells) != len(header) or not all(map(_NUMBER.fullmatch, cells)):
            raise ResultsError(f"{path}:{number + 1}: is not a row of {len(header)} numbers")
        row = dict(zip(header, map(float, cells), strict=True))
        if row["epoch"] != number:
            raise ResultsError(f"{path}:{number + 1}: is not epoch {number}")
        for name, value in row.items():
            if (name.endswith("accuracy") and not 0 <= value <= 1) or (
                name.endswith("seconds") and not 0 <= value < 1e9
            ):
                raise ResultsError(f"{path}:{number + 1}: has an impossible {name}, {value:g}")
        rows.append({**row, "epoch": number})
    return rows


_HEX = re.compile(r"[0-9a-f]{1,64}")
_MISTAKE = re.compile(r"[0-9]{1,9},[0-9],[0-9]", flags=re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[-+]?[0-9]{1,3})?|nan|-?inf", flags=re.ASCII)
