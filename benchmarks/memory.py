"""Peak memory of full-MNIST runs, above that of a process that has only imported torch.

    python benchmarks/memory.py        5 minutes; --data-dir names the folder with MNIST

Target: at most 500 MB above. If the folder has the original files, one run reads them with torchvision, like the
first run after a download. The others read the cache, like later runs.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import idle
from rich.console import Console
from rich.table import Table

from bnbench.data.datasets import data_dir

TARGET_MB = 500


def peak_mb(command: list[str]) -> float:
    """The largest resident set of one child process, in MB (10^6 bytes)."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB on Linux
    return usage.ru_maxrss * unit / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument(
        "--repeats", type=int, default=3, help="processes of each; the table has their median and range"
    )
    arguments = parser.parse_args()
    idle.watch()
    folder = data_dir(arguments.data_dir)
    base = peak_mb([sys.executable, "-c", "import torch"])
    table = Table("process", "peak MB", "above torch", "range", "target", "ratio")
    table.add_row("import torch", f"{base:.0f}", "", "", "", "")
    with tempfile.TemporaryDirectory() as scratch:
        cases = {
            f"{name}, from the cache": (name, folder)
            for name in ("mlp_bn", "cnn_bn", "cnn_bn_custom", "norms/cnn_layer")
        }
        originals = folder / "MNIST" / "raw"
        if originals.exists():
            fresh = Path(scratch) / "data"
            (fresh / "MNIST").mkdir(parents=True)
            (fresh / "MNIST" / "raw").symlink_to(originals.resolve())
            cases["mlp_bn, from the original files"] = ("mlp_bn", fresh)
        for label, (name, data) in cases.items():
            command = [
                sys.executable,
                "-m",
                "bnbench",
                "run",
                f"configs/{name}.yaml",
                "--set",
                "train.epochs=1",
                "--device",
                "cpu",
            ]
            command += ["--no-fallback", "--data-dir", str(data), "--out", f"{scratch}/{label}", "--quiet", "--force"]
            peaks = sorted(peak_mb(command) for _ in range(arguments.repeats))
            peak = statistics.median(peaks)
            above = peak - base
            spread = f"{peaks[0] - base:.0f} to {peaks[-1] - base:.0f}"
            table.add_row(label, f"{peak:.0f}", f"{above:.0f}", spread, f"{TARGET_MB}", f"{above / TARGET_MB:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
