"""What is said beside the numbers: one typed sentence on each thing that they leave out, or that was not found."""

from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What a note is about. Exit codes depend on it, never on the words."""

    UNREADABLE = auto()  # runs may be there that nobody has read
    NOT_SHOWN = auto()  # a group that the question does not fit
    NOT_FOUND = auto()  # a path without runs
    LEFT_OUT = auto()  # a run that is in no mean: diverged, unfinished, or there twice
    SETTINGS = auto()  # a run's config is missing, or not the one of its digest
    BASELINE = auto()  # arms that are compared with nothing
    BOOTSTRAP = auto()  # differences without an interval over images
    GATE = auto()  # an arm that --fail-if does not judge


@dataclass(frozen=True)
class Note:
    """One sentence of one line; str() gives it."""

    kind: Kind
    text: str

    @property
    def hides_results(self) -> bool:
        """Whether there may be results that no table shows."""
        return self.kind in (Kind.UNREADABLE, Kind.NOT_SHOWN)

    def __str__(self) -> str:
        return self.text.replace("\n", "\\n")  # a folder's name may hold a line break, and must not forge a line
