"""What is wrong in a config, in our words and at its place: pydantic's problems → `file:line: key: sentence`."""

import difflib
import math
import re
import reprlib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from bnbench.config.experiment import Config

Location = tuple[str | int, ...]


def relocate(problem: Any) -> Any:
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


def place(location: Location, data: Any, path: Path, lines: dict[Location, int], origin: dict[Location, str]) -> str:
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


def explain(problem: Any) -> str:
    """A pydantic problem in our words."""
    kind, given, context = problem["type"], show(problem["input"]), problem.get("ctx", {})
    if kind == "extra_forbidden":
        model, _ = _model_at(problem["loc"][:-1])
        close = closest(str(problem["loc"][-1]), list(model.model_fields), cutoff=0.7)
        if close:
            return f"unknown key; did you mean {close}?"
        owner = f"of type {problem['loc'][-2]}" if "type" in model.model_fields else "here"
        return f"unknown key; the keys {owner} are {', '.join(model.model_fields)}"
    if kind == "missing":
        return "is required and missing"
    if kind == "union_tag_not_found":
        return f"is required; one of {', '.join(_model_at(problem['loc'][:-1])[1])}"
    if kind in ("choice", "literal_error", "union_tag_invalid"):
        value = context["tag"] if kind == "union_tag_invalid" else problem["input"]
        expected = context.get("choices") or context.get("expected_tags") or context["expected"]  # as in: 2 or 'inf'
        choices = [choice.strip("'") for choice in re.split(r", | or ", expected)]
        close = closest(value, choices) if isinstance(value, str) else None
        must = f"must be one of {', '.join(choices)}" if len(choices) > 1 else f"must be {choices[0]}"
        return f"{must}; got {show(value)}{f'; did you mean {close}?' if close else ''}"
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


def closest(word: str, words: list[str], cutoff: float = 0.6) -> str | None:
    return next(iter(difflib.get_close_matches(word, words, n=1, cutoff=cutoff)), None)


_picture = reprlib.Repr()
_picture.maxlevel, _picture.maxdict, _picture.maxlist, _picture.maxstring = 2, 3, 3, 60


def show(value: Any) -> str:
    """A short, one-line picture of a value from a file, safe to print."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")  # as YAML writes it
    return _picture.repr(value)
