"""What a killed run goes on from: its epochs so far, the network and the optimizer, in one checked file.

    32 bytes   the SHA-256 of the rest
    the rest   torch.save of plain tensors and numbers; reading it runs no code

The batches of an epoch and the noise of a norm are functions of the seed and of what is counted, so
no generator's state is needed: a run that goes on ends with the bytes of one that was never stopped.
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
    """A checkpoint that a run cannot go on from; the message is the reason, in words."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after the last of `rows`."""

    rows: tuple[EpochRow, ...]
    model: dict[str, Any]
    optimizer: dict[str, Any]

    def restore(self, model: nn.Module, optimizer: Optimizer) -> None:
        model.load_state_dict(self.model)
        optimizer.load_state_dict(self.optimizer)


def pack(origin: dict[str, str], rows: Sequence[EpochRow], model: nn.Module, optimizer: Optimizer) -> bytes:
    """The bytes of a checkpoint; `origin` is what must be the same for the numbers to be the same."""
    state = {
        "origin": origin,
        "rows": [astuple(row) for row in rows],
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    payload = to_bytes(state)
    return hashlib.sha256(payload).digest() + payload


def read(folder: Path, origin: dict[str, str]) -> Checkpoint | None:
    """The checkpoint in a run's folder, None where there is none.

    Raises Unusable where it is damaged, or where another version or machine would go on with other numbers.
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
    except Exception:  # what a made-up file makes torch.load raise is anything at all
        raise Unusable("is damaged") from None
    changed = [key for key in origin if there.get(key) != origin[key]]
    if changed:
        raise Unusable("was made with another " + ", ".join(changed))
    return checkpoint


def to_bytes(state: Any) -> bytes:
    """torch.save through memory: given a path on a full disk, it raises an error that does not say so."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
