"""Config files → `Config` objects, or one ConfigError that lists every problem with file, line and key.

load_configs(["configs/mlp_bn.yaml"], overrides=["train.optimizer.lr=0.5"])
"""

import difflib
import json
import math
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bnbench import strict_yaml
from bnbench.config import Config, parse_seeds
from bnbench.errors import ConfigError
from bnbench.files import read_bounded

MAX_BYTES = 1_000_000
MAX_PROBLEMS = 20  # a message stays readable
# Overrides that get no folder of their own: they make no other arm, or (device, threads) mostly the same one.
NOT_IN_NAME = ("seeds", "name", "data.fallback", "device", "threads")

SMOKE: dict[str, Any] = {"data.dataset": "mnist5k", "data.train_limit": 512, "data.valid_limit": 256, "train.epochs": 1}

Location = tuple[str | int, ...]


def load_configs(
    paths: Sequence[Path],
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    seeds: str | None = None,
    smoke: bool = False,
) -> list[Config]:
    """Read, override and validate every file; raise one ConfigError with all problems of all files."""
    configs, problems = [], []
    for path in paths:
        try:
            configs.append(load_config(path, overrides, name=name, seeds=seeds, smoke=smoke))
        except ConfigError as error:
            problems.append(str(error))
    if not problems:
        by_name: dict[str, Path] = {}
        for path, config in zip(paths, configs, strict=True):
            if config.name in by_name:
                problems.append(
                    f"{path}: name: {config.name!r} is also the name of {by_name[config.name]};"
                    " two configs of one command need two names"
                )
            by_name[config.name] = path
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(line for text in problems for line in text.split("\n"))))
    return configs


def load_config(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    seeds: str | None = None,
    smoke: bool = False,
) -> Config:
    """One file with its overrides. Raises ConfigError listing every problem, a line each."""
    data, lines = read_mapping(path)
    origin: dict[Location, str] = {}
    suffixes: dict[str, str] = {}
    for override in overrides:
        key, value = parse_override(override)
        location = tuple(key.split("."))
        _assign(data, location, value, option=f"--set {override}")
        origin[location] = f"--set {override}"
        suffixes = {old: text for old, text in suffixes.items() if not old.startswith(f"{key}.")}  # they are replaced
        if key not in NOT_IN_NAME:
            suffixes[key] = f",{key}={_plain(value)}"
    if smoke:
        for key, value in SMOKE.items():
            if tuple(key.split(".")) in origin:
                raise ConfigError(f"--set {key}: --smoke sets it to {value}; leave one of the two out")
            _assign(data, tuple(key.split(".")), value, option="--smoke")
        if isinstance(held_out := data["data"].get("valid"), int):
            data["data"]["valid"] = min(held_out, SMOKE["data.valid_limit"])
        data["smoke"] = True
    if seeds is not None:
        try:
            data["seeds"] = parse_seeds(seeds)
        except ValueError as error:
            raise ConfigError(f"--seeds {seeds}: {error}") from None
    if name is not None:
        data["name"], origin[("name",)] = name, f"--name {name}"
    elif isinstance(data.setdefault("name", _plain(path.stem).lstrip(".")), str):
        data["name"] += "".join(suffixes[key] for key in sorted(suffixes))
    if smoke and isinstance(data["name"], str):
        data["name"] = data["name"].removesuffix(",smoke") + ",smoke"
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        problems = [_relocate(problem) for problem in error.errors(include_url=False)]
        texts = [f"{_place(p['loc'], data, path, lines, origin)}: {_explain(p)}" for p in problems]
        for overridden, option in origin.items():  # another type has other keys
            if overridden[-1] == "type" and any(p["type"] == "extra_forbidden" for p in problems):
                key = ".".join(map(str, overridden[:-1]))
                texts.append(
                    f"{option}: keeps the other keys of {key}; to replace them all: --set '{key}={{type: ...}}'"
                )
        if len(texts) > MAX_PROBLEMS:
            texts[MAX_PROBLEMS:] = [f"{path}: … and {len(texts) - MAX_PROBLEMS} more problems"]
        raise ConfigError("\n".join(texts)) from None


def read_mapping(path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """The mapping in a YAML file and the line of every key; ConfigError names what is wrong."""
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
        raise ConfigError(f"{path}:1: must be a mapping of keys to values, not {_show(data)}")
    return data, lines


def parse_override(text: str) -> tuple[str, Any]:
    """`train.optimizer.lr=0.5` → the key and the value as YAML reads it."""
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", key):
        raise ConfigError(f"--set {text}: must be KEY=VALUE with a dotted key, as in train.optimizer.lr=0.5")
    try:
        return key, strict_yaml.parse(value)[0]
    except strict_yaml.YamlError as error:
        raise ConfigError(f"--set {text}: {error}") from None


def _assign(data: dict[str, Any], location: Location, value: Any, *, option: str) -> None:
    for depth, key in enumerate(location[:-1], start=1):
        data = data.setdefault(str(key), {})
        if not isinstance(data, dict):
            raise ConfigError(f"{option}: {'.'.join(map(str, location[:depth]))} is not a mapping in the file")
    data[str(location[-1])] = value


def _plain(value: Any) -> str:
    """An override's value as a part of a folder name: 1e-3 → `0.001`, [100, 100] → `100-100`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", value if isinstance(value, str) else json.dumps(value)).strip("-")


def _relocate(problem: Any) -> Any:
    """Move a problem that pydantic puts at a mapping to the key it is about."""
    if problem["type"] == "key_error":
        problem["loc"] = (*problem["loc"], *problem["ctx"]["key"].split("."))
    elif problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        problem["loc"] = (*problem["loc"], "type")
    return problem


def _in_data(location: Location, data: Any) -> Location:
    """Drop what pydantic adds to a location: the tag of a union, as in norm.batch.momentum."""
    out: list[str | int] = []
    for key in location:
        if isinstance(data, dict) and key not in data and data.get("type") == key:
            continue
        out.append(key)
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            data = None
    return tuple(out)


def _place(location: Location, data: Any, path: Path, lines: dict[Location, int], origin: dict[Location, str]) -> str:
    """`file:line: key`, or the option that set the key."""
    location = _in_data(location, data)
    key = ".".join(map(str, location))
    prefixes = [location[:depth] for depth in range(len(location), -1, -1)]
    option = next((origin[prefix] for prefix in prefixes if prefix in origin), None)
    if option is not None:
        return f"{option}: {key}"
    for prefix in prefixes:
        if prefix in lines:
            return f"{path}:{lines[prefix]}{f': {key}' if key else ''}"
    return f"{path}: {key}"


def _model_at(location: Location) -> tuple[type[BaseModel], dict[str, type[BaseModel]]]:
    """The model at a pydantic location, and if a union is there, its members by tag."""
    model: type[BaseModel] = Config
    members: dict[str, type[BaseModel]] = {}
    for key in map(str, location):
        if key in members:
            model, members = members[key], {}
            continue
        annotation: Any = model.model_fields[key].annotation
        if isinstance(annotation, type):
            model = annotation
        else:
            members = {get_args(m.model_fields["type"].annotation)[0]: m for m in get_args(annotation)}
    return model, members


_MUST_BE = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list, as in [100, 100]",
    "finite_number": "a finite number",
    "model_type": "a mapping, as in {key: value}",
    "model_attributes_type": "a mapping, as in {type: ...}",
}


def _explain(problem: Any) -> str:
    """A pydantic problem in our words."""
    kind, given, context = problem["type"], _show(problem["input"]), problem.get("ctx", {})
    if kind == "extra_forbidden":
        model, _ = _model_at(problem["loc"][:-1])
        close = _closest(str(problem["loc"][-1]), list(model.model_fields), cutoff=0.7)
        if close:
            return f"unknown key; did you mean {close}?"
        owner = f"of type {problem['loc'][-2]}" if "type" in model.model_fields else "here"
        return f"unknown key; the keys {owner} are {', '.join(model.model_fields)}"
    if kind == "missing":
        return "is required and missing"
    if kind == "union_tag_not_found":
        return f"is required; one of {', '.join(_model_at(problem['loc'][:-1])[1])}"
    if kind in ("literal_error", "union_tag_invalid"):
        value = context["tag"] if kind == "union_tag_invalid" else problem["input"]
        expected = context.get("expected_tags") or context["expected"]  # as in: 2 or 'inf'
        choices = [choice.strip("'") for choice in re.split(r", | or ", expected)]
        close = _closest(value, choices) if isinstance(value, str) else None
        must = f"must be one of {', '.join(choices)}" if len(choices) > 1 else f"must be {choices[0]}"
        return f"{must}; got {_show(value)}{f'; did you mean {close}?' if close else ''}"
    if kind == "model_attributes_type" and problem["input"] in list(_model_at(problem["loc"])[1]):
        return f"must be a mapping, as in {{type: {problem['input']}}}; got {given}"
    if kind in _MUST_BE:
        return f"must be {_MUST_BE[kind]}; got {given}"
    if kind == "key_error":
        return str(context["message"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "greater_than_equal":  # pydantic writes 1e-30 with all its zeros
        return f"must be greater than or equal to {context['ge']:g}; got {given}"
    text = problem["msg"].replace("Input should", "must").replace("List should", "must")
    return f"{text[0].lower()}{text[1:]}; got {given}"


def _closest(word: str, words: list[str], cutoff: float = 0.6) -> str | None:
    return next(iter(difflib.get_close_matches(word, words, n=1, cutoff=cutoff)), None)


_picture = reprlib.Repr()
_picture.maxlevel, _picture.maxdict, _picture.maxlist, _picture.maxstring = 2, 3, 3, 60


def _show(value: Any) -> str:
    """A short, one-line picture of a value from a file, safe to print."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")  # as YAML writes it
    return _picture.repr(value)


def _similar_file(path: Path) -> str:
    try:
        names = [p.name for p in path.parent.glob("*.y*ml")]
    except OSError:
        return ""
    close = _closest(path.name, names)
    return f"; did you mean {path.parent / close}?" if close else ""
