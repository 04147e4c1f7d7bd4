"""The name of an arm: the config's name, then `,key=value` for each key that an override or the grid changes."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bnbench.config.base import flat

if TYPE_CHECKING:
    from bnbench.config.experiment import Config

WHOLE = 120  # characters; a longer name has the number of its keys and the start of the digest instead
_SHORTENED = re.compile(r",\d+-keys-[0-9a-f]{8}(,smoke|,data\.dataset=mnist5k)*")


def plain(value: Any) -> str:
    """A value as part of a folder's name: 1e-3 → `0.001`, [100, 100] → `100-100`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", value if isinstance(value, str) else json.dumps(value)).strip("-")


def full_name(name: str, changed: Mapping[str, Any], digest: str, *, smoke: bool) -> str:
    """The name of an arm whose `changed` keys have these values; `digest` is the arm's.

    With more than 120 characters it becomes `<name>,<number of keys>-keys-<8 digits of the digest>`.
    """
    end = ",smoke" if smoke else ""
    whole = name + "".join(f",{key}={plain(changed[key])}" for key in sorted(changed))
    whole = whole.removesuffix(end) + end
    if len(whole) <= WHOLE or not changed:
        return whole
    return f"{name},{len(changed)}-keys-{digest[:8]}{end}"


def base_name(name: str) -> str:
    """A name without the suffixes of overrides."""
    return name.partition(",")[0]


def in_words(configs: Sequence["Config"]) -> dict[str, str]:
    """For each arm with a shortened name, the settings by which the arms differ; for a single arm, all that are set."""
    return settings_in_words({config.name: flat(config.arm()) for config in configs})


def settings_in_words(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The same for flat settings by the names of the arms."""
    if not any(map(is_shortened, arms)):
        return {}
    keys = dict.fromkeys(key for arm in arms.values() for key in arm)
    varied = [key for key in keys if len({json.dumps(arm.get(key)) for arm in arms.values()}) > 1] or list(keys)
    return {
        name: ", ".join(f"{key}={plain(arm[key])}" for key in varied if key in arm)
        for name, arm in arms.items()
        if is_shortened(name)
    }


def is_shortened(name: str) -> bool:
    """Whether a name has the number of its keys instead of the keys."""
    return _SHORTENED.search(name) is not None
