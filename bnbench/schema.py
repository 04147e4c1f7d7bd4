"""What every model of a config shares: frozen, strict, no unknown keys, finite numbers."""

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def key_error(key: str, message: str) -> PydanticCustomError:
    """An error at `key` of the mapping being validated; configfile.py adds the key to the location."""
    return PydanticCustomError("key_error", "{message}", {"key": key, "message": message})
