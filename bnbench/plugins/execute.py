"""A person's Python file, run as a module; and the line and the words of what it raises."""

import hashlib
import sys
import traceback
from types import ModuleType

SECONDS = 60.0  # for a file of norms to run, and for each promise that its norms are held to


def execute(path: str, code: bytes) -> ModuleType:
    """The file as a module; once a process, so that its classes are the same ones. Raises what the file raises."""
    name = f"bnbench_norms_{hashlib.sha256(path.encode() + code).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module  # dataclasses and pickle look for it
    try:
        exec(compile(code, path, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def line_of(error: BaseException, path: str, otherwise: int = 1) -> int:
    """The line of the file at which an error came up."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or otherwise
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return (lines[-1] if lines else None) or otherwise


def described(error: BaseException) -> str:
    """The error in one line of bounded length."""
    text = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    return f"{type(error).__name__}: {text:.300}".rstrip(": ")
