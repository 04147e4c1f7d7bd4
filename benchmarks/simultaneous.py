"""Start commands at once on one config and one results folder: every run must be recorded once, in whole files.

    python benchmarks/simultaneous.py                    # 8 commands, 20 rounds
    python benchmarks/simultaneous.py --rounds 1

The commands are forks of this process, which has imported torch already: they start within milliseconds of
each other. In every round each run must be trained by one command; the others find it complete, or name
the process that holds it (exit code 3). Exits with 1 if a check fails.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import idle
import torch
from kills import ALL, CONFIG, differing

from bnbench.cli import app
from bnbench.data import datasets
from bnbench.launch import execute as executor  # noqa: F401  (imported once for all forks)
from bnbench.runs.format import read_run

SEEDS = range(6)


def forked(arguments: list[str], said: Path) -> int:
    """Start a command in a fork of this process, with its output in the file `said`; return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 1)
            os.dup2(1, 2)
            app(arguments)
        except SystemExit as stop:
            sys.stdout.flush()
            os._exit(int(stop.code or 0))
        finally:
            os._exit(70)
    return pid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    idle.watch()
    torch.set_num_threads(1)  # a fork of a process with OpenMP's threads would wait for them forever
    os.environ["BNBENCH_JOBS"] = "1"
    failures, codes = [], Counter[int]()
    with tempfile.TemporaryDirectory() as work:
        os.environ["BNBENCH_DATA"] = work
        datasets.load("mnist5k", Path(work))
        config = Path(work) / "short.yaml"
        config.write_text(CONFIG)

        def arguments(out: Path) -> list[str]:
            return ["run", str(config), "--seeds", f"0..{SEEDS[-1]}", "--out", str(out)]

        whole = Path(work) / "whole"
        os.waitpid(forked(arguments(whole), Path(work) / "said"), 0)
        for number in range(options.rounds):
            out = Path(work) / f"round-{number}"
            said = [Path(work) / f"said-{number}-{command}" for command in range(options.commands)]
            pids = [forked(arguments(out), file) for file in said]
            ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
            codes.update(ended)
            text = "".join(file.read_text() for file in said)
            try:
                assert set(ended) <= {0, 3}, f"exit codes {ended}: {text}"
                for file, code in zip(said, ended, strict=True):
                    assert (code == 3) == ("is being trained by process" in file.read_text()), file.read_text()
                for seed in SEEDS:
                    folder = out / "short" / f"seed-{seed}"
                    lines = [line for line in text.split("\n") if line.startswith(f"short seed {seed}: valid")]
                    trained = sum("already complete" not in line for line in lines)
                    assert trained == 1, f"seed {seed} was trained {trained} times"
                    assert read_run(folder).status == "complete"
                    assert sorted(path.name for path in folder.iterdir()) == ALL, sorted(folder.iterdir())
                    assert not (names := differing(folder, whole / "short" / f"seed-{seed}")), f"other bytes: {names}"
            except (AssertionError, OSError) as error:
                failures.append(f"round {number}: {error}")
    print(f"{options.commands} commands at once, {len(SEEDS)} runs, {options.rounds} rounds;")
    print(f"{codes[0]} ended with 0, {codes[3]} with 3, because another command held a run")
    for failure in failures:
        print(f"FAILED {failure}")
    print(
        f"{options.rounds - len(failures)} of {options.rounds} rounds: every run recorded once, whole, by one command"
    )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
