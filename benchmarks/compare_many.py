"""`bnbench compare` on 1,000 and 10,000 runs, each in a fresh process: seconds, memory, and whether it imported torch.

    python benchmarks/compare_many.py       3 minutes

The runs are the tracked ones of mlp_bn, with other seeds, learning rates and accuracies: arms of ten seeds, and
arms of one, which take longest. Targets: 1,000 runs in 2 s and 300 MB, 10,000 in 10 s; torch is not imported.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import idle
from rich.console import Console
from rich.table import Table

from bnbench.config.experiment import Config
from bnbench.config.strict_yaml import dump
from bnbench.runs.format import read_config

TRACKED = Path(__file__).parent.parent / "results" / "reference" / "mlp_bn"
CASES = {  # arms, seeds of each, target in seconds, in MB
    "1,000 runs: 100 arms of 10": (100, 10, 2.0, 300),
    "1,000 runs: 1,000 arms of 1": (1_000, 1, 2.0, 300),
    "10,000 runs: 1,000 arms of 10": (1_000, 10, 10.0, None),
}


def make_runs(folder: Path, arms: int, seeds: int) -> None:
    rng = random.Random(0)
    source = TRACKED / "seed-0"
    metrics, timing = (source / "metrics.csv").read_text(), (source / "timing.csv").read_text()
    about, config = json.loads((source / "run.json").read_text()), read_config(source)
    *head, last = metrics.rstrip("\n").split("\n")
    for arm in range(arms):
        config["name"] = f"arm-{arm}"
        config["train"]["optimizer"]["lr"] = (1 + arm) / 1_000
        if arm == 0:
            config["norm"] = {"type": "none"}
        else:
            config["norm"] = {"type": "batch"}
        digest = Config.model_validate(config).digest()
        for seed in range(seeds):
            run = folder / config["name"] / f"seed-{seed}"
            run.mkdir(parents=True)
            accuracy = round(0.97 + arm / 1e6 + rng.gauss(0, 0.002), 4)
            config["seeds"] = [seed]
            final = {**about["final"], "valid_accuracy": accuracy}
            (run / "config.yaml").write_text(dump(config))
            (run / "metrics.csv").write_text("\n".join([*head, f"{last.rpartition(',')[0]},{accuracy!r}", ""]))
            (run / "timing.csv").write_text(timing)
            named = {**about, "name": config["name"], "seed": seed, "digest": digest, "config": config, "final": final}
            (run / "run.json").write_text(json.dumps(named, indent=2))


def measure(folder: Path) -> tuple[float, float, bool]:
    """Seconds and peak MB (10^6 bytes) of one fresh process, and whether it imported torch."""
    code = (
        "import sys; from bnbench.cli import app\n"
        f"try: app(['compare', {str(folder)!r}])\n"
        "except SystemExit as end: assert not end.code, end\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"bnbench compare {folder} exited with {process.returncode}: {said}")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB on Linux
    return seconds, usage.ru_maxrss * unit / 1e6, said.rstrip().endswith("True")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="fresh processes of each; the median counts")
    arguments = parser.parse_args()
    idle.watch()
    table = Table(
        "runs", "median s", "target", "ratio", "median MB", "target", "ratio", "torch", title=f"n = {arguments.repeats}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        for place, (name, (arms, seeds, target_s, target_mb)) in enumerate(CASES.items()):
            folder = Path(scratch) / str(place)
            make_runs(folder, arms, seeds)
            measured = [measure(folder) for _ in range(arguments.repeats)]
            seconds, megabytes = (statistics.median(values) for values in list(zip(*measured, strict=True))[:2])
            table.add_row(
                name,
                f"{seconds:.2f}",
                f"{target_s:g} s",
                f"{seconds / target_s:.2f}",
                f"{megabytes:.0f}",
                f"{target_mb or ''}",
                f"{megabytes / target_mb:.2f}" if target_mb else "",
                "imported" if any(torch for _, _, torch in measured) else "no",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
