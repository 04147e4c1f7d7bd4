"""Arms that differ only in some keys of their configs, and the name that they share. No torch."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from bnbench.analysis.arms import Arm

Settings = tuple[tuple[str, str], ...]  # keys and values, to compare configs


def families(arms: Sequence[Arm], keys: Sequence[str]) -> Iterator[list[Arm]]:
    """The arms that have the keys, in lists of equal other settings. A list has each value once."""
    alike: dict[Settings, list[Arm]] = defaultdict(list)
    for arm in arms:
        if all(key in arm.config for key in keys):
            alike[_settings(arm, keys)].append(arm)
    for family in alike.values():
        if len({values_of(arm, keys) for arm in family}) == len(family):
            yield family
            continue
        by_name: dict[str, dict[tuple[str, ...], Arm]] = defaultdict(dict)  # one config under two names is two arms
        for arm in family:
            others, value = by_name[stripped(arm.name, keys)], values_of(arm, keys)
            if value not in others or len(arm.complete) > len(others[value].complete):
                others[value] = arm  # `a` and `a,key=0.1` may be one config
        yield from (list(of_name.values()) for of_name in by_name.values())


def values_of(arm: Arm, keys: Sequence[str]) -> tuple[str, ...]:
    """The values of the keys as text, to compare them."""
    return tuple(plain(arm.config[key]) for key in keys)


def _settings(arm: Arm, keys: Sequence[str]) -> Settings:
    return tuple(sorted((key, plain(value)) for key, value in arm.config.items() if key not in keys))


def plain(value: Any) -> str:
    """A value of a config as JSON."""
    return json.dumps(value, sort_keys=True)


def is_number(value: Any) -> bool:
    """Whether a value of a config is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def stripped(name: str, keys: Sequence[str]) -> str:
    """The name without what `--set` or a grid added for these keys: mlp_bn,train.optimizer.lr=0.1 → mlp_bn."""
    for key in keys:
        name = re.sub(rf",{re.escape(key)}=[^,]*", "", name)
    return name


def shared_name(arms: Sequence[Arm], keys: Sequence[str]) -> str:
    """The name that the arms share without the keys, or how all their names start."""
    names = list(dict.fromkeys(stripped(arm.name, keys) for arm in arms))
    same = "".join(
        letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    )
    return names[0] if len(names) == 1 else same.rstrip("0123456789,._-=") or names[0]
