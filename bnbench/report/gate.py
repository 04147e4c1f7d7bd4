"""`--fail-if "valid_accuracy < 0.97"`: conditions on every arm of a comparison, as for CI."""

import json
import math
import operator
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bnbench.analysis.arms import Group
from bnbench.analysis.compare import Question, Row, Table, mean_of
from bnbench.analysis.measures import MEASURES
from bnbench.console import COMPARISON_SCHEMA_VERSION
from bnbench.errors import ConfigError
from bnbench.files import read_bounded
from bnbench.report.column import Column
from bnbench.report.columns import available
from bnbench.runs.notes import Kind, Note

HOLDS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
MAX_BYTES = 100_000_000
OLD_NAMES = {"p_holm": "p_adjusted"}  # of schema version 1
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
GATE = re.compile(
    rf"""\s* (?P<field> [a-z][a-z0-9_.]*)          # valid_accuracy
        \s* (?P<sign> <=? | >=?)                   # <
        \s* (?: (?P<number> {NUMBER})              # 0.97, or
              | (?P<file> \S.*?)                   # saved.json
                (?: \s+ (?P<plus> [-+] \s* {NUMBER}) )?   # - 0.002
             )
        \s*""",
    flags=re.VERBOSE,
)
EXAMPLES = 'as in "valid_accuracy < 0.97", or against saved JSON, "valid_accuracy < saved.json - 0.002"'


@dataclass(frozen=True)
class Gate:
    """The comparison fails if `field sign limit` holds for any arm. With `saved`, limit is added to the saved value."""

    text: str
    field: str
    sign: str
    limit: float
    saved: dict[tuple[Any, ...], dict[str, Any]] | None  # an arm's fields, by `_identity`


def parse_gate(text: str) -> Gate:
    """Parse a condition. Raises ConfigError for a wrong condition, or if its file is not a saved comparison."""
    found = GATE.fullmatch(text)
    if found is None:
        raise ConfigError(f"--fail-if {text}: must be FIELD < NUMBER, {EXAMPLES}")
    field, sign = found["field"], found["sign"]
    if field in OLD_NAMES:
        raise ConfigError(f"--fail-if {text}: {field} has another name now: write {OLD_NAMES[field]}")
    limit = float((found["number"] or found["plus"] or "0").replace(" ", ""))
    if not math.isfinite(limit):
        raise ConfigError(f"--fail-if {text}: must have a finite number")
    if found["number"] and field.endswith("accuracy") and not 0 <= limit <= 1:
        raise ConfigError(f"--fail-if {text}: accuracies are fractions here: write 0.97 for 97 %")
    saved = None if found["file"] is None else _read_saved(text, Path(found["file"]))
    return Gate(text, field, sign, limit, saved)


def failures(gate: Gate, tables: Sequence[Table], notes: list[Note]) -> Iterator[str]:
    """A sentence for each arm that fails, cannot be judged, or was saved and is missing. Notes name the new arms.

    Raises ConfigError for an unknown field.
    """
    missing = dict(gate.saved or {})
    _check_field(gate, tables)
    for table in tables:
        columns, name = available(table), _full_name(gate.field, table)
        if gate.field not in MEASURES and name not in _fields(columns, table.rows[0]):
            continue  # as test accuracy for runs that do not hold images out
        compared = {key: column for key, column in columns.items() if key in ("difference", "p", "verdict", "shares")}
        without_baseline = _fields(compared, table.rows[0])
        for row in table.rows:
            value = _value(gate, row, columns, table.question)
            if row.is_baseline and name in without_baseline:
                continue  # a baseline has no difference
            limit: float | None = gate.limit
            if gate.saved is not None:
                then = missing.pop(_identity(vars(table.group), row.arm.name, row.arm.digest), None)
                if then is None:
                    text = f"--fail-if {gate.text}: {row.arm.label} is not in the saved comparison, so not judged"
                    notes.append(Note(Kind.GATE, text))
                    continue
                number = then.get(name)
                limit = number + gate.limit if _is_number(number) else None
            if value is None or limit is None:
                where = "" if value is None else " in the saved one"
                yield f"{gate.text}: {row.arm.label} has no {name} to judge{where}"
            elif HOLDS[gate.sign](value, limit):
                yield f"{gate.text}: {row.arm.label} has {name} {value:.6g}"
    for identity in missing:
        yield f"{gate.text}: {identity[-2]} is in the saved comparison and not in this one"


def _full_name(field: str, table: Table) -> str:
    """valid_accuracy → final_valid_accuracy, or as --at says."""
    return table.question.of(field).column if field in MEASURES else field


def _check_field(gate: Gate, tables: Sequence[Table]) -> None:
    """Raises ConfigError if no table has a number with that name."""
    numbers = dict.fromkeys(MEASURES)
    for table in tables:
        columns = available(table)
        for row in table.rows:
            fields = _fields(columns, row)
            if gate.field in MEASURES or fields.get(gate.field, "") is None or _is_number(fields.get(gate.field)):
                return
            numbers |= dict.fromkeys(key for key, value in fields.items() if _is_number(value))
    raise ConfigError(f"--fail-if {gate.text}: there is no number {gate.field}; there are {', '.join(numbers)}")


def _fields(columns: dict[str, Column], row: Row) -> dict[str, Any]:
    return {key: value for column in columns.values() for key, value in column.fields(row).items()}


def _value(gate: Gate, row: Row, columns: dict[str, Column], question: Question) -> float | None:
    if gate.field in MEASURES:
        mean = mean_of(row.arm, question.of(gate.field))
        return mean.mean if mean else None
    value = _fields(columns, row)[gate.field]
    return float(value) if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _identity(group: dict[str, Any], arm: Any, digest: Any) -> tuple[Any, ...]:
    keys = [field.name for field in fields(Group) if field.name != "dataset"]  # the SHA-256 identifies it
    return (*(str(group.get(key)) for key in keys), str(arm), str(digest))


def _read_saved(text: str, path: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    try:
        saved = json.loads(read_bounded(path, MAX_BYTES))
        if not 1 <= saved["schema_version"] <= COMPARISON_SCHEMA_VERSION:
            raise ConfigError(f"--fail-if {text}: {path} was written by a newer bnbench; update to read it")
        arms = {
            _identity(group, arm["arm"], arm["digest"]): {OLD_NAMES.get(name, name): arm[name] for name in arm}
            for group in saved["groups"]
            for arm in group["arms"]
        }
    except OSError as error:
        raise ConfigError(f"--fail-if {text}: {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError(
            f"--fail-if {text}: {path} is not a saved comparison; make one with bnbench compare PATH --format json"
        ) from None
    if not arms:
        raise ConfigError(f"--fail-if {text}: {path} holds no arm")
    return arms
