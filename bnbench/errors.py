"""The errors that users see, each with its documented exit code.

    BnbenchError            3  (the base class; also an unexpected failure of a run)
    ├── CheckFailed         1  a check failed
    ├── ConfigError         2  a config or an option is wrong
    ├── RunError            3  a run failed or cannot be written
    ├── ResultsError        3  results cannot be read
    │   └── RowsError       3  … only its tables of epochs
    ├── DataError           4  a dataset is missing or damaged
    │   └── DataMissing     4  … neither in the data folder nor downloadable: the only error with a fallback
    └── Interrupted         130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP)

The user reads only the message: a sentence that names the problem and the next step.
"""


class BnbenchError(Exception):
    """The base class. The command line prints the message without a traceback."""

    exit_code = 3


class CheckFailed(BnbenchError):
    """A check, such as one of `bnbench verify`, or a norm of the user's own failed. Its result has been printed."""

    exit_code = 1


class ConfigError(BnbenchError):
    """A config file or a command-line option is wrong; nothing has been written."""

    exit_code = 2


class RunError(BnbenchError):
    """A run failed, or its results cannot be written."""


class ResultsError(BnbenchError):
    """A results folder or a run in it cannot be read."""


class RowsError(ResultsError):
    """metrics.csv or timing.csv cannot be read. The rest of the run may be whole."""


class DataError(BnbenchError):
    """A dataset is damaged or cannot be read. Nothing is trained on it."""

    exit_code = 4


class DataMissing(DataError):
    """A dataset is not in the data folder and cannot be downloaded."""


class Interrupted(BnbenchError):
    """Ctrl-C, SIGTERM or SIGHUP ended the command; `exit_code` is 128 + the signal's number."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def failure(error: Exception) -> str:
    """The message of an error on one line, with the name of its class where the message is not enough."""
    text = " ".join(str(error).split())
    # These cover out of memory, a norm that refuses its input, and our own errors. Their text is enough.
    foreseen = isinstance(error, RuntimeError | ValueError | MemoryError | BnbenchError)
    return text if text and foreseen else f"{type(error).__name__}: {text}".rstrip(": ")
