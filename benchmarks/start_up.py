"""Start-up time: `bnbench --help` and `bnbench compare` on 60 of the reference runs, each a fresh process.

    python benchmarks/start_up.py      15 seconds

Targets: --help under 0.4 s, compare under 2 s, both without importing torch (the tests check that).
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import idle
from rich.console import Console
from rich.table import Table

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
ARMS = ("mlp_bn", "mlp_no_bn", "mlp_bn_builtin", "cnn_bn", "cnn_no_bn", "cnn_bn_custom")  # 10 seeds each
COMMANDS = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "bnbench --help": ([sys.executable, "-m", "bnbench", "--help"], 0.4),
    "bnbench compare (60 runs)": (
        [sys.executable, "-m", "bnbench", "compare", *(str(REFERENCE / arm) for arm in ARMS)],
        2.0,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11, help="fresh processes of each; the median counts")
    arguments = parser.parse_args()
    idle.watch()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(arguments.repeats):
        for name, (command, _) in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    table = Table("command", "median s", "target s", "ratio to target", title=f"n = {arguments.repeats}")
    for name, (_, target) in COMMANDS.items():
        median = statistics.median(seconds[name])
        table.add_row(name, f"{median:.2f}", f"{target or ''}", f"{median / target:.2f}" if target else "")
    Console().print(table)


if __name__ == "__main__":
    main()
