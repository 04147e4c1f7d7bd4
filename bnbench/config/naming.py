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


def what_varies(names: Sequence[str]) -> dict[str, str]:
    """A short label for each arm of a command, with only what varies between them; for a live display.

    A single arm keeps its name, and so do all where two labels would be alike.

    >>> list(what_varies(["mlp_none,train.optimizer.lr=0.1", "mlp_batch,train.optimizer.lr=1"]).values())
    ['none lr=0.1', 'batch lr=1']
    """
    arms = {name: name.split(",") for name in names}
    if len(arms) < 2:
        return {name: name for name in arms}
    bases = _without_common_start(list(dict.fromkeys(base for base, *_ in arms.values())))
    common = set.intersection(*(set(settings) for _, *settings in arms.values()))
    keys = {setting.partition("=")[0] for _, *settings in arms.values() for setting in settings if "=" in setting}
    ends = [key.rpartition(".")[2] for key in keys]
    short = {key: end if ends.count(end := key.rpartition(".")[2]) == 1 else key for key in keys}
    labels = {}
    for name, (base, *settings) in arms.items():
        varied = [setting.partition("=") for setting in settings if setting not in common]
        words = [f"{short.get(key, key)}{sign}{value}" for key, sign, value in varied]
        labels[name] = " ".join([bases[base], *words] if len(bases) > 1 or not words else words)
    return labels if len(set(labels.values())) == len(labels) else {name: name for name in arms}


def _without_common_start(bases: Sequence[str]) -> dict[str, str]:
    """mlp_none, mlp_batch → none, batch: without the words that all share at the start; none becomes empty."""
    words = [base.split("_") for base in bases]
    shared = 0
    while len(bases) > 1 and all(len(of) > shared + 1 for of in words) and len({of[shared] for of in words}) == 1:
        shared += 1
    return {base: "_".join(of[shared:]) for base, of in zip(bases, words, strict=True)}
