"""Everything that can go wrong for a user, each with its documented exit code.

    BnbenchError            3  (the base; also an unexpected failure of a run)
    ├── CheckFailed         1  a check failed
    ├── ConfigError         2  a config or an option is wrong
    ├── RunError            3  a run, or a place to write it, failed
    ├── ResultsError        3  nothing readable to compare
    ├── DataError           4  a dataset is missing or damaged
    │   └── DataMissing     4  … neither cached nor downloadable: the only case with a fallback
    └── Interrupted         130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP)

The message is what the user reads: one sentence that names the thing and the next step.
"""


class BnbenchError(Exception):
    """A failure that ends in a sentence, never in a traceback."""

    exit_code = 3


class CheckFailed(BnbenchError):
    """A check of `bnbench verify` failed; what it found has been printed."""

    exit_code = 1


class ConfigError(BnbenchError):
    """A config file or a command-line option is wrong; nothing has been written."""

    exit_code = 2


class RunError(BnbenchError):
    """A run failed, or its results cannot be written."""


class ResultsError(BnbenchError):
    """A results folder or a run in it cannot be read."""


class DataError(BnbenchError):
    """A dataset is damaged; it is never trained on."""

    exit_code = 4


class DataMissing(DataError):
    """A dataset is neither cached nor downloadable."""


class Interrupted(BnbenchError):
    """Ctrl-C, SIGTERM or SIGHUP ended the command; `exit_code` is 128 + the signal's number."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def failure(error: Exception) -> str:
    """What went wrong, on one line."""
    text = " ".join(str(error).split())
    # For out of memory, a norm that refuses its input and our own errors, the text says enough.
    foreseen = isinstance(error, RuntimeError | ValueError | MemoryError | BnbenchError)
    return text if text and foreseen else f"{type(error).__name__}: {text}".rstrip(": ")
