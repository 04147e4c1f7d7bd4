"""What the page says about the runs themselves: their environment, their configs, and the commands that repeat them."""

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bnbench.analysis.arms import Arm, seed_ranges
from bnbench.config.strict_yaml import dump
from bnbench.console import inert
from bnbench.errors import ResultsError
from bnbench.runs.format import Run, run_config

MOST = 30  # facts of the environment, and different values of each


def environment(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Each recorded fact of the environment with its values, the most frequent first, with counts if they differ."""
    names = dict.fromkeys(name for run in runs for name in run.provenance)
    rows = []
    for name in list(names)[:MOST]:
        counts = Counter(_value(run.provenance.get(name)) for run in runs)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        values = [value if len(counts) == 1 else f"{value} ({n} of {len(runs)} runs)" for value, n in ordered[:MOST]]
        if len(ordered) > MOST:
            values.append(f"and {len(ordered) - MOST} more")
        rows.append((inert(name), values))
    return rows


def _value(value: Any) -> str:
    if value is None:
        return "not known"
    return inert(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


@dataclass(frozen=True)
class ConfigFile:
    """The config of one arm with all of its seeds, as `bnbench run` takes it. `text` is None if it is not known."""

    label: str
    name: str
    seeds: str
    text: str | None
    folder: str  # arms with the same name need different folders


def configs(arms: Iterable[Arm]) -> Iterator[ConfigFile]:
    taken: set[str] = set()
    for arm in arms:
        again, copies = "", 1
        while arm.name + again in taken:
            copies += 1
            again = f"-{copies}"
        taken.add(arm.name + again)
        seeds = sorted({run.seed for run in arm.runs()})
        text = None
        if arm.config:  # empty if the config cannot be read
            try:
                text = dump({**run_config(arm.runs()[0].path), "seeds": seeds})
            except ResultsError:
                text = None
        yield ConfigFile(arm.label, f"{arm.name}{again}.yaml", seed_ranges(seeds), text, f"results{again}")


def commands(files: Iterable[ConfigFile], options: Sequence[str]) -> list[str]:
    folders: dict[str, list[str]] = {}
    for config in files:
        if config.text is not None:
            folders.setdefault(config.folder, []).append(config.name)
    runs = [["bnbench", "run", *names, "--out", folder] for folder, names in folders.items()]
    return [shlex.join(command) for command in (*runs, ["bnbench", "report", *folders, *options])]
