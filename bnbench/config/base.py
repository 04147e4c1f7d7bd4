"""The base of every part of a config, and registries of parts by name.

A part is frozen and strictly typed; it refuses unknown keys and numbers that are not finite. A registry is a
dict. It is looked up each time a config is read, so entries that are added later count too.
"""

import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

EVERY_KEY = object()  # the serialization context that also writes the keys of `later` that have their default


def later(default: Any, **options: Any) -> Any:
    """A pydantic field that a later version has added. Its default must keep the behaviour before it.

    With its default, it is left out of what is written (config.yaml and run.json keep their bytes) and, like
    every default, out of the digest. So runs from before the key stay the same arm.
    """
    return Field(default, json_schema_extra={"later": True}, **options)


class Strict(BaseModel):
    """The base class: frozen, no conversion of types, no unknown keys, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _leave_out_later_defaults(self, write: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        out = write(self)
        if info.context is not EVERY_KEY:
            for key, field in type(self).model_fields.items():
                if field.json_schema_extra == {"later": True} and getattr(self, key) == field.default:
                    out.pop(key, None)
        return out


def key_error(key: str, message: str) -> PydanticCustomError:
    """An error about `key` of the mapping being validated. `problems.relocate` moves it from the mapping to the key."""
    return PydanticCustomError("key_error", "{message}", {"key": key, "message": message})


def _no_choice(names: Collection[str], value: Any, **context: Any) -> PydanticCustomError:
    return PydanticCustomError(
        "choice", "must be one of {names}", {"names": ", ".join(names), "value": value, **context}
    )


def one_of(names: Collection[str]) -> BeforeValidator:
    """A validator: the value must be one of `names`, which are looked up when a config is read."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in names:
            raise _no_choice(names, value)
        return value

    return BeforeValidator(check)


READING = object()  # the validation context when the config of a run on disk is read
_KEY = re.compile(r"[a-z][a-z0-9_]{0,99}")


def plain(value: Any) -> Any:
    """Return `value` if it maps valid names to plain values: short text, finite numbers, null, or lists of these.

    Raises ValueError for anything else.
    """
    for key, setting in value.items():
        parts = setting if isinstance(setting, list) and len(setting) <= 100 else [setting]
        if not isinstance(key, str) or not _KEY.fullmatch(key) or not all(map(_is_plain, parts)):
            raise ValueError("has a key or a value that no config can have")
    return value


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 200 and value.isprintable()
    return value is None or (isinstance(value, int | float) and abs(value) <= sys.float_info.max)


@dataclass(frozen=True)
class ByType:
    """Validates a mapping whose `type` names one of `kinds`; that kind decides the other keys.

    In the config of a run on disk (`context=READING`), an unregistered type is not an error: the mapping is
    kept as `unknown`, unless that is None. `find` is called with an unregistered type first, and may
    add it to `kinds`. A value among `words` is accepted in place of a mapping.
    """

    kinds: Mapping[str, type[Strict]]
    unknown: type[Strict] | None = None
    find: Callable[[str], None] | None = None
    words: Sequence[str | None] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_before_validator_function(self.read, handler(source))

    def read(self, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, Strict) or value in self.words:
            return value
        if isinstance(value, str) and any(self.words):
            mappings = (f"{{type: {kind}, ...}}" for kind in self.kinds)
            raise _no_choice([*filter(None, self.words), *mappings], value)
        if not isinstance(value, dict):
            raise PydanticCustomError("no_mapping_with_type", "must be a mapping", {"names": list(self.kinds)})
        if "type" not in value:
            raise PydanticCustomError("type_missing", "is required", {"names": ", ".join(self.kinds), "key": "type"})
        kind = value["type"]
        if self.find and isinstance(kind, str) and kind not in self.kinds:
            self.find(kind)
        if not isinstance(kind, str) or kind not in self.kinds:
            if self.unknown and info.context is READING:
                return self.unknown.model_validate(value)
            raise _no_choice(self.kinds, kind, key="type")
        return self.kinds[kind].model_validate(value, context=info.context)


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted keys: {"norm": {"type": "batch"}} → {"norm.type": "batch"}."""
    out = {}
    for key, value in config.items():
        out.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return out
