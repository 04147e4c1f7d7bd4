"""The state of every run during a command: which have ended, and how far the others are. It is shown and told."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from bnbench.errors import Interrupted, RunError
from bnbench.launch.plan import Planned, label
from bnbench.launch.progress import Progress
from bnbench.launch.run_one import Job, Outcome, tidy
from bnbench.runs.evaluations import is_done
from bnbench.runs.format import FINISHED, EpochRow
from bnbench.runs.lock import held_by, hold
from bnbench.runs.write import existing_status, mark_interrupted
from bnbench.signals import signal_name
from bnbench.training.events import Event, Started

Ended = Callable[[Outcome], None]


class Session:
    """The state of every run during a command. It is also shown as progress."""

    def __init__(self, progress: Progress, *, saves_epochs: bool, ended: Ended | None = None) -> None:
        """`saves_epochs`: whether runs write a checkpoint after every epoch, not only their final results."""
        self._ended = ended
        self._told: set[int] = set()
        self._saves_epochs = saves_epochs
        self.runs: list[Planned] = []
        self.outcomes: dict[int, Outcome] = {}
        self._under_way: dict[int, int] = {}  # the finished epochs of each run in training, by its number
        self._progress = progress
        self.unheard: OSError | None = None  # why progress can no longer be shown
        self._lock = threading.Lock()  # events and outcomes come from different threads

    def starting(self, runs: int, workers: int) -> None:
        """Show that training starts."""
        self._show(self._progress.starting, runs, workers)

    def begin(self, runs: list[Planned]) -> None:
        """Set the runs of the command. Finished ones get their outcome at once."""
        self.runs = runs
        for number, run in enumerate(runs):
            if run.finished:
                tidy(run.folder, run.config)
                self.outcomes[number] = Outcome(run.config, run.folder, str(run.status), trained=False)
        self._progress.begin(runs, set(self.outcomes))
        for number in list(self.outcomes):
            self._tell(number)

    def event(self, number: int, event: Event) -> None:
        """Record and show an event of a run."""
        with self._lock:
            if number in self.outcomes and self.outcomes[number].status != "held":
                return  # a worker's last events may come after its outcome
            if isinstance(event, Started):
                self._under_way[number] = event.epochs
            elif isinstance(event, EpochRow):
                self._under_way[number] = event.epoch
            self._show(self._progress.event, number, event)

    def _show(self, show: Callable[..., None], *what: object) -> None:
        """Show progress. If the stream is a full disk or a closed pipe, record the error: no run fails from it."""
        try:
            show(*what)
        except OSError as error:
            self.unheard = self.unheard or error

    def end(self, number: int, outcome: Outcome) -> None:
        """Record and show the outcome of a run."""
        with self._lock:
            self._under_way.pop(number, None)
            self.outcomes[number] = replace(outcome, config=self.runs[number].config)  # not a worker's copy
            self._show(self._progress.end, number, outcome.status, outcome.reason)
            if outcome.status != "held":  # another command may finish it meanwhile
                self._tell(number)

    def _tell(self, number: int) -> None:
        if self._ended is not None and number not in self._told:
            self._told.add(number)
            self._show(self._ended, self.outcomes[number])

    def tell_the_rest(self) -> None:
        """Tell the outcomes of the runs that another command held."""
        for number in sorted(self.outcomes):
            self._tell(number)

    def left_by_others(self, jobs: Sequence[Job]) -> list[Job]:
        """The runs that another process held earlier, that nobody holds now, and that are not finished.

        The outcomes of those that are finished or cannot be read by now are updated.
        """
        left = []
        for job in jobs:
            outcome = self.outcomes[job.number]
            if outcome.status != "held" or held_by(job.folder) is not None:
                continue
            try:
                there = existing_status(job.folder, job.config)
            except RunError as error:
                self.outcomes[job.number] = replace(outcome, status="failed", reason=str(error))
                continue
            if is_done(job.folder, job.config, there):
                self.outcomes[job.number] = replace(outcome, status=str(there), reason=None)
            else:
                left.append(replace(job, force=False))
        return left

    def close(self) -> list[Outcome]:
        """Mark the runs stopped in training as interrupted; return all outcomes, in the order of the command."""
        for number in self._under_way:
            folder = self.runs[number].folder
            # An error here, as on a full disk, must not hide why the command stopped. Another command may hold the run.
            with suppress(RunError), hold(folder, "another command, for a moment"):
                mark_interrupted(folder)
        return [self.outcomes[number] for number in sorted(self.outcomes)]

    def interrupted(self, signum: int, force: bool) -> Interrupted:
        """The error for a command that a signal stopped: how far it came, and how to finish the rest."""
        complete = sum(outcome.status in FINISHED for outcome in self.outcomes.values())
        saved = [
            f"{label(self.runs[number].config)} after epoch {epochs} of {self.runs[number].config.train.epochs}"
            for number, epochs in sorted(self._under_way.items())
            if epochs and self._saves_epochs
        ]
        return Interrupted(
            f"stopped by {signal_name(signum)}. {complete} of {len(self.runs)} runs are complete"
            + (f"; saved: {', '.join(saved)}" if saved else "")
            + f". Run the same command {'without --force' if force else 'again'} to finish the rest"
            + ("" if self._saves_epochs else "; runs that the cluster had not finished start over"),
            exit_code=128 + signum,
        )
