"""Do two versions of bnbench give the same bytes? Every shipped config, as a smoke run and for one epoch of mnist5k.

    python benchmarks/same_bytes.py REVISION      this checkout against another commit, in this environment

It compares metrics.csv, mistakes.csv and each config's digest, prints a line for each difference, and exits with 1
if there is one. Both versions run from a worktree or checkout with the same Python and PyTorch.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import idle

HERE = Path(__file__).parent.parent
WAYS = {"smoke": ["--smoke"], "epoch": ["--set", "data.dataset=mnist5k", "--set", "train.epochs=1"]}
FILES = ("metrics.csv", "mistakes.csv")


def train(source: Path, configs: list[str], out: Path) -> dict[str, dict[str, bytes]]:
    """The files that `source` writes for each config and way, by the run's folder."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    for way, options in WAYS.items():
        command = [sys.executable, "-m", "bnbench", "run", *configs, *options, "--quiet", "--out", str(out / way)]
        subprocess.run(command, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    found = {}
    for about in sorted(out.rglob("run.json")):
        run = about.parent
        digest = json.loads(about.read_text())["digest"]
        files = {name: (run / name).read_bytes() for name in FILES if (run / name).exists()}
        found[str(run.relative_to(out))] = {"digest": digest.encode(), **files}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="a commit of this repository")
    revision = parser.parse_args().revision
    idle.watch()
    configs = sorted(
        str(path.relative_to(HERE)) for path in (HERE / "configs").rglob("*.yaml") if path.parent.name != "studies"
    )
    with tempfile.TemporaryDirectory() as scratch:
        other = Path(scratch) / "other"
        subprocess.run(
            ["git", "-C", str(HERE), "worktree", "add", "--quiet", "--detach", str(other), revision], check=True
        )
        try:
            shared = [config for config in configs if (other / config).exists()]
            before, after = train(other, shared, Path(scratch) / "before"), train(HERE, shared, Path(scratch) / "after")
        finally:
            subprocess.run(["git", "-C", str(HERE), "worktree", "remove", "--force", str(other)], check=True)
    differences = [
        f"{run}: {name} differs"
        for run in sorted(before.keys() | after.keys())
        for name in ("digest", *FILES)
        if before.get(run, {}).get(name) != after.get(run, {}).get(name)
    ]
    print("\n".join(differences) or f"{len(after)} runs of {len(shared)} configs: the same bytes as {revision}")
    sys.exit(bool(differences))


if __name__ == "__main__":
    main()
