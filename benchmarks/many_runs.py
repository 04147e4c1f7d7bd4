"""The overhead of many runs: the first, each further one, a sweep of a thousand; and the gain from --jobs.

    python benchmarks/many_runs.py                                  # overhead and the sweep: 5 minutes
    python benchmarks/many_runs.py --speed --data-dir FOLDER        # ten seeds of mlp_bn on full MNIST: 15 minutes

Overhead is the time of the command minus the seconds in the runs' timing.csv (training and validation), divided
by the number of processes. Memory is the resident memory of the command and of its largest worker.
"""

import argparse
import csv
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import idle
from rich.console import Console
from rich.table import Table

CONFIGS = Path(__file__).parent.parent / "configs"
TINY = """\
name: tiny
data: {dataset: mnist5k, batch_size: 50, train_limit: 200, valid_limit: 100}
model: {type: mlp, hidden: [8]}
norm: {type: batch}
train: {epochs: 2, optimizer: {type: sgd, lr: 0.1}}
device: cpu
"""


@dataclass
class Sample:
    """The processes of a command at one moment; memory in MB."""

    seconds: float
    own: float
    largest_worker: float
    files: int  # open in the command itself
    processes: int


def children(pid: int) -> list[int]:
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *children(int(child))]
    return found


def resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(*arguments: object) -> tuple[float, list[Sample]]:
    """The seconds that `bnbench run ...` takes, and samples of its processes."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "bnbench", "run", *map(str, arguments), "--quiet", "--no-fallback"]
    samples = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(0.1)
            try:
                workers = children(process.pid)
                samples.append(
                    Sample(
                        time.perf_counter() - start,
                        resident(process.pid),
                        max(map(resident, workers), default=0.0),
                        len(list(Path(f"/proc/{process.pid}/fd").iterdir())),
                        1 + len(workers),
                    )
                )
            except OSError:
                pass  # a process has just ended
        assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return time.perf_counter() - start, samples


def trained(out: Path) -> float:
    """The seconds of training and validation of all runs below `out`."""
    seconds = 0.0
    for path in out.rglob("timing.csv"):
        with path.open() as file:
            seconds += sum(float(row["train_seconds"]) + float(row["valid_seconds"]) for row in csv.DictReader(file))
    return seconds


def overhead(work: Path, config: Path, repeats: int, data: list[object]) -> Table:
    """The overhead of one run, and of each further run in a command of 21 runs, in one process."""
    first: list[float] = []
    further: list[float] = []
    for repeat in range(repeats):
        for runs, seconds in ((1, first), (21, further)):
            out = work / f"overhead-{repeat}-{runs}"
            wall, _ = measure(config, "--seeds", f"0..{runs - 1}", "--jobs", 1, "--out", out, *data)
            seconds.append(wall - trained(out))
    each = [(many - one) / 20 for one, many in zip(first, further, strict=True)]
    table = Table("overhead", "median s", "range", "target s", title=f"{config.stem}, n = {repeats}")
    for name, values, target in (("one run, from a cold start", first, 4.0), ("each further run", each, 0.3)):
        table.add_row(
            name, f"{statistics.median(values):.2f}", f"{min(values):.2f} to {max(values):.2f}", f"{target:.1f}"
        )
    return table


def ending(work: Path, config: Path, repeats: int) -> Table:
    """The time from Ctrl-C or SIGTERM in the third epoch until the command and its processes have ended."""
    table = Table("from the signal to the end", "median s", "range", "target s", title=f"n = {repeats}")
    for jobs in (1, 2):
        for number in (signal.SIGINT, signal.SIGTERM):
            seconds = []
            for repeat in range(repeats):
                out = work / f"ending-{jobs}-{number}-{repeat}"
                command = [sys.executable, "-m", "bnbench", "run", str(config), "--out", str(out), "--jobs", str(jobs)]
                command += ["--seeds", "0..1", "--set", "train.epochs=10000"]
                # A shell's background jobs ignore SIGINT, and their child processes inherit that.
                heed = f"import os, signal; signal.signal(2, signal.SIG_DFL); os.execv({command[0]!r}, {command!r})"
                with subprocess.Popen([sys.executable, "-c", heed], stderr=subprocess.PIPE, text=True) as process:
                    assert process.stderr
                    next(line for line in process.stderr if "epoch 3/" in line)
                    start = time.perf_counter()
                    process.send_signal(number)
                    process.communicate()
                    seconds.append(time.perf_counter() - start)
                assert process.returncode == 128 + number
            table.add_row(
                f"{number.name}, --jobs {jobs}",
                f"{statistics.median(seconds):.2f}",
                f"{min(seconds):.2f} to {max(seconds):.2f}",
                "2",
            )
    return table


def sweep(work: Path, config: Path, runs: int) -> Table:
    columns = []
    for jobs in (1, 2):
        start, _ = measure(config, "--seeds", f"0..{jobs - 1}", "--jobs", jobs, "--out", work / f"start-{jobs}")
        out = work / f"sweep-{jobs}"
        wall, samples = measure(config, "--seeds", f"0..{runs - 1}", "--jobs", jobs, "--out", out)
        beyond = (wall - start - trained(out) / jobs) / (runs - jobs) * jobs * 1e3
        early, late = (next(s for s in samples if s.seconds >= share * wall) for share in (0.4, 0.9))
        columns.append(
            [
                f"{wall:.0f}",
                f"{beyond:.0f}",
                f"{early.own:.0f} → {late.own:.0f}",
                f"{early.largest_worker:.0f} → {late.largest_worker:.0f}" if jobs > 1 else "",
                f"{early.files} → {late.files}",
                f"{early.processes} → {late.processes}",
            ]
        )
    names = (
        "seconds",
        "ms a run beyond training",
        "MB, the command",
        "MB, its largest worker",
        "open files",
        "processes",
    )
    targets = ("", "60", "flat", "flat", "flat", "flat")
    table = Table("", "--jobs 1", "--jobs 2", "target", title=f"{runs:,} tiny runs (→: from 40 % to 90 % of the time)")
    for row in zip(names, *columns, targets, strict=True):
        table.add_row(*row)
    return table


def speed(work: Path, repeats: int, data: list[object]) -> Table:
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(repeats):
        for jobs, walls in seconds.items():
            out = work / f"speed-{repeat}-{jobs}"
            walls.append(measure(CONFIGS / "mlp_bn.yaml", "--seeds", "0..9", "--jobs", jobs, "--out", out, *data)[0])
    one, two = (statistics.median(walls) for walls in seconds.values())
    table = Table("--jobs 1, s", "--jobs 2, s", "ratio", "target", title=f"ten seeds of mlp_bn, n = {repeats}")
    table.add_row(f"{one:.0f}", f"{two:.0f}", f"{one / two:.2f}", "1.8")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000, help="how many runs the sweep has")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--speed", action="store_true", help="train only ten seeds of mlp_bn on full MNIST")
    parser.add_argument("--data-dir", type=Path, default=None)
    options = parser.parse_args()
    idle.watch()
    data: list[object] = ["--data-dir", options.data_dir] if options.data_dir else []
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        config = work / "tiny.yaml"
        config.write_text(TINY)
        if options.speed:
            console.print(speed(work, options.repeats, data))
            return
        console.print(overhead(work, config, options.repeats, data))
        console.print(ending(work, config, options.repeats))
        console.print(sweep(work, config, options.runs))


if __name__ == "__main__":
    main()
