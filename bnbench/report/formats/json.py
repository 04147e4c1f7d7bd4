"""JSON: one value. It has no NaN and no infinity."""

import json
from typing import Any

from rich.console import Console

from bnbench.report.formats.view import View


def show(view: View, console: Console) -> None:
    print_json(view.value(), console)


def print_json(value: Any, console: Console) -> None:
    console.print(json.dumps(value, indent=2, allow_nan=False), soft_wrap=True)
