"""The columns of `--target`: when each arm first reached it."""

import math
from typing import Any

from bnbench.analysis.compare import Question, Row
from bnbench.report.cells import NOTHING, number
from bnbench.report.column import Column


def target_columns(question: Question, epochs: int) -> dict[str, Column]:
    """How many runs reached the target, and the medians of the epoch and of the seconds."""
    assert question.target is not None
    target = number(question.target, loss=question.is_loss) + ("" if question.is_loss else " %")

    def median(value: float, text: str) -> str:
        return text if math.isfinite(value) else f">{epochs} epochs"

    def cell(row: Row) -> str:
        if row.reached is None:
            return NOTHING
        return f"{row.reached.k} of {row.reached.n}, {median(row.reached.epochs, f'epoch {row.reached.epochs:g}')}"

    def fields(row: Row) -> dict[str, Any]:
        reached = row.reached
        known = reached and math.isfinite(reached.epochs)
        return {
            "target": question.target,
            "reached": reached and reached.k,
            "reached_of": reached and reached.n,
            "epochs_to_target": reached.epochs if reached and known else None,
            "seconds_to_target": reached.seconds if reached and known else None,
        }

    return {
        "target": Column(f"reached {target}", cell, fields, lambda row: row.reached and row.reached.epochs),
        "target_seconds": Column(
            f"s to {target}",
            lambda row: NOTHING if row.reached is None else median(row.reached.seconds, f"{row.reached.seconds:.1f}"),
            lambda row: {},  # its field is in the column `target`
            lambda row: row.reached and row.reached.seconds,
        ),
    }
