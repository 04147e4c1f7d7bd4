"""Turns pydantic's validation problems into messages for users: `file:line: key: sentence`."""

import difflib
import math
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bnbench.config.base import ByType
from bnbench.config.experiment import Config

Location = tuple[str | int, ...]


def relocate(problem: Any) -> Any:
    """Move a `key_error`, which pydantic reports at a mapping, to the key that it is about."""
    if key := problem.get("ctx", {}).get("key"):
        problem["loc"] = (*problem["loc"], *key.split("."))
    return problem


def place(location: Location, data: Any, path: Path, lines: dict[Location, int], origin: dict[Location, str]) -> str:
    """`file:line: key`, or the option that set the key."""
    key = ".".join(map(str, location))
    prefixes = [location[:depth] for depth in range(len(location), -1, -1)]
    option = next((origin[prefix] for prefix in prefixes if prefix in origin), None)
    if option is not None:
        return f"{option}: {key}"
    for prefix in prefixes:
        if prefix in lines:
            return f"{path}:{lines[prefix]}{f': {key}' if key else ''}"
    return f"{path}: {key}"


def _model_at(location: Sequence[str | int], data: Any) -> type[BaseModel]:
    """The class of the mapping at `location`."""
    model: type[BaseModel] = Config
    for key in map(str, location):
        field, data = model.model_fields[key], data[key]
        registry = next((part for part in field.metadata if isinstance(part, ByType)), None)
        model = registry.kinds[data["type"]] if registry else field.annotation  # type: ignore[assignment]
    return model


def _keys_at(location: Sequence[str | int], data: Any) -> list[str]:
    """The keys that a file may have at `location`; the file itself may also have `grid`."""
    keys = list(_model_at(location, data).model_fields)
    # --smoke writes `smoke` into the resolved config; users do not write it.
    return keys if location else [*(key for key in keys if key != "smoke"), "grid"]


_MUST_BE = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list, as in [100, 100]",
    "finite_number": "a finite number",
    "model_type": "a mapping, as in {key: value}",
    "no_mapping_with_type": "a mapping, as in {type: ...}",
}


def explain(problem: Any, data: Any) -> str:
    """One sentence for users about a pydantic problem with `data`."""
    kind, given, context = problem["type"], show(problem["input"]), problem.get("ctx", {})
    if kind == "extra_forbidden":
        *above, key = problem["loc"]
        keys = _keys_at(above, data)
        close = closest(str(key), keys, cutoff=0.7)
        if close:
            return f"unknown key; did you mean {close}?"
        for part in above:
            data = data[part]
        owner = f"of type {data['type']}" if "type" in keys else "here"
        return f"unknown key; the keys {owner} are {', '.join(keys)}"
    if kind == "missing":
        return "is required and missing"
    if kind == "type_missing":
        return f"is required; one of {context['names']}"
    if kind in ("choice", "literal_error"):
        value = context.get("value", problem["input"])
        expected = context.get("names") or context["expected"]  # as in: 2 or 'inf'
        choices = [choice.strip("'") for choice in re.split(r", | or ", expected)]
        close = closest(value, choices) if isinstance(value, str) else None
        must = f"must be one of {', '.join(choices)}" if len(choices) > 1 else f"must be {choices[0]}"
        hint = f"; did you mean {close}?" if close else ""
        if not close and problem["loc"][-2:] == ("norm", "type"):
            hint = "; a norm of your own needs --norms FILE"
        return f"{must}; got {show(value)}{hint}"
    if kind == "no_mapping_with_type" and problem["input"] in context["names"]:
        return f"must be a mapping, as in {{type: {problem['input']}}}; got {given}"
    if kind in _MUST_BE:
        return f"must be {_MUST_BE[kind]}; got {given}"
    if kind == "key_error":
        return str(context["message"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "greater_than_equal":  # pydantic would write 1e-30 with all its zeros
        return f"must be greater than or equal to {context['ge']:g}; got {given}"
    text = problem["msg"].replace("Input should", "must").replace("List should", "must")
    return f"{text[0].lower()}{text[1:]}; got {given}"


def closest(word: str, words: list[str], cutoff: float = 0.6) -> str | None:
    """The most similar of `words`, or None. `cutoff` is the least similarity, from 0 to 1 (see difflib).

    A name of a norm is also known as other libraries spell it: BatchNorm2d and batch_norm are batch.
    """
    plain = re.sub(r"_?norm(alization)?(_?[123]d)?$", "", word.lower())
    if plain in words:
        return plain
    return next(iter(difflib.get_close_matches(word, words, n=1, cutoff=cutoff)), None)


_picture = reprlib.Repr()
_picture.maxlevel, _picture.maxdict, _picture.maxlist, _picture.maxstring = 2, 3, 3, 60


def show(value: Any) -> str:
    """A value from a file, shortened to one line that is safe to print."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")  # as YAML writes it
    return _picture.repr(value)
