"""The options of a norm of one's own, from the signature of its constructor."""

import inspect
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Union, cast, get_args, get_origin

from pydantic import ConfigDict, ValidationError, create_model, model_validator
from pydantic.errors import PydanticUserError

from bnbench.config.base import key_error
from bnbench.config.evaluations import Kind
from bnbench.config.norms.base import ActivationNormConfig
from bnbench.errors import ConfigError
from bnbench.plugins.execute import described
from bnbench.plugins.source import TYPE, Builder, Source, defined_at

SCALARS = (bool, int, float, str, type(None))


class OwnNormConfig(ActivationNormConfig):
    """What every norm of one's own has, with the checksum of its code. A subclass has its options."""

    model_config = ConfigDict(validate_default=True)

    source: ClassVar[Source]

    implementation: Literal["custom"] = "custom"
    # Required, so that they are no defaults: they are part of the digest. They are filled in by the code in use.
    source_sha256: str

    @model_validator(mode="before")
    @classmethod
    def _of_this_source(cls, value: Any) -> Any:
        recorded = cls.source.recorded()
        for key, here in recorded.items():
            there = value.get(key, here)
            if there != here:
                raise key_error(key, f"the config is of {there}, but {cls.source.path} is {here}; use the same code")
        return {**value, **recorded}

    @property
    def builder(self) -> str:
        return self.source_sha256

    @property
    def evaluates_images_alone(self) -> bool:
        return False  # its code decides, and nobody knows

    @property
    def evaluations(self) -> tuple[Kind, ...] | None:
        return ("running",)

    def options(self) -> dict[str, Any]:
        return {key: value for key, value in super().options().items() if key not in self.source.recorded()}

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """A worker process makes the class anew from the source."""
        return _restored, (self.source, self.model_dump())


class PackageNormConfig(OwnNormConfig):
    source_package: str
    source_version: str


def _restored(source: Source, values: dict[str, Any]) -> OwnNormConfig:
    return known(source).model_validate(values)


@cache
def known(source: Source) -> type[OwnNormConfig]:
    """The options of the norm of `source`, whose layer training then finds, too."""
    from bnbench.norms import NORMS

    build = source.builder()
    options = _options(source, build)
    NORMS.setdefault(source.type, {})[source.sha256] = build
    return options


def _options(source: Source, build: Builder) -> type[OwnNormConfig]:
    """A config class with the typed keywords of a constructor. Raises ConfigError where one cannot be a key."""
    init = build.__init__ if isinstance(build, type) else build  # type: ignore[misc]
    where = f"{source.path}:{defined_at(source.path, build)}: {getattr(build, '__name__', source.type)}"
    try:
        parameters = list(inspect.signature(build).parameters.values())
        hints = typing.get_type_hints(init, include_extras=True)
    except NameError as error:
        raise ConfigError(f"{where} has a type that is not defined: {error}") from None
    except (TypeError, ValueError):  # a class of another language, say
        parameters, hints = [], {}
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) < 2 or any(parameter.kind not in positional for parameter in parameters[:2]):
        raise ConfigError(f"{where} must take num_features and spatial, as in (self, num_features, spatial=(), *, ...)")
    second = parameters[1]
    if hints.get(second.name) in SCALARS or isinstance(second.default, bool | int | float | str):
        raise ConfigError(
            f"{where} takes {second.name} where spatial, a tuple, is given; write"
            f" (self, num_features, spatial=(), *, {second.name}, ...)"
        )
    fields: dict[str, Any] = {}
    for option in parameters[2:]:
        if option.name != "generator":
            if problem := _problem(option, hints):
                raise ConfigError(f"{where}{problem}")
            fields[option.name] = (hints[option.name], ... if option.default is option.empty else option.default)
    base = OwnNormConfig if source.code is not None else PackageNormConfig
    try:
        made = cast(type[OwnNormConfig], create_model(f"{source.type}_options", __base__=base, **fields))
        made.source = source
        made.activates = bool(getattr(build, "activates", False))
        made.model_validate({"type": source.type})
    except ValidationError as error:
        wrong = [problem for problem in error.errors(include_url=False) if problem["type"] != "missing"]
        if wrong:
            key = ".".join(map(str, wrong[0]["loc"]))
            raise ConfigError(f"{where}: the default of option {key} is not a value that it may have") from None
    except (TypeError, PydanticUserError) as error:
        raise ConfigError(f"{where}: its options cannot be read: {described(error)}") from None
    return made


def _problem(option: inspect.Parameter, hints: dict[str, Any]) -> str | None:
    """Why a parameter cannot be a key of a config."""
    name = option.name
    if option.kind in (option.VAR_POSITIONAL, option.VAR_KEYWORD, option.POSITIONAL_ONLY):
        return f" takes {str(option).split(':')[0]}; name each option, behind a *"
    if not TYPE.fullmatch(name) or hasattr(OwnNormConfig, name) or name in PackageNormConfig.model_fields:
        return f": an option cannot be called {name}; choose another name"
    if name not in hints:
        return f": option {name} has no type; write it as in eps: float = 1e-5"
    if not _is_setting(hints[name]):
        return (
            f": option {name} has a type that no config has;"
            " use bool, int, float, str or Literal, or a list of the first four"
        )
    return None


def _is_setting(annotation: Any) -> bool:
    """Whether values of a type can stand in a config."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_setting(arguments[0])
    if origin is Literal:
        return all(isinstance(value, SCALARS) for value in arguments)
    if origin in (Union, types.UnionType):
        return all(map(_is_setting, arguments))
    if origin is list:
        return all(argument in SCALARS for argument in arguments)
    return annotation in SCALARS
