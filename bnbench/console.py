"""What both halves print with: stdout is data, stderr is talk, and nothing from a file is ever rendered."""

import re
import sys
from typing import Any

from rich.console import Console

# C0 and C1 controls but newline, and the bidirectional controls that can make text read backwards.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


MAX_SHOWN = 200
JSON_SCHEMA_VERSION = 1  # of everything that `--format json` prints, as "schema_version"


def clean(text: str) -> str:
    """`text` with control characters shown as escapes, so that a name can move no cursor."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def inert(value: Any) -> str:
    """A value from a file, of any kind, as one line of bounded length that does nothing but be read."""
    text = clean(str(value)).replace("\n", "\\n")
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would exit with 1, which is for checks that failed."""
        raise BrokenPipeError


def stdout() -> Console:
    """Never truncates when piped: a pipe is as wide as its lines."""
    width = None if sys.stdout is not None and sys.stdout.isatty() else 10_000
    return _Console(width=width, markup=False, highlight=False, emoji=False)


def stderr() -> Console:
    return _Console(stderr=True, soft_wrap=True, markup=False, highlight=False, emoji=False)


def say(message: str) -> None:
    """Talk: a line on stderr."""
    stderr().print(clean(message))
