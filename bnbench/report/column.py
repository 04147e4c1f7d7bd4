"""A column of a comparison."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bnbench.analysis.compare import Row


@dataclass(frozen=True)
class Column:
    """One column. `order` sorts the best or the smallest first; None comes last."""

    heading: str
    cell: Callable[[Row], str]
    fields: Callable[[Row], dict[str, Any]]
    order: Callable[[Row], Any]
    is_setting: bool = False  # a key of the config
    on_demand: bool = False  # on screen only if --columns names it
