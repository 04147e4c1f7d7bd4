"""The checkpoint that a killed run resumes from: its epochs so far, its network and its optimizer.

runs/kept.py has the format of the file. A complete run keeps the same in two files: model.pt, and continue.pt with
the rest. A longer run continues from them. The states are torch.save of plain tensors and numbers; reading them runs
no code.

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
from torch import Tensor, nn

from bnbench.runs import kept
from bnbench.runs.format import CONTINUE, EpochRow
from bnbench.runs.kept import DIGEST_BYTES, Unusable
from bnbench.training.optimizers import Optimizer


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after the last of `rows`."""

    rows: tuple[EpochRow, ...]
    model: dict[str, Any]
    optimizer: dict[str, Any]

    def restore(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Load the state into `model` and `optimizer`."""
        own = model.state_dict()
        # Moving averages that nobody asks for any more are left out.
        model.load_state_dict({name: value for name, value in self.model.items() if name in own})
        optimizer.load_state_dict(self.optimizer)


def pack(origin: dict[str, str], rows: Sequence[EpochRow], model: nn.Module, optimizer: Optimizer) -> bytes:
    """The bytes of a checkpoint. `origin` is everything that must be equal to resume with the same numbers."""
    state = to_bytes({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    return kept.pack(origin, rows, state)


def pack_end(origin: dict[str, str], rows: Sequence[EpochRow], weights: bytes, optimizer: Optimizer) -> bytes:
    """The bytes of continue.pt: what a complete run keeps besides `weights`, its model.pt, to be continued.

    It is small: only an optimizer with a state (momentum, Adam) adds one or two numbers for each parameter.
    """
    state = {
        "origin": origin,
        "rows": [astuple(row) for row in rows],
        "weights": hashlib.sha256(weights).hexdigest(),
        "optimizer": optimizer.state_dict(),
    }
    payload = to_bytes(state)
    return hashlib.sha256(payload).digest() + payload


def read(folder: Path, origin: dict[str, str]) -> Checkpoint | None:
    """The checkpoint in a run's folder, or None if there is no such file.

    Raises Unusable where it is damaged, or where its origin differs from `origin`, so that resuming could give
    other numbers.
    """
    found = kept.read(folder)
    if found is None:
        return None
    _refuse_another(found.origin, origin)
    try:
        state = _loaded(found.state)
        return Checkpoint(found.rows, state["model"], state["optimizer"])
    except Exception:  # torch.load may raise any exception on a forged file
        raise Unusable("is damaged") from None


def read_end(folder: Path, origin: dict[str, str]) -> Checkpoint:
    """The last state of the complete run in `folder`, from its model.pt and its continue.pt.

    Raises Unusable where a file is missing or damaged, or where its origin differs from `origin`.
    """
    try:
        contents, weights = _contents(folder / CONTINUE), _contents(folder / "model.pt")
    except OSError as error:
        raise Unusable(f"cannot be read ({error.strerror})") from None
    if contents is None or weights is None:
        raise Unusable("is missing, or model.pt is")
    payload = contents[DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != contents[:DIGEST_BYTES]:
        raise Unusable("is damaged")
    try:
        state = _loaded(payload)
        there, rows = state["origin"], tuple(EpochRow(*row) for row in state["rows"])
        whole = hashlib.sha256(weights).hexdigest() == state["weights"]
        end = Checkpoint(rows, _loaded(weights) if whole else {}, state["optimizer"])
    except Exception:  # torch.load may raise any exception on a forged file
        raise Unusable("is damaged") from None
    if not whole:
        raise Unusable("does not belong to model.pt")
    _refuse_another(there, origin)
    return end


def _contents(path: Path) -> bytes | None:
    """The contents of a file, or None if it is missing. Raises OSError."""
    return path.read_bytes() if path.is_file() else None


def _refuse_another(there: dict[str, str], origin: dict[str, str]) -> None:
    """Raise Unusable where a file's origin, `there`, differs from `origin`."""
    changed = [key for key in origin if there.get(key) != origin[key]]
    if changed:
        raise Unusable("was made with another " + ", ".join(changed))


def _loaded(contents: bytes) -> Any:
    return torch.load(io.BytesIO(contents), map_location="cpu", weights_only=True)


def to_bytes(state: Any) -> bytes:
    """torch.save into memory. Given a path on a full disk, torch.save raises an error that does not name the cause."""
    buffer = io.BytesIO()
    torch.save(_alone(state), buffer)
    return buffer.getvalue()


def _alone(state: Any) -> Any:
    """The state with a copy of each tensor that is part of a larger one: torch.save would write all of that."""
    if isinstance(state, dict):
        return {name: _alone(value) for name, value in state.items()}
    if isinstance(state, Tensor) and state.untyped_storage().nbytes() > state.nbytes:
        return state.clone()
    return state
