"""Notes below a table: one sentence, with a kind, about each thing that is left out or was not found."""

from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What a note is about. Exit codes depend on the kind, never on the text."""

    UNREADABLE = auto()  # a file or folder that may hold runs cannot be read
    NOT_SHOWN = auto()  # the question does not apply to a group of runs
    NOT_FOUND = auto()  # a path has no runs
    LEFT_OUT = auto()  # no mean includes a run: it diverged, is unfinished, or is there twice
    SETTINGS = auto()  # a run's config is missing or does not match its digest
    NAME = auto()  # what a shortened name stands for
    BASELINE = auto()  # arms have no baseline
    IMAGES = auto()  # arms have no interval over test images
    GATE = auto()  # --fail-if does not judge an arm


@dataclass(frozen=True)
class Note:
    """One sentence. str() gives it on one line."""

    kind: Kind
    text: str

    @property
    def hides_results(self) -> bool:
        """Whether there may be results that the tables do not show."""
        return self.kind in (Kind.UNREADABLE, Kind.NOT_SHOWN)

    def __str__(self) -> str:
        return self.text.replace("\n", "\\n")  # a line break in a folder's name must not forge a line
