"""Rows → what `bnbench verify` prints: a table of a row a check, or JSON."""

import json
import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bnbench.console import JSON_SCHEMA_VERSION
from bnbench.verify.rows import Row
from bnbench.verify.worked import Example

LEGEND = (
    "relative: the largest error over the largest expected value of its tensor; allowed are 1e-10 in float64, 1e-05 in"
    " float32, 1e-03 in float16 and 8e-03 in bfloat16, but for checks that cost digits themselves. A yes or no has the"
    " error 0 or inf."
)


def print_table(rows: Sequence[Row], examples: Sequence[Example], console: Console) -> None:
    """A block for each norm, then the worked examples."""
    names, labels = (max((len(getattr(row, part)) for row in rows), default=0) for part in ("norm", "check"))
    wide = console.width >= names + labels + 41  # the columns that the whole table needs
    complete = console.width >= labels + 40  # without the column of norms: each norm is a title
    order = list(dict.fromkeys(row.check for row in rows))
    for norm in dict.fromkeys(row.norm for row in rows):
        if not wide:
            console.print(norm, style="bold")
        table = Table(box=None, show_header=norm == rows[0].norm or not wide, pad_edge=False, padding=(0, 1, 0, 0))
        if wide:
            table.add_column("norm", min_width=names, no_wrap=True)
        table.add_column("check", min_width=labels, no_wrap=True)
        table.add_column("in", min_width=len("float64"), no_wrap=True)
        for heading in ("absolute", "relative", "allowed") if complete else ("relative",):
            table.add_column(heading, min_width=8 if heading != "allowed" else 7, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        for row in sorted(rows, key=lambda row: order.index(row.check)):
            if row.norm == norm:
                outcome = "ok" if row.passed else "FAIL"
                errors = [f"{row.relative:.1e}"]
                if complete:
                    errors = [f"{row.absolute:.1e}", *errors, f"{row.tolerance:.0e}"]
                cells = [*([norm] if wide else []), row.check, row.dtype, *errors, outcome]
                table.add_row(*cells, style=None if row.passed else "bold red")
        console.print(table)
        console.print()
    for row in rows:
        if not row.passed:
            console.print(f"FAIL {row.norm}, {row.check}, {row.dtype}: {row.case}")
    console.print(LEGEND)
    for example in examples:
        console.print()
        console.print(example.title, style="bold")
        for line in example.lines:
            console.print(f"  {line}", no_wrap=False)


def print_json(rows: Sequence[Row], console: Console) -> None:
    """Full precision; an infinite error is null."""
    checks = [
        {
            "norm": row.norm,
            "check": row.check,
            "dtype": row.dtype,
            "absolute_error": row.absolute if math.isfinite(row.absolute) else None,
            "relative_error": row.relative if math.isfinite(row.relative) else None,
            "tolerance": row.tolerance,
            "passed": row.passed,
            "case": row.case,
        }
        for row in rows
    ]
    data = {"schema_version": JSON_SCHEMA_VERSION, "passed": all(row.passed for row in rows), "checks": checks}
    console.print(json.dumps(data, indent=2, ensure_ascii=False), soft_wrap=True)
