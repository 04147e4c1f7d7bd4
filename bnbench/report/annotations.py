"""Annotations: lines that a hosted CI shows beside a job's result. GitHub Actions reads them from stdout and stderr."""

import os
from collections.abc import Iterator, Sequence

# "Workflow commands" in the documentation of GitHub Actions: a message has these characters as codes.
ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}


def annotations(level: str, title: str, sentences: Sequence[str]) -> Iterator[str]:
    """A line for each sentence where a CI reads such lines, else none. `level` is error or warning.

    `title` has no colon and no comma.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for sentence in sentences:
        yield f"::{level} title={title}::{''.join(ESCAPES.get(letter, letter) for letter in sentence)}"
