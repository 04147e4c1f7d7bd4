"""Printing: results go to stdout, progress and messages to stderr. Text from files is never rendered as markup."""

import re
import sys
from typing import Any

from rich.console import Console

# C0 and C1 controls except newline, and the bidirectional controls, which can reverse text.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


MAX_SHOWN = 200
JSON_SCHEMA_VERSION = 1  # "schema_version" in what `--format json` prints
COMPARISON_SCHEMA_VERSION = 2  # the same for `compare`; 1 had p_holm, and intervals over seeds alone


def clean(text: str) -> str:
    """`text` with control characters as escapes, so that a name cannot move the cursor."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def inert(value: Any) -> str:
    """Any value from a file as one line of bounded length without control characters."""
    text = clean(str(value)).replace("\n", "\\n")
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise, because rich would exit with 1, which means that a check failed."""
        raise BrokenPipeError


def stdout() -> Console:
    """A console for results. It does not wrap or truncate lines when stdout is piped."""
    width = None if sys.stdout is not None and sys.stdout.isatty() else 10_000
    return _Console(width=width, markup=False, highlight=False, emoji=False)


def stderr() -> Console:
    """A console for progress and messages."""
    return _Console(stderr=True, soft_wrap=True, markup=False, highlight=False, emoji=False)


def say(message: str) -> None:
    """Print a message on stderr."""
    stderr().print(clean(message))


def nothing(_: str) -> None:
    """In place of `say`: print nothing."""
