"""Arguments and options that several commands share. The help text of each command describes its arguments."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from bnbench.errors import ConfigError

Paths = Annotated[list[Path], typer.Argument(metavar="PATH", readable=False, hidden=True)]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="ARM", help="Compare with this arm.", show_default="the most similar arm without a norm"),
]
Metric = Annotated[
    Literal["train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "test_loss", "test_accuracy"],
    typer.Option(
        metavar="METRIC", help="train_loss, train_accuracy, valid_loss, valid_accuracy, test_loss or test_accuracy."
    ),
]
At = Annotated[
    str, typer.Option(metavar="WHEN", help="final (the last epoch), best (each run's best epoch) or an epoch number.")
]
TextOrJson = Annotated[Literal["table", "json"], typer.Option("--format", metavar="FORMAT", help="table or json.")]


def parse_at(value: str) -> Literal["final", "best"] | int:
    if value in ("final", "best"):
        return value  # type: ignore[return-value]
    if re.fullmatch(r"[1-9][0-9]{0,5}", value) is None:
        raise ConfigError(f"--at {value}: must be final, best or an epoch, counted from 1")
    return int(value)
