"""Turns pydantic's validation problems into messages for users: `file:line: key: sentence`."""

import difflib
import math
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bnbench.config import hints
from bnbench.config.base import ByType
from bnbench.config.experiment import Config
from bnbench.config.strict_yaml import MAX_SHOWN

Location = tuple[str | int, ...]


def relocate(problem: Any) -> Any:
    """Move a `key_error`, which pydantic reports at a mapping, to the key that it is about."""
    if key := problem.get("ctx", {}).get("key"):
        problem["loc"] = (*problem["loc"], *key.split("."))
    return problem


def place(location: Location, data: Any, path: Path, lines: dict[Location, int], origin: dict[Location, str]) -> str:
    """`file:line: key`, or the option that set the key."""
    key = one_line(".".join(map(str, location)))
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


def explain(problem: Any, data: Any, *, option: bool = False) -> str:
    """One sentence for users about a pydantic problem with `data`; `option`: the command line set it, not the file."""
    kind, given, context = problem["type"], show(problem["input"]), problem.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key; {_known_keys(problem, data, option=option)}"
    if kind == "missing":
        return "is required and missing"
    if kind == "type_missing":
        return _no_type(problem["input"], context["names"])
    if kind in ("choice", "literal_error"):
        return _no_choice(problem, option=option)
    if kind == "no_mapping_with_type" and problem["input"] in context["names"]:
        return f"must be a mapping, as in {{type: {problem['input']}}}; got {given}"
    if kind in _MUST_BE:
        return f"must be {_MUST_BE[kind]}; got {given}{_as_one_number(problem, option=option)}"
    if kind == "key_error":
        return str(context["message"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "greater_than_equal":  # pydantic would write 1e-30 with all its zeros
        return f"must be greater than or equal to {context['ge']:g}; got {given}"
    text = problem["msg"].replace("Input should", "must").replace("List should", "must")
    return f"{text[0].lower()}{text[1:]}; got {given}"


def _known_keys(problem: Any, data: Any, *, option: bool) -> str:
    """What to write in place of an unknown key."""
    *above, key = problem["loc"]
    there = data
    for part in above:
        there = there[part]
    keys, word = _keys_at(above, data), str(key)
    if not _has_another_type(above, data, word):
        found = hints.meant(word, hints.keys_of(data), ".".join(map(str, above)))
        if found:
            return hints.advice(word, problem["input"], found, option=option)
    if close := closest(word, keys, cutoff=0.7):
        return f"did you mean {close}?"
    owner = f"of type {there['type']}" if "type" in keys else "here"
    return f"the keys {owner} are {', '.join(keys)}"


def _has_another_type(location: Sequence[str | int], data: Any, key: str) -> bool:
    """Whether another type of the mapping at `location` has the key."""
    if not location:
        return False
    *above, last = location
    field = _model_at(above, data).model_fields[str(last)]
    return any(key in part.model_fields for part in hints.parts_of(field, {}))


def _no_type(given: Any, names: str) -> str:
    """A mapping lacks its `type`: the key that has a type's name is meant, if there is one."""
    known = names.split(", ")
    for key, value in given.items():
        if isinstance(value, str) and (value in known or closest(key, ["type"])):
            return f"is required; write type: {closest(value, known) or '...'} in place of {key}: {show(value)}"
    return f"is required; one of {names}" + (f"; got {show(given)}" if given else "")


def _no_choice(problem: Any, *, option: bool) -> str:
    """A value is none of those that its key may have."""
    context = problem.get("ctx", {})
    value = context.get("value", problem["input"])
    expected = context.get("names") or context["expected"]  # as in: 2 or 'inf'
    choices = [choice.strip("'") for choice in re.split(r", | or ", expected)]
    must = f"must be one of {', '.join(choices)}" if len(choices) > 1 else f"must be {choices[0]}"
    if (many := hints.several(value)) and set(many) <= set(choices):
        return f"got {show(value)}; {hints.as_grid('.'.join(map(str, problem['loc'])), many, option=option)}"
    if len(choices) > 1 and isinstance(value, str) and (close := closest(value, choices)):
        return f"got {show(value)}; did you mean {close}? It {must}"
    hint = "; a norm of your own needs --norms FILE" if problem["loc"][-2:] == ("norm", "type") else ""
    return f"{must}; got {show(value)}{hint}"


def _as_one_number(problem: Any, *, option: bool) -> str:
    """The end of a sentence about a value that is not a number: it may be several, or have a decimal comma."""
    value, kind = problem["input"], problem["type"]
    if kind not in ("int_type", "float_type") or isinstance(problem["loc"][-1], int):
        return ""
    if isinstance(value, str) and re.fullmatch(r"-?0,[0-9]{1,20}", value, flags=re.ASCII):
        return f"; a decimal number has a point: {value.replace(',', '.')}"
    many = hints.several(value)
    return f"; {hints.as_grid('.'.join(map(str, problem['loc'])), many, option=option)}" if many else ""


def closest(word: str, words: list[str], cutoff: float = 0.6) -> str | None:
    """The most similar of `words`, or None. `cutoff` is the least similarity, from 0 to 1 (see difflib).

    A name of a norm is also known as other libraries spell it: BatchNorm2d and batch_norm are batch.
    """
    plain = re.sub(r"_?norm(alization)?(_?[123]d)?$", "", word.lower())
    if plain in words:
        return plain
    return next(iter(difflib.get_close_matches(word, words, n=1, cutoff=cutoff)), None)


def one_line(text: str) -> str:
    """Text of a user on one line of bounded length."""
    text = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


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
