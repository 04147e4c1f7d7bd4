"""Kill `bnbench run` (SIGKILL) at random moments, and check that running it again gives the same bytes.

    python benchmarks/kills.py                            # 200 kills, 40 of them of a command with worker processes
    python benchmarks/kills.py --kills 10 --with-workers 2

Most commands are forks of this process, which has imported torch already, so that the kills hit
the run and not the imports. Some are killed several times in a row before they may end. After every kill, the
folder must be read as unfinished, or be complete and correct. Exits with 1 if a check fails.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import idle
import torch

from bnbench.cli import app
from bnbench.data import datasets
from bnbench.errors import ResultsError
from bnbench.launch import execute as executor  # noqa: F401  (imported once for all forks)
from bnbench.runs.format import read_run

CONFIG = """\
name: short
data: {dataset: mnist5k, batch_size: 50, train_limit: 400, valid: 100}
model: {type: mlp, hidden: [32]}
norm: {type: batch}
train: {epochs: 5, optimizer: {type: adam, lr: 0.001}}
device: cpu
seeds: [0, 1]
"""
SAME = ("config.yaml", "metrics.csv", "mistakes.csv", "model.pt")  # run.json and timing.csv hold times
ALL = sorted([*SAME, "run.json", "timing.csv", "continue.pt"])


def forked(arguments: list[str]) -> int:
    """Start a command in a fork of this process; return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            app(arguments)
        except SystemExit as stop:
            os._exit(int(stop.code or 0))
        finally:
            os._exit(70)
    return pid


def fresh(arguments: list[str]) -> int:
    """Start a command as a user does, with two worker processes; return its pid."""
    command = [sys.executable, "-m", "bnbench", *arguments, "--jobs", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid


def killed(pid: int, moment: float) -> bool:
    """Kill a command after `moment` seconds; False if it had ended."""
    time.sleep(moment)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def stage(folder: Path, whole: Path) -> str:
    """The stage at which the kill came. Raises AssertionError if the folder claims more than it holds."""
    if not (folder / "run.json").exists():
        return "before the run's first file was written"
    try:
        run = read_run(folder)
    except ResultsError as error:
        raise AssertionError(f"unreadable after a kill: {error}") from None
    if run.status == "complete":
        assert differing(folder, whole) == [], "run.json says complete, but files differ"
        return "after the run was complete"
    return f"after epoch {len(run.rows)} of {run.epochs}"


def differing(folder: Path, whole: Path) -> list[str]:
    return [name for name in SAME if (folder / name).read_bytes() != (whole / name).read_bytes()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--with-workers", type=int, default=40, help="how many of the kills hit a command with workers")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    idle.watch()
    rng = random.Random(options.seed)
    torch.set_num_threads(1)  # a fork of a process with OpenMP's threads would wait for them forever
    os.environ["BNBENCH_JOBS"] = "1"
    with tempfile.TemporaryDirectory() as work:
        os.environ["BNBENCH_DATA"] = work
        datasets.load("mnist5k", Path(work))
        config = Path(work) / "short.yaml"
        config.write_text(CONFIG)
        whole = Path(work) / "whole"
        durations = {}
        for start in (fresh, forked):
            begun = time.monotonic()
            os.waitpid(start(["run", str(config), "--out", str(whole / start.__name__)]), 0)
            durations[start] = time.monotonic() - begun
        whole = whole / "fresh" / "short"
        kills: Counter[str] = Counter()
        stages: Counter[str] = Counter()
        failures = []
        trials = 0
        while kills.total() < options.kills:
            start = fresh if kills["fresh"] < options.with_workers else forked
            out = Path(work) / f"trial-{trials}"
            arguments = ["run", str(config), "--out", str(out)]
            # A fresh command imports for the first seconds; most kills should come later.
            earliest = 0.5 * durations[start] if start is fresh and rng.random() < 0.9 else 0.0
            try:
                for _ in range(rng.choice([1, 1, 2, 3])):
                    if killed(start(arguments), rng.uniform(earliest, 1.05 * durations[start])):
                        kills[start.__name__] += 1
                        stages.update(stage(out / "short" / f"seed-{seed}", whole / f"seed-{seed}") for seed in (0, 1))
                if start is fresh:
                    time.sleep(0.2)  # its workers notice that it is gone
                _, status = os.waitpid(forked(arguments), 0)
                assert status == 0, f"the same command ended with status {status}"
                for seed in (0, 1):
                    folder = out / "short" / f"seed-{seed}"
                    assert sorted(path.name for path in folder.iterdir()) == ALL, sorted(folder.iterdir())
                    assert not (names := differing(folder, whole / f"seed-{seed}")), f"other bytes: {names}"
            except (AssertionError, OSError) as error:
                failures.append(f"trial {trials}: {error}")
            trials += 1
        print(f"{kills.total()} kills ({kills['fresh']} of commands with two workers) in {trials} trials of 2 runs;")
        print("when they came, by run:")
        for name, count in sorted(stages.items()):
            print(f"  {count:4} {name}")
        for failure in failures:
            print(f"FAILED {failure}")
        print(f"{trials - len(failures)} of {trials} trials ended with the bytes of the uninterrupted run")
        sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
