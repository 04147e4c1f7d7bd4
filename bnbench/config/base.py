"""What every model of a config shares: frozen, strict, no unknown keys, finite numbers; and registries by name.

A registry is a dict that is looked into when a config is read, so what is added to it later counts as well.
"""

import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def key_error(key: str, message: str) -> PydanticCustomError:
    """An error at `key` of the mapping being validated; load.py adds the key to the location."""
    return PydanticCustomError("key_error", "{message}", {"key": key, "message": message})


def _no_choice(names: Collection[str], value: Any, **context: Any) -> PydanticCustomError:
    return PydanticCustomError(
        "choice", "must be one of {names}", {"names": ", ".join(names), "value": value, **context}
    )


def one_of(names: Collection[str]) -> BeforeValidator:
    """A value that must be one of `names`."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in names:
            raise _no_choice(names, value)
        return value

    return BeforeValidator(check)


READING = object()  # the context of a config that is read back from a run
_KEY = re.compile(r"[a-z][a-z0-9_]{0,99}")


def plain(value: Any) -> Any:
    """A mapping of names to plain values, as every config has them. Raises ValueError for anything else."""
    for key, setting in value.items():
        parts = setting if isinstance(setting, list) and len(setting) <= 100 else [setting]
        if not isinstance(key, str) or not _KEY.fullmatch(key) or not all(map(_is_plain, parts)):
            raise ValueError("has a key or a value that no config has")
    return value


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 200 and value.isprintable()
    return value is None or (isinstance(value, int | float) and abs(value) <= sys.float_info.max)


@dataclass(frozen=True)
class ByType:
    """A mapping whose `type` names one of `kinds`; its other keys are those of that kind.

    In a run on disk (`context=READING`) another type is no mistake: it is kept as an `unknown`, where there is one.
    """

    kinds: Mapping[str, type[Strict]]
    unknown: type[Strict] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_before_validator_function(self.read, handler(source))

    def read(self, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, Strict):
            return value
        if not isinstance(value, dict):
            raise PydanticCustomError("no_mapping_with_type", "must be a mapping", {"names": list(self.kinds)})
        if "type" not in value:
            raise PydanticCustomError("type_missing", "is required", {"names": ", ".join(self.kinds), "key": "type"})
        kind = value["type"]
        if not isinstance(kind, str) or kind not in self.kinds:
            if self.unknown and info.context is READING:
                return self.unknown.model_validate(value)
            raise _no_choice(self.kinds, kind, key="type")
        return self.kinds[kind].model_validate(value, context=info.context)


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"norm": {"type": "batch"}} → {"norm.type": "batch"}."""
    out = {}
    for key, value in config.items():
        out.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return out
