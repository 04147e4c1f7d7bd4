"""The file `checkpoint` without its tensors: its epochs and its origin, which need no torch.

32 bytes   the SHA-256 of the rest
one line   JSON: `origin`, everything that must be equal to resume; `rows`, the finished epochs
the rest   the state of the network and the optimizer (training/checkpoint.py)
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from bnbench.config.experiment import Config
from bnbench.runs.format import CHECKPOINT, EpochRow
from bnbench.runs.provenance import SAME_BYTES, provenance

AVERAGES = "list of momenta in evaluations"  # in the origin: a checkpoint keeps their averages
DIGEST_BYTES = hashlib.sha256().digest_size
ZIP = b"PK"  # torch.save's first bytes: checkpoints of earlier versions had no line of JSON


class Unusable(Exception):
    """A run cannot resume from this checkpoint. The message completes the sentence "the checkpoint …"."""


@dataclass(frozen=True)
class Kept:
    """What a run has kept: where it comes from, its finished epochs, and its state as bytes."""

    origin: dict[str, str]
    rows: tuple[EpochRow, ...]
    state: bytes


def origin(config: Config, dataset_sha256: str) -> dict[str, str]:
    """Everything that must be equal for a resumed run to give the bytes of an uninterrupted one."""
    here = provenance()
    return {
        "config": config.digest(),
        "seed": str(config.seed),
        "dataset": dataset_sha256,
        **{name: str(here[name]) for name in SAME_BYTES},
        **({AVERAGES: str(config.averages)} if config.averages else {}),
    }


def pack(origin: dict[str, str], rows: Sequence[EpochRow], state: bytes) -> bytes:
    """The bytes of the file."""
    # JSON as Python writes it: floats have their shortest exact digits, and NaN and Infinity are read back.
    line = json.dumps({"origin": origin, "rows": [astuple(row) for row in rows]}).encode()
    payload = line + b"\n" + state
    return hashlib.sha256(payload).digest() + payload


def read(folder: Path) -> Kept | None:
    """What the checkpoint in a run's folder keeps, or None if there is no such file. Raises Unusable."""
    path = folder / CHECKPOINT
    try:
        if not path.is_file():
            return None
        contents = path.read_bytes()
    except OSError as error:
        raise Unusable(f"cannot be read ({error.strerror})") from None
    payload = contents[DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != contents[:DIGEST_BYTES]:
        raise Unusable("is damaged")
    if payload.startswith(ZIP):
        raise Unusable("was made by an earlier version of bnbench")
    line, _, state = payload.partition(b"\n")
    try:
        about = json.loads(line)
        return Kept(dict(about["origin"]), tuple(EpochRow(*row) for row in about["rows"]), state)
    except (ValueError, TypeError, KeyError, RecursionError):  # a forged file
        raise Unusable("is damaged") from None


def epochs_kept(folder: Path, config: Config) -> int:
    """The number of epochs after which an unfinished run of `config` would resume; 0 if it would start over.

    Whether the dataset is the same is not looked at.
    """
    try:
        kept = read(folder)
    except Unusable:
        return 0
    if kept is None:
        return 0
    wanted = origin(config, kept.origin.get("dataset", ""))
    return len(kept.rows) if wanted.items() <= kept.origin.items() else 0
