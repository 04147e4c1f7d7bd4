"""Shows runs to people: a live display in a terminal, elsewhere a line for each epoch."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from bnbench.config.naming import what_varies
from bnbench.console import clean, stderr
from bnbench.launch.plan import Planned
from bnbench.runs.format import EpochRow
from bnbench.training.events import Event, Notice, Started

# The least columns of a terminal for a live display (else lines are shown), for bars in it, and for the loss.
MIN_WIDTH, BARS, WIDE = 30, 60, 80


class Progress:
    """Use `with Progress() as progress:`. Call `starting` and `begin`, then `event` and `end` for each run.

    Any thread may call. `quiet` shows errors alone; with `notices`, messages on what the numbers mean, too.
    """

    def __init__(self, *, quiet: bool = False, notices: bool = False) -> None:
        self.console = stderr()
        self.quiet = quiet
        self._notices = notices or not quiet
        self.live = self.console.is_terminal and self.console.width >= MIN_WIDTH and not quiet
        self._wide = self.console.width >= WIDE
        self._room = self.console.width - (56 if self._wide else 38 if self.console.width >= BARS else 18)
        self._bars = _Bars(
            *_columns(self.console.width),
            console=self.console,
            transient=True,
            redirect_stdout=False,  # stdout is for results and may be a file
            speed_estimate_period=600,  # an epoch may take a minute
            disable=not self.live,
        )
        self._all = self._bars.add_task("all epochs", total=None, latest="", visible=False)
        self._runs: Sequence[Planned] = ()
        self._names: dict[str, str] = {}  # an arm's name → what varies
        self._bar_of: dict[int, TaskID] = {}  # of the runs in training, by their numbers
        self._last: dict[int, EpochRow] = {}
        self._epochs: dict[int, int] = {}  # the finished epochs of each run
        self._best: tuple[float, str] | None = None  # the best validation accuracy of a complete run, and its label
        self._ended: dict[str, int] = {}  # how many runs ended with each status
        self._to_train = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        """A message that stays on the screen, about what the numbers mean."""
        if self._notices:
            self.warn(message)

    def warn(self, message: str) -> None:
        """The same, about something that went wrong: it is shown even when quiet."""
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

    def starting(self, runs: int, workers: int) -> None:
        """Show that training starts, before anything slow: to import torch takes seconds in each process."""
        what = f"starting {workers} workers" if workers > 1 else "starting"
        self._bars.head = [f"{runs} runs: {what}" if runs > 1 else what]
        if self.live:
            self._bars.refresh()
        elif workers > 1 and not self.quiet:
            self.console.print(what)

    def begin(self, runs: Sequence[Planned], there: set[int]) -> None:
        """Set the runs of the command. Those in `there` are already finished."""
        self._runs = runs
        self._names = what_varies([run.config.name for run in runs])
        self._to_train = len(runs) - len(there)
        epochs = sum(run.config.train.epochs for number, run in enumerate(runs) if number not in there)
        self._bars.update(self._all, total=epochs)

    def event(self, number: int, event: Event) -> None:
        """Show an event of a run."""
        label, epochs = self._runs[number].label, self._runs[number].config.train.epochs
        if isinstance(event, Notice):
            self.say(f"{label}: {event.text}")
        elif isinstance(event, Started):
            if number not in self._bar_of:
                self._bar_of[number] = self._bars.add_task(
                    _fitted(self._short(number), self._room), total=epochs, latest=""
                )
            self._bars.update(self._all, visible=self._to_train > 1)
            self._advance(number, event.epochs, latest="")
            self._describe()
            if event.epochs and not self.live and not self.quiet:
                how = f"continues {clean(event.shorter)}" if event.shorter else "resumes"
                self.console.print(f"{label}  {how} after epoch {event.epochs}/{epochs}")
        elif isinstance(event, EpochRow):
            self._row(number, event)

    def _short(self, number: int) -> str:
        config = self._runs[number].config
        return f"{self._names[config.name]} seed {config.seed}"

    def _row(self, number: int, row: EpochRow) -> None:
        run = self._runs[number]
        loss = f"loss {row.train_loss:.4f}  valid " if self._wide else ""
        latest = f"{loss}{100 * row.valid_accuracy:5.2f} %"
        self._last[number] = row
        self._advance(number, row.epoch, latest)
        if not self.live and not self.quiet:
            self.console.print(
                f"{run.label}  epoch {row.epoch}/{run.config.train.epochs}"
                f"  train loss {row.train_loss:.6f} acc {100 * row.train_accuracy:.2f} %"
                f"  valid loss {row.valid_loss:.6f} acc {100 * row.valid_accuracy:.2f} %"
                f"  {row.train_seconds + row.valid_seconds:.1f} s"
            )

    def _advance(self, number: int, epochs: int, latest: str) -> None:
        self._bars.update(self._bar_of[number], completed=epochs, latest=latest)
        self._bars.update(self._all, advance=epochs - self._epochs.get(number, 0))
        self._epochs[number] = epochs

    def end(self, number: int, status: str, reason: str | None) -> None:
        """Show that a run has ended, with its status and, if it failed, the reason. Its row goes; it counts above."""
        self._ended[status] = self._ended.get(status, 0) + 1
        if (bar := self._bar_of.pop(number, None)) is not None:
            self._bars.remove_task(bar)
        row = self._last.pop(number, None)
        if status == "complete" and row and (self._best is None or row.valid_accuracy > self._best[0]):
            self._best = row.valid_accuracy, self._short(number)
        if status == "failed":
            self.warn(f"{self._runs[number].label} failed: {reason}")
        self._describe()

    def _describe(self) -> None:
        """The lines above the bars: a count of the runs that ended, and the best of them."""
        if self._to_train < 2:
            self._bars.head = []
            return
        others = [f"{count} {status}" for status, count in self._ended.items() if status != "complete"]
        done = ", ".join([f"{sum(self._ended.values())} of {self._to_train} runs done", *others])
        best = f"best so far {100 * self._best[0]:.2f} %, {self._best[1]}" if self._best else ""
        together = f"{done}; {best}" if best else done
        self._bars.head = [together] if len(together) <= self.console.width else [done, best]


class _Bars(Bars):
    """Rich's bars, with lines above them."""

    head: Sequence[str] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        for line in self.head:
            yield Text(line, no_wrap=True, overflow="ellipsis")
        yield self.make_tasks_table(self.tasks)


def _columns(width: int) -> Iterator[ProgressColumn]:
    yield SpinnerColumn()  # an epoch of the CNN takes seconds
    yield TextColumn("{task.description}", table_column=Column(no_wrap=True))
    if width >= BARS:
        yield BarColumn(bar_width=10)
    yield MofNCompleteColumn()
    yield TextColumn("{task.fields[latest]}", table_column=Column(no_wrap=True))
    if width >= BARS:
        yield TimeRemainingColumn(compact=True, elapsed_when_finished=True)


def _fitted(label: str, room: int) -> str:
    """A label in at most `room` characters. Its end stays, because it names the seed."""
    end = room // 2
    return label if len(label) <= room else f"{label[: room - end - 1]}…{label[-end:]}"
