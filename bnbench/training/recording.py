"""Records one run while it trains: its folder, the epoch that it resumes from, its rows, its final status."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bnbench.config.experiment import Config
from bnbench.errors import ResultsError, RunError, failure
from bnbench.norms.evaluation import without_averages
from bnbench.runs.format import CHECKPOINT, CONTINUE, EpochRow, read_run
from bnbench.runs.kept import AVERAGES, Unusable, origin
from bnbench.runs.provenance import provenance
from bnbench.runs.write import RunWriter, run_folder
from bnbench.training import checkpoint
from bnbench.training.events import Measurement, Notice, Report, Started
from bnbench.training.network import Network


class Recording:
    """Writes one run while it trains. Several runs may train in one loop, each with its own recording.

    `rows` are the finished epochs. If the run has failed, `error` is set, and its folder records the failure
    (where it can be written) and keeps the finished epochs.
    """

    def __init__(self, config: Config, out: Path, about: dict[str, Any], report: Report) -> None:
        """`about` is copied into run.json: dataset (with its sha256), split, parameters."""
        self.config = config
        self.folder = run_folder(out, config)
        self.rows: list[EpochRow] = []
        self.error: RunError | None = None
        self._writer = RunWriter(self.folder, config, {**about, "provenance": provenance()})
        self._report = report
        self._before: checkpoint.Checkpoint | None = None
        self._continued: Path | None = None  # the folder of the shorter run that it continues
        self._origin = origin(config, about["dataset"]["sha256"])

    @property
    def resumed(self) -> bool:
        """Whether the run has epochs of an interrupted run, or of a shorter one."""
        return self._before is not None

    @property
    def diverged(self) -> bool:
        """Whether the run has diverged in its last epoch."""
        return bool(self.rows) and self.rows[-1].diverged

    @property
    def status(self) -> str:
        """The final status of a run that does not fail."""
        return "diverged" if self.diverged else "complete"

    def look(self, shorter: Path | None = None) -> None:
        """Find the run to resume in the folder; else the end of the complete, `shorter` run in that folder.

        Writes nothing. Raises RunError.
        """
        if (self.folder / "run.json").exists():
            try:
                self._before = checkpoint.read(self.folder, self._origin)
            except Unusable as reason:
                self._report(Notice(f"{self.folder / CHECKPOINT} {reason}, so the run starts again"))
            if self._before is not None:
                self._name_damage()
        if self._before is None and shorter is not None:
            self._before = self._end_of(shorter)
            self._continued = shorter if self._before else None
        self.rows = list(self._before.rows) if self._before else []

    def open(self) -> None:
        """Make the folder, or resume or continue the run that `look` has found. Raises RunError."""
        if self._before is None or self._continued:
            self._writer.start(self.rows, continued=self._continued)
        else:
            self._writer.resume(self.rows)
        self._report(Started(len(self.rows), str(self._continued) if self._continued else None))

    def _name_damage(self) -> None:
        """Tell that the tables of the run are damaged. They are written again from the checkpoint."""
        try:
            read_run(self.folder)
        except ResultsError as error:
            self._report(Notice(f"{error}; the checkpoint has every epoch, so the run resumes from it"))

    def _end_of(self, shorter: Path) -> checkpoint.Checkpoint | None:
        """The last state of a complete, shorter run; None, with a notice, where it cannot be continued."""
        origin = {**self._origin, "config": self.config.digest_of_any_length()}
        try:
            end = checkpoint.read_end(shorter, origin)
        except Unusable as reason:
            self._report(Notice(f"{shorter / CONTINUE} {reason}, so the run starts at the first epoch"))
            return None
        return end if 0 < len(end.rows) < self.config.train.epochs else None

    def restore(self, network: Network) -> None:
        """Give `network` the state that the interrupted run left."""
        assert self._before is not None
        self._before.restore(network.model, network.optimizer)

    def add(self, event: EpochRow | Measurement, network: Network) -> None:
        """Write an epoch and a checkpoint of `network`, and report the event. Raises RunError."""
        if isinstance(event, EpochRow):
            self.rows.append(event)
            self._writer.add(event, checkpoint.pack(self._origin, self.rows, network.model, network.optimizer))
        self._report(event)

    def finish(self, network: Network, **final: Any) -> None:
        """Write the weights, the final status and `final`, the arguments of `RunWriter.finish`. Raises RunError."""
        state = without_averages(network.model.state_dict())
        weights = checkpoint.to_bytes({name: value.cpu() for name, value in state.items()})
        end = None
        if not self.diverged and self.config.train.schedule is None:
            origin = {**self._origin, "config": self.config.digest_of_any_length()}
            origin.pop(AVERAGES, None)  # model.pt does not have them
            end = checkpoint.pack_end(origin, self.rows, weights, network.optimizer)
        self._writer.finish(self.status, weights=weights, end=end, **final)

    def fail(self, error: Exception) -> None:
        """Record that `error` failed the run. Later calls do nothing."""
        if self.error is not None:
            return
        if isinstance(error, RunError):  # the folder cannot be written, so the status cannot be written either
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
        """An exception in the block fails this run; other runs in the loop keep training."""
        try:
            yield
        except Exception as error:
            self.fail(error)
