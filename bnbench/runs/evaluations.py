"""evaluations.csv: the final network of a run, evaluated by other statistics. Read and written without torch.

evaluation,loss,accuracy,images,mean_error,var_error
running,0.0912,0.9731,10000,0.0831,0.1204
batch=4,0.6121,0.8342,10000,,
"""

import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from bnbench.config.evaluations import label, order
from bnbench.config.experiment import Config
from bnbench.errors import ResultsError
from bnbench.files import read_bounded, unwritable, write_atomic
from bnbench.runs.format import EVALUATIONS, FINISHED, MAX_IMAGES, Run

HEADER = ("evaluation", "loss", "accuracy", "images", "mean_error", "var_error")
MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Evaluation:
    """The mean loss and the accuracy (correct / total) over the validation images, by one kind of statistics.

    `mean_error` and `var_error` are of running statistics: the root mean square, over the channels of all norms, of
    (μ - μ*) / σ* and of (σ² - σ*²) / σ*², where * marks the precise statistics. None where there are none.
    """

    loss: float
    accuracy: float
    images: int
    mean_error: float | None = None
    var_error: float | None = None


def read_evaluations(run: Run) -> dict[str, Evaluation]:
    """The evaluations of a run, by their labels, as in {"running": ..., "batch=4": ...}; empty without the file.

    Raises ResultsError where the file is damaged.
    """
    return read_table(run.path)


def read_table(folder: Path) -> dict[str, Evaluation]:
    """The same for the run in a folder."""
    path = folder / EVALUATIONS
    try:
        lines = read_bounded(path, MAX_BYTES).decode().split("\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:  # UnicodeDecodeError is one; or it is too large
        raise ResultsError(f"{path}: is not a table of evaluations") from None
    if lines[0] != ",".join(HEADER):
        raise ResultsError(f"{path}: does not start with the header {','.join(HEADER)}")
    if lines.pop() != "":
        raise ResultsError(f"{path}: is cut off in its last line")
    table: dict[str, Evaluation] = {}
    for number, line in enumerate(lines[1:], start=2):
        try:
            name, evaluation = _row(line)
        except ValueError:
            raise ResultsError(f"{path}:{number}: is not a row of an evaluation") from None
        if name in table:
            raise ResultsError(f"{path}:{number}: has {name} a second time")
        table[name] = evaluation
    return table


def _row(line: str) -> tuple[str, Evaluation]:
    """Raises ValueError."""
    name, loss, accuracy, images, *errors = line.split(",")
    order(name)
    if len(errors) != 2 or not all(map(_NUMBER.fullmatch, [loss, accuracy, images, *filter(None, errors)])):
        raise ValueError
    mean_error, var_error = (float(cell) if cell else None for cell in errors)
    evaluation = Evaluation(float(loss), float(accuracy), int(images), mean_error, var_error)
    if not 0 <= evaluation.accuracy <= 1 or not 1 <= evaluation.images <= MAX_IMAGES:
        raise ValueError
    return name, evaluation


def table(evaluations: Mapping[str, Evaluation]) -> bytes:
    """The bytes of evaluations.csv. Its rows have a fixed order, whenever each was added."""
    rows = [HEADER, *((name, *astuple(evaluations[name])) for name in sorted(evaluations, key=order))]
    lines = (
        ",".join("" if cell is None else cell if isinstance(cell, str) else repr(cell) for cell in row) for row in rows
    )
    return "".join(f"{line}\n" for line in lines).encode()


def add(folder: Path, evaluations: Mapping[str, Evaluation]) -> None:
    """Add rows to evaluations.csv of a complete run; rows that are there stay. Raises RunError."""
    write(folder, table({**evaluations, **_readable(folder)}))


def write(folder: Path, contents: bytes) -> None:
    """Write evaluations.csv of a complete run. Raises RunError."""
    path = folder / EVALUATIONS
    try:
        write_atomic(path, contents)
    except OSError as error:
        raise unwritable(path, error) from None


def lacking(folder: Path, config: Config) -> list[str]:
    """The labels of the evaluations that `config` asks for and the complete run in `folder` does not have."""
    asked = [label(one) for one in config.evaluations]
    there = _readable(folder) if asked else {}
    return [name for name in asked if name not in there]


def is_done(folder: Path, config: Config, status: str | None) -> bool:
    """Whether nothing is left to do for the run in `folder`, which has this status."""
    return status in FINISHED and not (status == "complete" and lacking(folder, config))


def with_lacking(folder: Path, config: Config) -> Config:
    """The config with only those `evaluations` that the complete run in `folder` lacks."""
    names = lacking(folder, config)
    return config.model_copy(update={"evaluations": [one for one in config.evaluations if label(one) in names]})


def needs_training(folder: Path, config: Config) -> str | None:
    """Why the complete run in `folder` must be trained again for all `evaluations` of the config, or None."""
    if config.averages:
        return "its moving averages exist only in training"
    return None if (folder / "model.pt").is_file() else "its model.pt is missing"


def _readable(folder: Path) -> dict[str, Evaluation]:
    try:
        return read_table(folder)
    except ResultsError:  # a damaged table is made again
        return {}


_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[-+]?[0-9]{1,3})?|nan|-?inf", flags=re.ASCII)
