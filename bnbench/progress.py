"""What a person sees of runs: live bars in a terminal or a line an epoch elsewhere, then a line a run."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from bnbench.config import Config
from bnbench.console import clean, stderr
from bnbench.results import EpochRow, Run


class Progress:
    """`with Progress(quiet=False) as progress:` then begin, and for each run begin_run, row …, end_run."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = stderr()
        self.quiet = quiet
        self.live = self.console.is_terminal and self.console.width >= 60 and not quiet
        self._label, self._epochs = "", 0
        self._bars = Bars(
            SpinnerColumn(),  # an epoch of the CNN takes seconds
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[latest]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            redirect_stdout=False,  # stdout is data and may be a file
            disable=not self.live,
        )
        self._all = self._bars.add_task("runs", total=None, latest="", visible=False)
        self._one = self._bars.add_task("", total=None, latest="", visible=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        """A notice that stays on the screen; shown even when quiet, since it changes what the numbers mean."""
        self.console.print(clean(message))

    def begin(self, runs: int) -> None:
        self._bars.update(self._all, total=runs, visible=runs > 1)

    def begin_run(self, config: Config) -> None:
        self._label, self._epochs = f"{config.name} seed {config.seed}", config.train.epochs
        self._bars.reset(self._one, total=self._epochs, description=self._label, latest="", visible=True)

    def row(self, row: EpochRow) -> None:
        self._bars.update(
            self._one,
            advance=1,
            latest=f"loss {row.train_loss:.4f} valid {100 * row.valid_accuracy:.2f} %",
        )
        if not self.live and not self.quiet:
            self.console.print(
                f"{self._label}  epoch {row.epoch}/{self._epochs}"
                f"  train loss {row.train_loss:.6f} acc {100 * row.train_accuracy:.2f} %"
                f"  valid loss {row.valid_loss:.6f} acc {100 * row.valid_accuracy:.2f} %"
                f"  {row.train_seconds + row.valid_seconds:.1f} s"
            )

    def end_run(self) -> None:
        self._bars.update(self._all, advance=1)


def result_line(run: Run) -> str:
    """What `bnbench run` prints for one finished run."""
    what = f"{run.name} seed {run.seed}"
    if run.status == "diverged":
        return f"{what}: diverged in epoch {len(run.rows)} → {run.path}"
    best = max(run.rows, key=lambda row: row.valid_accuracy)
    test = f", test accuracy {100 * run.test.accuracy:.2f} %" if run.test else ""
    return (
        f"{what}: valid accuracy {100 * run.rows[-1].valid_accuracy:.2f} % after epoch {len(run.rows)}"
        f" (best {100 * best.valid_accuracy:.2f} %, epoch {best.epoch}){test} → {run.path}"
    )
