"""Reads config files into `Config` objects, or raises one ConfigError that lists every problem.

    load_configs([Path("configs/mlp_bn.yaml")], overrides=["train.optimizer.lr=0.5"])

A `grid:` maps dotted keys to lists of values. Each combination of values is an arm. It has the settings and
the name that `--set` with these values would give it. grid.py reads it.
"""

import copy
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bnbench.config import strict_yaml
from bnbench.config.experiment import Config, parse_seeds
from bnbench.config.grid import KEY, MAX_ARMS, Setting, points, read_axes
from bnbench.config.problems import Location, closest, explain, place, relocate, show
from bnbench.errors import ConfigError
from bnbench.files import read_bounded

MAX_BYTES = 1_000_000
MAX_PROBLEMS = 20  # keeps a message readable
MAX_RUNS = MAX_ARMS  # of one command
# Overrides that are not part of the name: most do not change the arm; device and threads barely change the results.
NOT_IN_NAME = ("seeds", "name", "grid", "data.fallback", "device", "threads")

SMOKE: dict[str, Any] = {"data.dataset": "mnist5k", "data.train_limit": 512, "data.valid_limit": 256, "train.epochs": 1}


def load_configs(
    paths: Sequence[Path],
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    seeds: str | int | list[int] | None = None,
    smoke: bool = False,
) -> list[Config]:
    """Read every file with the overrides; return all arms, in order.

    Raises one ConfigError that lists the problems of all files, one on each line.
    """
    configs, problems = [], []
    by_name: dict[str, Path] = {}
    for path in paths:
        try:
            arms = load_arms(path, overrides, name=name, seeds=seeds, smoke=smoke)
        except ConfigError as error:
            problems.append(str(error))
            continue
        for config in arms:
            if config.name in by_name:
                problems.append(
                    f"{path}: name: {config.name!r} is also the name of {by_name[config.name]};"
                    " each config of a command needs its own name"
                )
            by_name[config.name] = path
        configs += arms
    runs = sum(len(config.seeds) for config in configs)
    if runs > MAX_RUNS:
        problems.append(f"this command asks for {runs:,} runs; at most {MAX_RUNS:,} are allowed")
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(line for text in problems for line in text.split("\n"))))
    return configs


def load_config(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    seeds: str | int | list[int] | None = None,
    smoke: bool = False,
) -> Config:
    """Read a file that gives one arm. Raises ConfigError, also where a grid gives several."""
    arms = load_arms(path, overrides, name=name, seeds=seeds, smoke=smoke)
    if len(arms) > 1:
        raise ConfigError(f"{path}: grid: makes {len(arms):,} arms; choose one by --set, as in {arms[0].name}")
    return arms[0]


def load_arms(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    seeds: str | int | list[int] | None = None,
    smoke: bool = False,
) -> list[Config]:
    """Read one file with the overrides: one arm, or every arm of its grid. Raises ConfigError with every problem."""
    data, lines = read_mapping(path)
    settings = [(*parse_override(text), f"--set {text}") for text in overrides]
    if smoke:
        for key, _, option in settings:
            if key in SMOKE:
                raise ConfigError(
                    f"{option.partition('=')[0]}: --smoke sets it to {SMOKE[key]}; leave one of the two out"
                )
    for key, value, _ in settings:
        if key == "grid":
            data["grid"] = value
    settings = [setting for setting in settings if setting[0] != "grid"]
    if seeds is not None:
        try:
            data["seeds"] = parse_seeds(seeds)
        except ValueError as error:
            raise ConfigError(f"--seeds {seeds}: {error}") from None
    axes = read_axes(data.pop("grid", {}), path, lines)
    for axis in axes if smoke else ():
        for key in [key for key in axis.keys if key in SMOKE]:
            raise ConfigError(f"{axis.place}: {key}: --smoke sets it to {SMOKE[key]}; leave it out")
    # An option on the command line overrides the file, and also its grid.
    axes = [axis.without(lambda key: any(_within(key, other) for other, *_ in settings)) for axis in axes]
    arms: list[Config] = []
    problems: dict[str, None] = {}
    for point in points(axes):
        try:
            arms.append(_arm(path, data, lines, point, settings, name=name, smoke=smoke))
        except ConfigError as error:
            problems |= dict.fromkeys(str(error).split("\n"))
            if len(problems) > MAX_PROBLEMS:
                break
    if problems:
        raise ConfigError("\n".join(_at_most(MAX_PROBLEMS, list(problems), path)))
    return arms


def _arm(
    path: Path,
    file: dict[str, Any],
    lines: dict[Location, int],
    point: Sequence[Setting],
    settings: Sequence[Setting],
    *,
    name: str | None,
    smoke: bool,
) -> Config:
    """The arm at one `point` of the grid, with the command's `settings` on top. Raises ConfigError."""
    data = copy.deepcopy(file)
    origin: dict[Location, str] = {}
    suffixes: dict[str, str] = {}
    for key, value, option in [*point, *settings]:
        location = tuple(key.split("."))
        _assign(data, location, value, option=option)
        origin[location] = option
        suffixes = {old: text for old, text in suffixes.items() if not _within(old, key)}  # `key` replaces them
        if key not in NOT_IN_NAME or (key, value, option) in point:
            suffixes[key] = f",{key}={_plain(value)}"
    if smoke:
        for key, value in SMOKE.items():
            _assign(data, tuple(key.split(".")), value, option="--smoke")
        if isinstance(held_out := data["data"].get("valid"), int):
            data["data"]["valid"] = min(held_out, SMOKE["data.valid_limit"])
        if isinstance(batch := data["data"].get("batch_size"), int):
            data["data"]["batch_size"] = min(batch, SMOKE["data.train_limit"])
        data["smoke"] = True
    if name is not None:
        data["name"], origin[("name",)] = name, f"--name {name}"
        suffixes = {key: suffixes[key] for key, *_ in point if key in suffixes}  # each arm of a grid needs its own name
    if isinstance(data.setdefault("name", _plain(path.stem).lstrip(".")), str):
        data["name"] += "".join(suffixes[key] for key in sorted(suffixes))
    if smoke and isinstance(data["name"], str):
        data["name"] = data["name"].removesuffix(",smoke") + ",smoke"
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        problems = [relocate(problem) for problem in error.errors(include_url=False)]
        texts = [f"{place(p['loc'], data, path, lines, origin)}: {explain(p, data)}" for p in problems]
        for overridden, option in origin.items():  # another type may not have the file's other keys
            if overridden[-1] == "type" and any(p["type"] == "extra_forbidden" for p in problems):
                key = ".".join(map(str, overridden[:-1]))
                texts.append(
                    f"{option}: keeps the other keys of {key}; to replace them all: --set '{key}={{type: ...}}'"
                )
        raise ConfigError("\n".join(_at_most(MAX_PROBLEMS, texts, path))) from None


def _at_most(most: int, texts: list[str], path: Path) -> list[str]:
    return texts if len(texts) <= most else [*texts[:most], f"{path}: … and {len(texts) - most} more problems"]


def _within(key: str, other: str) -> bool:
    """Whether `other` is `key` or a mapping that contains it."""
    return f"{key}.".startswith(f"{other}.")


def read_mapping(path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """The mapping in a YAML file, and the line of every key. Raises ConfigError."""
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder; name a config file in it")
        raw = read_bounded(path, MAX_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_similar_file(path)}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: is not a config: it {error}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from None
    try:
        data, lines = strict_yaml.parse(text)
    except strict_yaml.YamlError as error:
        raise ConfigError(f"{path}{f':{error.line}' if error.line else ''}: {error}") from None
    if data is None:
        raise ConfigError(f"{path}: is empty; a config needs at least model and train")
    if not isinstance(data, dict):
        raise ConfigError(f"{path}:1: must be a mapping of keys to values, not {show(data)}")
    return data, lines


def parse_override(text: str) -> tuple[str, Any]:
    """`train.optimizer.lr=0.5` → the key, and the value read as YAML. Raises ConfigError."""
    key, equals, value = text.partition("=")
    if not equals or not KEY.fullmatch(key):
        raise ConfigError(f"--set {text}: must be KEY=VALUE with a dotted key, as in train.optimizer.lr=0.5")
    try:
        return key, strict_yaml.parse(value)[0]
    except strict_yaml.YamlError as error:
        raise ConfigError(f"--set {text}: {error}") from None


def _assign(data: dict[str, Any], location: Location, value: Any, *, option: str) -> None:
    """Set a nested key. Raises ConfigError, which names `option`, where a part of the way is not a mapping."""
    for depth, key in enumerate(location[:-1], start=1):
        data = data.setdefault(str(key), {})
        if not isinstance(data, dict):
            raise ConfigError(f"{option}: {'.'.join(map(str, location[:depth]))} is not a mapping in the file")
    data[str(location[-1])] = value


def _plain(value: Any) -> str:
    """An override's value as part of a folder's name: 1e-3 → `0.001`, [100, 100] → `100-100`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", value if isinstance(value, str) else json.dumps(value)).strip("-")


def _similar_file(path: Path) -> str:
    try:
        names = [p.name for p in path.parent.glob("*.y*ml")]
    except OSError:
        return ""
    close = closest(path.name, names)
    return f"; did you mean {path.parent / close}?" if close else ""
