"""Reads config files into `Config` objects, or raises one ConfigError that lists every problem.

    load_configs([Path("configs/mlp_bn.yaml")], overrides=["train.optimizer.lr=0.5"])

A `grid:` maps dotted keys to lists of values. Each combination of values is an arm. It has the settings and
the name that `--set` with these values would give it. grid.py reads it.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bnbench.config import strict_yaml
from bnbench.config.experiment import MAX_NAME, Config, parse_seeds
from bnbench.config.grid import KEY, MAX_ARMS, Setting, place_of, points, read_axes
from bnbench.config.naming import full_name, plain
from bnbench.config.problems import Location, explain, one_line, place, relocate, show
from bnbench.config.read import read_mapping
from bnbench.errors import ConfigError

MAX_PROBLEMS = 20  # keeps a message readable
MAX_RUNS = MAX_ARMS  # of one command
# Overrides that are not part of the name: most do not change the arm; device and threads barely change the results.
NOT_IN_NAME = ("seeds", "name", "grid", "evaluations", "data.fallback", "device", "threads")

Say = Callable[[str], None]

SMOKE: dict[str, Any] = {"data.dataset": "mnist5k", "data.train_limit": 512, "data.valid_limit": 256, "train.epochs": 1}


def load_configs(
    paths: Sequence[Path],
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    seeds: str | int | list[int] | None = None,
    smoke: bool = False,
    say: Say = lambda _: None,
) -> list[Config]:
    """Read every file with the overrides; return all arms, in order. `say` gets a sentence for what has no effect.

    Raises one ConfigError that lists the problems of all files, one on each line.
    """
    configs, problems = [], []
    by_name: dict[str, Path] = {}
    for path in paths:
        try:
            arms = load_arms(path, overrides, name=name, seeds=seeds, smoke=smoke, say=say)
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
    say: Say = lambda _: None,
) -> list[Config]:
    """Read one file with the overrides: one arm, or every arm of its grid. Raises ConfigError with every problem.

    Arms of the grid that have the same settings are one arm. `say` names them, and each override without effect.
    """
    data, lines = read_mapping(path)
    settings = [(*parse_override(text), f"--set {one_line(text)}") for text in overrides]
    if smoke:
        for key, _, option in settings:
            if key in SMOKE:
                raise ConfigError(
                    f"{option.partition('=')[0]}: --smoke sets it to {SMOKE[key]}; leave one of the two out"
                )
    of_grid = None  # the option that sets it, if one does
    for key, value, option in settings:
        if key == "grid":
            of_grid = option
            if isinstance(before := data.get("grid"), dict) and before != value:
                say(f"{option}: replaces the grid of {path}, which varies {', '.join(map(show, before))}")
            data["grid"] = value
    settings = [setting for setting in settings if setting[0] != "grid"]
    if seeds is not None:
        try:
            data["seeds"] = parse_seeds(seeds)
        except ValueError as error:
            raise ConfigError(f"--seeds {seeds}: {error}") from None
    axes = read_axes(data.pop("grid", {}), path, lines, of_grid)
    for axis in axes if smoke else ():
        for key in [key for key in axis.keys if key in SMOKE]:
            raise ConfigError(f"{axis.place}: {key}: --smoke sets it to {SMOKE[key]}; leave it out")
    # An option on the command line overrides the file, and also its grid.
    axes = [axis.without(lambda key: any(_within(key, other) for other, *_ in settings)) for axis in axes]
    arms: dict[str, Config] = {}
    idle: dict[str, None] = {}
    problems: dict[str, None] = {}
    for point in points(axes):

        def read(settings: Sequence[Setting], point: Sequence[Setting] = point) -> Config:
            return read_arm(path, data, lines, point, settings, name=name, smoke=smoke)

        try:
            arm, without_effect = _effective(read, settings)
        except ConfigError as error:
            problems |= dict.fromkeys(str(error).split("\n"))
            if len(problems) > MAX_PROBLEMS:
                break
            continue
        idle |= dict.fromkeys(without_effect)
        first = arms.setdefault(arm.digest(), arm)
        if first is not arm:
            where = place_of(path, lines, option=of_grid)
            say(f"{where}: {arm.name} is the same arm as {first.name}; it is trained once")
    if problems:
        raise ConfigError("\n".join(_at_most(MAX_PROBLEMS, list(problems), path)))
    for option in idle:
        say(f"{option}: changes nothing, so it is not part of the name")
    return list(arms.values())


def _effective(
    read: Callable[[Sequence["Setting"]], Config], settings: Sequence["Setting"]
) -> tuple[Config, list[str]]:
    """The arm, named by the overrides that change it, and the overrides that do not. Raises ConfigError."""
    arm, idle = read(settings), []
    for key in dict.fromkeys(key for key, *_ in settings if key not in NOT_IN_NAME):
        fewer = [setting for setting in settings if setting[0] != key]
        try:
            without = read(fewer)
        except ConfigError:
            continue
        if without.digest() == arm.digest():
            idle += [option for other, _, option in settings if other == key]
            arm, settings = without, fewer
    return arm, idle


def read_arm(
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
    changed: dict[str, Any] = {}
    for key, value, option in [*point, *settings]:
        location = tuple(key.split("."))
        at_location(data, location, value, option=option)
        origin[location] = option
        changed = {old: its for old, its in changed.items() if not _within(old, key)}  # `key` replaces them
        if key not in NOT_IN_NAME or (key, value, option) in point:
            changed[key] = value
    if smoke:
        for key, value in SMOKE.items():
            at_location(data, tuple(key.split(".")), value, option="--smoke")
        if isinstance(held_out := data["data"].get("valid"), int):
            data["data"]["valid"] = min(held_out, SMOKE["data.valid_limit"])
        if isinstance(batch := data["data"].get("batch_size"), int):
            data["data"]["batch_size"] = min(batch, SMOKE["data.train_limit"])
        data["smoke"] = True
    if name is not None:
        data["name"], origin[("name",)] = name, f"--name {name}"
        changed = {key: changed[key] for key, *_ in point if key in changed}  # each arm of a grid needs its own name
    if "name" not in data and not plain(path.stem).lstrip("."):
        raise ConfigError(f"{path}: gives no name, because only letters from a to z count; write name: or use --name")
    data.setdefault("name", plain(path.stem).lstrip("."))
    try:
        arm = Config.model_validate(data)
        full = full_name(arm.name, changed, arm.digest(), smoke=smoke)
        if len(full) > MAX_NAME:
            where = place(("name",), data, path, lines, origin)
            raise ConfigError(f"{where}: {full} is longer than {MAX_NAME} characters; choose a shorter name, or --name")
        return arm.model_copy(update={"name": full})
    except ValidationError as error:
        problems = [relocate(problem) for problem in error.errors(include_url=False)]
        places = [place(problem["loc"], data, path, lines, origin) for problem in problems]
        texts = [
            f"{where}: {explain(problem, data, option=where.startswith('--'))}"
            for where, problem in zip(places, problems, strict=True)
        ]
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


def parse_override(text: str) -> tuple[str, Any]:
    """`train.optimizer.lr=0.5` → the key, and the value read as YAML. Raises ConfigError."""
    key, equals, value = text.partition("=")
    try:
        strict_yaml.refuse_lookalikes(text)
        if not equals or not KEY.fullmatch(key):
            raise ConfigError(
                f"--set {one_line(text)}: must be KEY=VALUE with a dotted key, as in train.optimizer.lr=0.5"
            )
        return key, strict_yaml.parse(value)[0]
    except strict_yaml.YamlError as error:
        raise ConfigError(f"--set {one_line(text)}: {error}") from None


def at_location(data: dict[str, Any], location: Location, value: Any, *, option: str) -> None:
    """Set a nested key. Raises ConfigError, which names `option`, where a part of the way is not a mapping."""
    for depth, key in enumerate(location[:-1], start=1):
        data = data.setdefault(str(key), {})
        if not isinstance(data, dict):
            raise ConfigError(f"{option}: {'.'.join(map(str, location[:depth]))} is not a mapping in the file")
    data[str(location[-1])] = value
