"""Hints for unknown keys: what other tools call a key, and keys of another part of a config."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from bnbench.config.base import ByType
from bnbench.config.experiment import Config

# What other tools call a setting, and its key here. A key after "1 - " counts the other way: 0.1 there is 0.9 here.
# Of several keys, the one in the same part of the config is meant, else the first that the config has.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "moving_momentum": ("1 - norm.momentum",),
    "moving_average_fraction": ("1 - norm.momentum",),
    "decay": ("1 - norm.momentum", "train.optimizer.weight_decay"),
    "decay_rate": ("1 - norm.momentum",),
    "epsilon": ("norm.eps",),
    "elementwise_affine": ("norm.affine",),
    "groups": ("norm.num_groups",),
    "normalization": ("norm",),
    "norm_type": ("norm.type",),
    "learning_rate": ("train.optimizer.lr",),
    "learningrate": ("train.optimizer.lr",),
    "base_lr": ("train.optimizer.lr",),
    "wd": ("train.optimizer.weight_decay",),
    "l2": ("train.optimizer.weight_decay",),
    "optim": ("train.optimizer",),
    "lr_schedule": ("train.schedule",),
    "scheduler": ("train.schedule",),
    "warmup": ("train.schedule.warmup_steps", "train.schedule"),
    "epoch": ("train.epochs",),
    "num_epochs": ("train.epochs",),
    "n_epochs": ("train.epochs",),
    "max_epochs": ("train.epochs",),
    "bs": ("data.batch_size",),
    "batch": ("data.batch_size",),
    "batchsize": ("data.batch_size",),
    "train_batch_size": ("data.batch_size",),
    "hidden_size": ("model.hidden",),
    "hidden_sizes": ("model.hidden",),
    "hidden_layers": ("model.hidden",),
    "hidden_units": ("model.hidden",),
    "layers": ("model.hidden",),
    "act": ("model.activation",),
    "nonlinearity": ("model.activation",),
    "use_bias": ("model.bias",),
    "seed": ("seeds",),
    "random_seed": ("seeds",),
    "random_state": ("seeds",),
    "num_threads": ("threads",),
    "precision": ("dtype",),
}

TURNED = "1 - "
_SEVERAL = re.compile(r"[^,\[\]{}\n]+(,[^,\[\]{}\n]+)+")  # on one line, so that a message has one line


def keys_of(data: Any = None) -> dict[str, None]:
    """Every dotted key that a config may have. Where `data` names no valid type, the keys of all types count."""
    return dict.fromkeys(["grid", *_below(Config, data if isinstance(data, Mapping) else {}, "")])


def _below(model: type[BaseModel], data: Mapping[str, Any], prefix: str) -> list[str]:
    found = []
    for key, field in model.model_fields.items():
        if key == "smoke" and not prefix:  # --smoke writes it; users do not
            continue
        found.append(prefix + key)
        there = data.get(key)
        for part in parts_of(field, there):
            found += _below(part, there if isinstance(there, Mapping) else {}, f"{prefix}{key}.")
    return found


def parts_of(field: Any, there: Any = None) -> Sequence[type[BaseModel]]:
    """The classes that the mapping in a field may have; with a known type `there`, its class. Empty for no mapping."""
    registry = next((part for part in field.metadata if isinstance(part, ByType)), None)
    if registry is None:
        is_part = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        return [field.annotation] if is_part else []
    if there is None and registry.words:  # a mapping that few configs have
        return []
    kind = there.get("type") if isinstance(there, Mapping) else None
    kinds: Mapping[str, type[BaseModel]] = registry.kinds
    return [kinds[kind]] if isinstance(kind, str) and kind in kinds else list(kinds.values())


def meant(key: str, keys: Mapping[str, None], section: str = "") -> list[str]:
    """The dotted `keys` that an unknown `key` of the mapping `section` may mean, as SPELLINGS writes them."""
    word = key.lower().replace("-", "_")
    known = [found for found in SPELLINGS.get(word, ()) if found.removeprefix(TURNED) in keys]
    if known:
        return [next((one for one in known if _section(one) == section), known[0])]
    if word == "type":
        return []
    return [dotted for dotted in keys if dotted.rpartition(".")[2] == word and _section(dotted) != section]


def _section(dotted: str) -> str:
    return dotted.removeprefix(TURNED).rpartition(".")[0]


def advice(key: str, value: Any, found: Sequence[str], *, option: bool) -> str:
    """A sentence without its subject on an unknown key: the keys that `meant` gives, and its value as written here.

    `option`: the command line sets the key, and not the file.
    """
    dotted = found[0]
    here = dotted.removeprefix(TURNED)
    if len(found) > 1 or here.rpartition(".")[2] == key:
        top = "" if option or len(found) > 1 or "." in here else ", at the top of the file,"
        text = f"did you mean {' or '.join(found)}{top.removesuffix(',')}?"
    elif dotted == here:
        text = f"here it is {_set_to(here, value, option=option)}"
    elif is_number(value) and 0 <= value <= 1:
        text = f"here it is {_set_to(here, round(1 - value, 12), option=option)}, the weight of the new batch"
    else:
        text = f"here it is {here}, which is 1 minus this value"
    if isinstance(value, str) and len(found) == 1 and (many := several(value)):
        grid = as_grid(here, many, option=option)
        return f"{text} {grid[0].upper()}{grid[1:]}" if text.endswith("?") else f"{text}; {grid}"
    return text


def _set_to(key: str, value: Any, *, option: bool) -> str:
    if not is_number(value) or abs(value) >= 1e6:
        return key
    return f"{key}={value:g}" if option else f"{key}: {value:g}"


def is_number(value: Any) -> bool:
    """Whether it is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def several(value: Any) -> list[str]:
    """The values of a key that should have one: `0.1,0.2` or a list. Empty if there are not two or more."""
    if isinstance(value, str) and len(value) <= 200 and _SEVERAL.fullmatch(value):
        return [part.strip() for part in value.split(",")]
    if isinstance(value, list) and 2 <= len(value) <= 20 and all(isinstance(one, int | float | str) for one in value):
        return [str(one) for one in value]
    return []


def as_grid(key: str, values: Sequence[str], *, option: bool) -> str:
    """How to train an arm for each of the values of a key."""
    grid = f"{{{key}: [{', '.join(values)}]}}"
    return f"for an arm of each, --set 'grid={grid}'" if option else f"for an arm of each, grid: {grid}"
