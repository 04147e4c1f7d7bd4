"""The checkpoint that a killed run resumes from: its epochs so far, its network and its optimizer.

    32 bytes   the SHA-256 of the rest
    the rest   torch.save of plain tensors and numbers; reading it runs no code

The batches of an epoch and the noise of a norm depend only on the seed and on the epoch or step, so no
generator's state is stored. A resumed run writes the same metrics as a run that was never interrupted.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bnbench.runs.format import CHECKPOINT, EpochRow
from bnbench.training.optimizers import Optimizer

DIGEST_BYTES = hashlib.sha256().digest_size


class Unusable(Exception):
    """A run cannot resume from this checkpoint. The message completes the sentence "the checkpoint …"."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after the last of `rows`."""

    rows: tuple[EpochRow, ...]
    model: dict[str, Any]
    optimizer: dict[str, Any]

    def restore(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Load the state into `model` and `optimizer`."""
        model.load_state_dict(self.model)
        optimizer.load_state_dict(self.optimizer)


def pack(origin: dict[str, str], rows: Sequence[EpochRow], model: nn.Module, optimizer: Optimizer) -> bytes:
    """The bytes of a checkpoint. `origin` is everything that must be equal to resume with the same numbers."""
    state = {
        "origin": origin,
        "rows": [astuple(row) for row in rows],
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    payload = to_bytes(state)
    return hashlib.sha256(payload).digest() + payload


def read(folder: Path, origin: dict[str, str]) -> Checkpoint | None:
    """The checkpoint in a run's folder, or None if there is no such file.

    Raises Unusable where it is damaged, or where its origin differs from `origin`, so that resuming could give
    other numbers.
    """
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
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        there, rows = state["origin"], tuple(EpochRow(*row) for row in state["rows"])
        checkpoint = Checkpoint(rows, state["model"], state["optimizer"])
    except Exception:  # torch.load may raise any exception on a forged file
        raise Unusable("is damaged") from None
    changed = [key for key in origin if there.get(key) != origin[key]]
    if changed:
        raise Unusable("was made with another " + ", ".join(changed))
    return checkpoint


def to_bytes(state: Any) -> bytes:
    """torch.save into memory. Given a path on a full disk, torch.save raises an error that does not name the cause."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
