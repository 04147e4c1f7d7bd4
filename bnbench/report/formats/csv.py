"""CSV: one row for each record."""

import io
from typing import Any

from rich.console import Console

from bnbench.report.formats.view import View


def show(view: View, console: Console) -> None:
    print_csv(view.records(), console)


def print_csv(records: list[dict[str, Any]], console: Console) -> None:
    import pandas as pd  # takes half a second, and only this format needs it

    text = io.StringIO()
    pd.DataFrame(records, dtype=object).to_csv(text, index=False, lineterminator="\n")
    console.print(text.getvalue(), end="", soft_wrap=True)
