"""What every model of a config shares: frozen, strict, no unknown keys, finite numbers; and configs made flat."""

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def key_error(key: str, message: str) -> PydanticCustomError:
    """An error at `key` of the mapping being validated; load.py adds the key to the location."""
    return PydanticCustomError("key_error", "{message}", {"key": key, "message": message})


def one_of(names: Collection[str]) -> BeforeValidator:
    """A value that must be one of `names`, which are looked up when a config is read: a registry may grow."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in names:
            raise PydanticCustomError("choice", "must be one of {choices}", {"choices": ", ".join(names)})
        return value

    return BeforeValidator(check)


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"norm": {"type": "batch"}} → {"norm.type": "batch"}."""
    out = {}
    for key, value in config.items():
        out.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return out
