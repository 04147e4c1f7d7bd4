"""One run being written: its folder, the epoch that it resumes from, its rows, how it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from bnbench.config.experiment import Config
from bnbench.errors import RunError, failure
from bnbench.runs.format import CHECKPOINT, EpochRow
from bnbench.runs.provenance import provenance
from bnbench.runs.write import RunWriter, run_folder
from bnbench.training import checkpoint
from bnbench.training.events import Began, Measurement, Notice, Report
from bnbench.training.network import Network


class Recording:
    """Writes one run as it trains. The train loop may drive several of them.

    `rows` are its epochs so far. `error` is set once it has failed; its folder then says so, where it can
    be written, and keeps its epochs.
    """

    def __init__(self, config: Config, out: Path, about: dict[str, Any], report: Report) -> None:
        """`about` goes into run.json as it is: dataset (with its sha256), split, parameters."""
        self.config = config
        self.folder = run_folder(out, config)
        self.rows: list[EpochRow] = []
        self.error: RunError | None = None
        self._writer = RunWriter(self.folder, config, {**about, "provenance": provenance()})
        self._report = report
        self._before: checkpoint.Checkpoint | None = None
        self._origin = origin(config, about["dataset"]["sha256"])

    @property
    def resumed(self) -> bool:
        return self._before is not None

    @property
    def diverged(self) -> bool:
        return bool(self.rows) and self.rows[-1].diverged

    @property
    def status(self) -> str:
        """How a run ends that does not fail."""
        return "diverged" if self.diverged else "complete"

    def open(self, *, anew: bool) -> None:
        """Make the folder, or resume what an interrupted run left in it, unless `anew`. Raises RunError."""
        if not anew and (self.folder / "run.json").exists():
            try:
                self._before = checkpoint.read(self.folder, self._origin)
            except checkpoint.Unusable as reason:
                self._report(Notice(f"{self.folder / CHECKPOINT} {reason}, so the run starts again"))
        if self._before is None:
            self._writer.start()
        else:
            self.rows = list(self._before.rows)
            self._writer.resume(self.rows)
        self._report(Began(len(self.rows)))

    def restore(self, network: Network) -> None:
        """Put `network` where the interrupted run left it."""
        assert self._before is not None
        self._before.restore(network.model, network.optimizer)

    def add(self, event: EpochRow | Measurement, network: Network) -> None:
        """Write an epoch, with a checkpoint of `network` after it. Raises RunError."""
        if isinstance(event, EpochRow):
            self.rows.append(event)
            self._writer.add(event, checkpoint.pack(self._origin, self.rows, network.model, network.optimizer))
        self._report(event)

    def finish(self, model: nn.Module, **final: Any) -> None:
        """Write the weights, and what is known of them in the end (`RunWriter.finish`). Raises RunError."""
        weights = {name: value.cpu() for name, value in model.state_dict().items()}
        self._writer.finish(self.status, weights=checkpoint.to_bytes(weights), **final)

    def fail(self, error: Exception) -> None:
        """End the run as failed by `error`, once."""
        if self.error is not None:
            return
        if isinstance(error, RunError):  # the folder cannot be written, so its status cannot either
            self.error = error
            return
        self.error = RunError(failure(error))
        self.error.__cause__ = error
        try:
            self._writer.finish("failed", reason=str(self.error))
        except RunError as unwritable:
            self.error = unwritable

    @contextmanager
    def failures(self) -> Iterator[None]:
        """What fails inside is this run's failure, and no other's."""
        try:
            yield
        except Exception as error:
            self.fail(error)


def origin(config: Config, dataset_sha256: str) -> dict[str, str]:
    """What must be the same for a resumed run to give the bytes of an uninterrupted one."""
    here = provenance()
    return {
        "config": config.digest(),
        "seed": str(config.seed),
        "dataset": dataset_sha256,
        **{name: str(here[name]) for name in ("bnbench", "torch", "platform", "processor")},
    }
