"""Shows runs to people: live bars in a terminal, elsewhere a line for each epoch; then a line for each run."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column

from bnbench.console import clean, stderr
from bnbench.runs.format import EpochRow, Run
from bnbench.training.events import Event, Notice, Started

MIN_WIDTH, WIDE = 60, 80  # the least columns for bars (else lines are shown), and for bars with the loss


class Progress:
    """Use `with Progress() as progress:`. Call `begin`, then `event` and `end` for each run, from any thread."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = stderr()
        self.quiet = quiet
        self.live = self.console.is_terminal and self.console.width >= MIN_WIDTH and not quiet
        self._wide = self.console.width >= WIDE
        self._room = self.console.width - (59 if self._wide else 39)  # the columns left for a run's name
        self._bars = Bars(
            SpinnerColumn(),  # an epoch of the CNN takes seconds
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[latest]}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.console,
            transient=True,
            redirect_stdout=False,  # stdout is for results and may be a file
            speed_estimate_period=600,  # an epoch may take a minute
            disable=not self.live,
        )
        self._all = self._bars.add_task("", total=None, latest="", visible=False)
        self._runs: Sequence[tuple[str, int]] = ()
        self._bar_of: dict[int, TaskID] = {}
        self._epochs: dict[int, int] = {}  # the finished epochs of each run
        self._ended_bars: list[TaskID] = []
        self._ended = self._failed = self._to_train = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        """A message that stays on the screen. It is shown even when quiet, because it affects what the numbers mean."""
        self.console.print(clean(message))

    @contextmanager
    def download(self, label: str) -> Iterator[Callable[[int, int | None], None]]:
        """Show the download of a file. Call what this gives with the bytes so far and, where known, in total."""
        bar = self._bars.add_task(label, total=None, latest="kB")

        def update(done: int, total: int | None) -> None:
            self._bars.update(bar, completed=math.ceil(done / 1_000), total=total and math.ceil(total / 1_000))

        try:
            yield update
        finally:
            self._bars.remove_task(bar)

    def begin(self, runs: Sequence[tuple[str, int]], there: set[int]) -> None:
        """Set the runs of the command, each with its label and its epochs. Those in `there` are already finished."""
        self._runs = runs
        self._to_train = len(runs) - len(there)
        epochs = sum(epochs for number, (_, epochs) in enumerate(runs) if number not in there)
        self._bars.update(self._all, total=epochs, visible=self._to_train > 1)
        self._describe_all()

    def event(self, number: int, event: Event) -> None:
        """Show an event of a run."""
        label, epochs = self._runs[number]
        if isinstance(event, Notice):
            self.say(f"{label}: {event.text}")
        elif isinstance(event, Started):
            if number not in self._bar_of:
                self._make_room()
                self._bar_of[number] = self._bars.add_task(_fitted(label, self._room), total=epochs, latest="")
            self._advance(number, event.epochs, latest="")
            if event.epochs and not self.live and not self.quiet:
                how = f"continues {clean(event.shorter)}" if event.shorter else "resumes"
                self.console.print(f"{label}  {how} after epoch {event.epochs}/{epochs}")
        elif isinstance(event, EpochRow):
            self._row(number, event)

    def _row(self, number: int, row: EpochRow) -> None:
        label, epochs = self._runs[number]
        loss = f"loss {row.train_loss:.4f}  valid " if self._wide else ""
        latest = f"{loss}{100 * row.valid_accuracy:5.2f} %"
        self._advance(number, row.epoch, latest)
        if not self.live and not self.quiet:
            self.console.print(
                f"{label}  epoch {row.epoch}/{epochs}"
                f"  train loss {row.train_loss:.6f} acc {100 * row.train_accuracy:.2f} %"
                f"  valid loss {row.valid_loss:.6f} acc {100 * row.valid_accuracy:.2f} %"
                f"  {row.train_seconds + row.valid_seconds:.1f} s"
            )

    def _advance(self, number: int, epochs: int, latest: str) -> None:
        self._bars.update(self._bar_of[number], completed=epochs, latest=latest)
        self._bars.update(self._all, advance=epochs - self._epochs.get(number, 0))
        self._epochs[number] = epochs

    def end(self, number: int, status: str, reason: str | None) -> None:
        """Show that a run has ended, with its status and, if it failed, the reason."""
        self._ended += 1
        bar = self._bar_of.pop(number, None)
        if bar is not None:
            self._bars.stop_task(bar)
            self._ended_bars.append(bar)
        if status == "failed":
            self._failed += 1
            self.say(f"{self._runs[number][0]} failed: {reason}")
        self._describe_all()

    def _describe_all(self) -> None:
        failed = f", {self._failed} failed" if self._failed else ""
        self._bars.update(self._all, description=f"{self._ended} of {self._to_train} runs{failed}")

    def _make_room(self) -> None:
        """Remove the oldest bars of ended runs when the screen is full."""
        while self._ended_bars and len(self._ended_bars) + len(self._bar_of) + 3 > self.console.height:
            self._bars.remove_task(self._ended_bars.pop(0))


def _fitted(label: str, room: int) -> str:
    """A label in at most `room` characters. Its end stays, because it names the seed."""
    end = room // 2
    return label if len(label) <= room else f"{label[: room - end - 1]}…{label[-end:]}"


def result_line(run: Run) -> str:
    """The line that `bnbench run` prints for a finished run."""
    what = f"{run.name} seed {run.seed}"
    if run.status == "diverged":
        return f"{what}: diverged in epoch {len(run.rows)} → {run.path}"
    best = max(run.rows, key=lambda row: row.valid_accuracy)
    test = f", test accuracy {100 * run.test.accuracy:.2f} %" if run.test else ""
    return (
        f"{what}: valid accuracy {100 * run.rows[-1].valid_accuracy:.2f} % after epoch {len(run.rows)}"
        f" (best {100 * best.valid_accuracy:.2f} %, epoch {best.epoch}){test} → {run.path}"
    )
