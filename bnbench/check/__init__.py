"""One's own layer, held against a reference batch norm; what is wrong gets a name.

check(Path("my_norm.py")) → what was found, as `bnbench check --format json` prints it. The file is run in a process
of its own, with a limit of time. Needs no torch here.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from bnbench.errors import CheckFailed, ConfigError

NORMS = ("batch", "layer", "group", "instance", "rms")
SECONDS = 20.0  # a right layer takes one or two
START = 60.0  # for the process to start and import torch


def check(target: str, against: str = "batch", seconds: float = SECONDS) -> dict[str, Any]:
    """What was found of the layer in FILE or FILE:NAME.

    Raises ConfigError where it cannot be loaded, CheckFailed where it exceeds the limit or ends the process.
    """
    file, name = _split(target)
    if not file.is_file():
        raise ConfigError(f"{file}: is a folder; name a file in it" if file.is_dir() else f"{file}: no such file")
    found = _in_a_process(file, name, against, seconds)
    if isinstance(found, int):
        raise CheckFailed(f"{target}: ended the process that checked it (exit code {found})")
    if "cannot_load" in found:
        raise ConfigError(found["cannot_load"])
    if "time" in found:
        raise CheckFailed(f"{found['time'] or file.name}: takes longer than {seconds:g} s")
    return found


def _in_a_process(file: Path, name: str, against: str, seconds: float) -> dict[str, Any] | int:
    """What a process of its own finds, or its exit code if it ends without a result."""
    command = [sys.executable, "-P", "-m", "bnbench.check.child", str(file), name, against, str(seconds)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=START + seconds)
        except subprocess.TimeoutExpired:
            return {"time": ""}
        finally:
            with suppress(OSError):  # and what the user's code started
                os.killpg(process.pid, signal.SIGKILL)
    try:
        found: dict[str, Any] = json.loads(output)
    except ValueError:
        return process.returncode
    return found


def _split(target: str) -> tuple[Path, str]:
    """FILE:NAME → both; a file may have a colon in its name too."""
    file, colon, name = target.rpartition(":")
    if colon and not Path(target).exists() and name.isidentifier():
        return Path(file), name
    return Path(target), ""
