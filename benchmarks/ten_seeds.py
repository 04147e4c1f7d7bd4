"""Ten seeds of one config as whole commands: start-up, data, training, validation and files.

    python benchmarks/ten_seeds.py --data-dir FOLDER                 mlp_bn on full MNIST, 3 rounds: about 25 minutes
    python benchmarks/ten_seeds.py --data-dir FOLDER --rounds 1      about 8 minutes

The commands take turns. "the tutorial" is its program for one network, times ten, because it trains one after another.
"JAX" is jax_mlp.py on all cores; its row is there if JAX is installed. Memory is the largest sum over all processes of
the command; a page that processes share counts once.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import idle
from rich.console import Console
from rich.table import Table

from bnbench.data.datasets import data_dir

CONFIG = "configs/mlp_bn.yaml"
HERE = Path(__file__).parent
TUTORIAL = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {here!r})
from speed import tutorial
from bnbench.data import datasets
torch.set_num_threads(1)
dataset, _ = datasets.load("mnist", Path({data!r}))
epoch = tutorial("mlp_bn", dataset)
for _ in range(10):
    epoch()
"""


def processes(pid: int) -> list[int]:
    """A process and all processes below it."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [one for child in children.read_text().split() for one in processes(int(child))]
        except OSError:
            continue  # it has ended
    return found


def megabytes(pid: int) -> float:
    total = 0
    for one in processes(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds, and the largest memory in MB (0 where the system does not say)."""
    begun, most = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            most = max(most, megabytes(process.pid))
            time.sleep(0.5)
        if process.returncode:
            raise SystemExit(f"{command[:4]} failed: {process.stderr.read()[-300:] if process.stderr else ''}")
    return time.perf_counter() - begun, most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    data = str(data_dir(arguments.data_dir))
    idle.watch()
    run = [sys.executable, "-m", "bnbench", "run", CONFIG, "--seeds", "0..9", "--data-dir", data]
    commands = {
        "bnbench, --jobs 2": [*run, "--jobs", "2"],
        "bnbench, --jobs 1": [*run, "--jobs", "1"],
        "bnbench, --jobs 2 --engine eager": [*run, "--jobs", "2", "--engine", "eager"],
        "the tutorial": [sys.executable, "-c", TUTORIAL.format(here=str(HERE), data=data)],
    }
    if importlib.util.find_spec("jax"):
        commands["JAX"] = [sys.executable, str(HERE / "jax_mlp.py"), "--data-dir", data]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory() as out:
                seconds, most = timed([*command, "--out", out] if "bnbench" in name else command)
            found[name].append((seconds * (10 if name == "the tutorial" else 1), most))
    medians = {name: statistics.median(one for one, _ in all_) for name, all_ in found.items()}
    table = Table(
        "ten seeds of mlp_bn", "seconds", "from", "to", "the tutorial's", "MB", title=f"n = {arguments.rounds}"
    )
    for name, all_ in found.items():
        times = [one for one, _ in all_]
        ratio = medians["the tutorial"] / medians[name]
        most = statistics.median(one for _, one in all_)
        table.add_row(
            name, f"{medians[name]:.1f}", f"{min(times):.1f}", f"{max(times):.1f}", f"{ratio:.1f}", f"{most:,.0f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
