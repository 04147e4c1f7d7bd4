"""The next command, for the end of `bnbench run`: it names the folders just trained. No torch here."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from bnbench.config.base import flat
from bnbench.config.experiment import Config
from bnbench.config.naming import base_name

FEW = 6  # folders that a command names one by one
SWEPT = 3  # values of a number from which a key is swept
APART = ("train.epochs", "data.train_limit", "data.valid", "data.valid_limit")  # such runs are not compared


def compare_command(out: Path, arms: Sequence[str]) -> str:
    """`bnbench compare` for these arms, folders in `out`: all of `out`, their names, or patterns for many names."""
    names = list(dict.fromkeys(arms))
    there = {entry.name for entry in out.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    if there == set(names):
        places = [shlex.quote(str(out))]
    elif len(names) <= FEW:
        places = [shlex.quote(str(out / name)) for name in names]
    else:
        places = [place for base in dict.fromkeys(map(base_name, names)) for place in _of_base(out, base, names, there)]
    return f"bnbench compare {' '.join(places)}"


def _of_base(out: Path, base: str, names: Sequence[str], there: set[str]) -> list[str]:
    """The folders of the arms: one pattern if it matches no other folder, or else each name."""
    mine = [name for name in names if name.startswith(f"{base},")]
    place = shlex.quote(str(out))
    if len(mine) < 2 or {name for name in there if name.startswith(f"{base},")} != set(mine):
        return [shlex.quote(str(out / name)) for name in names if base_name(name) == base]
    return [*([f"{place}/{base}"] if base in names else []), f"{place}/{base},*"]


def swept_key(configs: Sequence[Config]) -> str | None:
    """The key of which arms that are equal otherwise have the most numbers, at least three; for `compare --by`."""
    arms = [flat(config.arm()) for config in configs]
    most, best = SWEPT - 1, None
    for key in dict.fromkeys(key for arm in arms for key in arm if key not in APART):
        values: dict[str, set[str]] = {}
        for arm in arms:
            if isinstance(arm.get(key), int | float) and not isinstance(arm[key], bool):
                others = json.dumps({other: arm[other] for other in arm if other != key})
                values.setdefault(others, set()).add(json.dumps(arm[key]))
        if (many := max(map(len, values.values()), default=0)) > most:
            most, best = many, key
    return best
