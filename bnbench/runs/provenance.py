"""Where a run came from: versions, processor, commit. torch is not imported; its metadata has its version.

Nothing here names the machine or a user's folders, so results can be published unchanged.
"""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bnbench

# Two runs of one config have the same bytes if these are equal.
SAME_BYTES = ("bnbench", "torch", "platform", "processor")
PACKAGES = ("torch", "numpy", "torchvision", "mlxtend")


@cache
def provenance() -> dict[str, Any]:
    """The provenance that run.json records, computed once for each process. Values are text, numbers, bools or None."""
    commit, dirty = _git_commit()
    return {
        "bnbench": bnbench.__version__,
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git_commit() -> tuple[str | None, bool | None]:
    """The commit of bnbench's source, and whether it has uncommitted changes; both None outside a git checkout."""
    source = Path(bnbench.__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if not git("ls-files", "__init__.py"):  # bnbench is installed inside a checkout of something else
            return None, None
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return None, None
