"""The columns of a comparison: heading, cell on screen, fields in machine formats, and sort order.

Accuracies are percent on screen and fractions in machine formats. One seed has no spread: the spread is left out
on screen and empty in machine formats, never 0.
"""

import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from bnbench.analysis.compare import Question, Row, Table
from bnbench.analysis.mixed import Mixed
from bnbench.analysis.statistics import Mean, Over
from bnbench.analysis.wins import wins
from bnbench.errors import ConfigError
from bnbench.report.cells import (
    NOTHING,
    about,
    difference_text,
    margin_text,
    mean_fields,
    mean_text,
    p_text,
    shares,
)
from bnbench.report.column import Column
from bnbench.report.targets import target_columns

BASELINE = "baseline"


def choose(
    table: Table, names: Sequence[str] | None, *, only_changed: bool = True, empty: bool = False
) -> dict[str, Column]:
    """The columns to show, by name: the arm, then the named columns, or by default all that are not empty.

    Machine formats ask for `empty` columns too, so that their fields are always the same. By default a setting
    is shown if it differs between the arms that have it; with `only_changed` false, every setting is shown.
    """
    results, config = _results(table), _config(table)
    if names is not None:
        there = {**results, **config}
        return {"arm": ARM, **{name: there[name] for name in names if name in there}}
    said = {
        name: column
        for name, column in results.items()
        if empty or (not column.on_demand and any(column.cell(row) not in (NOTHING, BASELINE) for row in table.rows))
    }
    changed = {k: c for k, c in config.items() if not only_changed or len(_settings(table, k)) > 1}
    return {"arm": ARM, **said, **changed}


def available(table: Table) -> dict[str, Column]:
    """Every column of this table, except the arm."""
    return {**_results(table), **_config(table)}


def arrange(table: Table, sort: str | None, top: int | None) -> Table:
    """Sort the rows of each baseline by a column (`-name`: reversed); keep the baseline and the first `top`."""
    if sort is None and top is not None:
        sort = "value"
    column = {"arm": ARM, **available(table)}.get(sort.removeprefix("-")) if sort is not None else None
    rows = []
    for _, group in groupby(table.rows, key=lambda row: id(row.baseline)):
        family = list(group)
        if column is not None:
            order, reverse = column.order, str(sort).startswith("-")
            known = sorted((row for row in family if order(row) is not None), key=order, reverse=reverse)
            family = [*known, *(row for row in family if order(row) is None)]
        rows += [row for place, row in enumerate(family) if top is None or place < top or row.is_baseline]
    return replace(table, rows=rows)


def check_names(tables: Sequence[Table], names: Sequence[str]) -> None:
    """Raises ConfigError if no table has one of these columns."""
    known = dict.fromkeys(["arm", *(name for table in tables for name in available(table))])
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the columns are {', '.join(known)}"
            raise ConfigError(f"there is no column {name!r}; {hint}")


ARM = Column(
    "arm",
    lambda row: row.arm.label,
    lambda row: {"arm": row.arm.name, "digest": row.arm.digest},
    lambda row: row.arm.label,
)


def _results(table: Table) -> dict[str, Column]:
    question, loss = table.question, table.question.is_loss
    per_epoch = question.measure.per_epoch
    what = question.measure.words
    at = f"epoch {question.at}" if isinstance(question.at, int) else question.at
    columns = {
        "seeds": SEEDS,
        "value": _mean_column(f"{at} {what}", question.column, lambda row: row.value, loss=loss, over=table.over),
        "difference": _difference_column(table),
        "verdict": _verdict_column(question),
        "p": P,
        "wins": _wins_column(question),
        "shares": SHARES,
    }
    same_length = not isinstance(table.group, Mixed)  # else only values at the epoch can be compared
    if table.group.held_out and same_length and question.metric != "test_accuracy":
        columns["test"] = _mean_column("test %", "test_accuracy", lambda row: row.test, loss=False)
    if question.at != "best" and per_epoch and same_length:
        columns["best"] = _mean_column(f"best {what}", f"best_{question.metric}", lambda row: row.best, loss=loss)
    if question.target is not None and per_epoch and same_length:
        columns |= target_columns(question, table.group.epochs)
    if question.early and per_epoch:
        n = min(question.early, table.group.epochs)
        heading = f"epochs 1-{n} {what}" if n > 1 else f"epoch 1 {what}"
        columns["early"] = _mean_column(heading, f"early_{question.metric}", lambda row: row.early, loss=loss)
    return {**columns, "seconds": SECONDS, "parameters": PARAMETERS}


def _mean_column(
    heading: str, field: str, get: Callable[[Row], Mean | None], *, loss: bool, over: Over | None = None
) -> Column:
    def cell(row: Row) -> str:
        return mean_text(get(row), loss=loss, over=over)

    def fields(row: Row) -> dict[str, Any]:
        mean = get(row)
        over = mean.over if mean and mean.half is not None else None
        return {**mean_fields(field, mean, loss=loss), f"{field}_over": over}

    def order(row: Row) -> float | None:
        mean = get(row)
        return None if mean is None else mean.mean if loss else -mean.mean

    return Column(heading, cell, fields, order)


def _difference_column(table: Table) -> Column:
    loss, over = table.question.is_loss, table.over

    def cell(row: Row) -> str:
        if row.is_baseline:
            return BASELINE
        seeds = len(row.arm.complete)
        return difference_text(row.difference, different=row.different, seeds=seeds, loss=loss, over=over)

    def fields(row: Row) -> dict[str, Any]:
        gap = row.difference
        return {
            "baseline": row.baseline and row.baseline.label,
            "paired": gap and gap.paired,
            "pairs": gap and (gap.n if gap.paired else None),
            "difference": gap and gap.mean,
            "difference_low": gap and gap.low,
            "difference_high": gap and gap.high,
            "difference_over": gap.over if gap and gap.low is not None else None,
        }

    return Column("difference", cell, fields, lambda row: row.difference and row.difference.mean * (1 if loss else -1))


def _wins_column(question: Question) -> Column:
    def order(row: Row) -> float | None:
        return None if (of := wins(row, question)) is None else -of[0] / of[1]

    return Column(
        "wins",
        lambda row: NOTHING if (of := wins(row, question)) is None else f"{of[0]}/{of[1]}",
        lambda row: {"wins": (of := wins(row, question)) and of[0]},
        order,
    )


def _verdict_column(question: Question) -> Column:
    order = ("same", "different", "unknown")
    return Column(
        "verdict" if question.same is None else f"same within {margin_text(question.same, loss=question.is_loss)}?",
        lambda row: NOTHING if row.verdict is None else verdict_text(row, question),
        lambda row: {
            "verdict": row.verdict,
            "seeds_needed": row.seeds_needed,
            "p_same": row.sameness.p if row.sameness else None,
        },
        lambda row: None if row.verdict is None else order.index(row.verdict),
        on_demand=question.same is None,
    )


def verdict_text(row: Row, question: Question) -> str:
    """same; different; unknown (16 seeds would decide)."""
    if row.verdict != "unknown" or question.same is None:
        smaller = row.verdict == "same" and row.different
        return f"{row.verdict} (a smaller difference)" if smaller else str(row.verdict)
    if row.sameness is None:
        return "unknown (at least three seeds are needed)"
    if row.seeds_needed is None:
        return "unknown (no number of seeds decides)"
    at_zero = row.seeds_needed == row.sameness.seeds
    return f"unknown ({row.seeds_needed if at_zero else about(row.seeds_needed)} seeds would decide)"


SEEDS = Column(
    "seeds",
    lambda row: row.arm.counts,
    lambda row: {
        "seeds": len(row.arm.complete),
        "diverged": len(row.arm.diverged),
        "unfinished": len(row.arm.unfinished),
    },
    lambda row: -len(row.arm.complete),
)
P = Column(
    "p",
    lambda row: p_text(row.p) if row.p is not None else row.tested.why or NOTHING,
    lambda row: {
        "p": row.difference and row.difference.p,
        "p_adjusted": row.p,
        "correction": row.tested.correction,
        "comparisons": row.tested.comparisons or None,
        "not_tested": row.tested.why,
        "alias_of": row.tested.alias_of,
    },
    lambda row: row.p,
)
SHARES = Column(
    "seeds/images/both",
    lambda row: NOTHING if (of := shares(row.difference)) is None else "/".join(f"{100 * share:.0f}" for share in of),
    lambda row: dict(
        zip(("share_seeds", "share_images", "share_both"), shares(row.difference) or (None,) * 3, strict=True)
    ),
    lambda row: None if (of := shares(row.difference)) is None else -of[0],
    on_demand=True,
)
SECONDS = Column(
    "s/epoch",
    lambda row: NOTHING if row.epoch_seconds is None else f"{row.epoch_seconds:.2f}",
    lambda row: {"epoch_seconds": row.epoch_seconds},
    lambda row: row.epoch_seconds,
)
PARAMETERS = Column(
    "params",
    lambda row: f"{row.parameters:,}",
    lambda row: {"parameters": row.parameters},
    lambda row: row.parameters,
)


def _config(table: Table) -> dict[str, Column]:
    """A column for each setting of any arm, in the order of a config file."""
    keys = dict.fromkeys(key for row in table.rows for key in row.arm.config)

    def column(key: str) -> Column:
        def cell(row: Row) -> str:
            value = row.arm.config.get(key, "")
            return value if isinstance(value, str) else json.dumps(value)

        def order(row: Row) -> tuple[bool, Any] | None:
            value = row.arm.config.get(key)
            is_number = isinstance(value, int | float)
            return None if value is None else (not is_number, value if is_number else str(value))

        return Column(key, cell, lambda row: {key: row.arm.config.get(key)}, order, is_setting=True)

    return {key: column(key) for key in keys}


def _settings(table: Table, key: str) -> set[str]:
    """The different values of a setting among the arms that have it."""
    return {json.dumps(row.arm.config[key]) for row in table.rows if key in row.arm.config}
