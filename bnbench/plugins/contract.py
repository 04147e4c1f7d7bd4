"""The contract of norms, held against the norms of a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bnbench.config.problems import explain, relocate
from bnbench.errors import CheckFailed, ConfigError
from bnbench.norms.contract import PROMISES
from bnbench.plugins.options import OwnNormConfig, known
from bnbench.plugins.probe import TooLong, keep
from bnbench.plugins.source import in_file

SHAPES = {"vectors": (8, 100), "images": (8, 6, 5, 5)}


def held(path: Path, settings: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    """Each promise for each norm of the file and each kind of input: whether it is kept, and a line that says so.

    A norm may refuse vectors or images by a ValueError of its constructor, but not both. One that exceeds the time
    limit ends the test.
    Raises ConfigError where the file or `settings` cannot be used.
    """
    configs = [_config(known(source), settings) for source, _ in in_file(path).values()]
    for norm in configs:
        refused = []
        for kind, shape in SHAPES.items():
            last = ""
            for promise in PROMISES:
                words = " ".join(str(promise.__doc__).split()).rstrip(".")
                try:
                    keep(promise, norm, shape)
                except ConfigError as error:
                    refused.append(str(error))
                    yield len(refused) < len(SHAPES), f"refused  {norm.type}, {kind}: {error}"
                    break
                except TooLong as error:
                    yield False, f"FAILED   {norm.type}, {kind}: {words}: {error}"
                    return
                except CheckFailed as error:
                    if str(error) == last:
                        yield False, f"FAILED   {norm.type}, {kind}: the next promises: the same error"
                        break
                    last = str(error)
                    yield False, f"FAILED   {norm.type}, {kind}: {words}: {error}"
                else:
                    yield True, f"kept     {norm.type}, {kind}: {words}"


def _config(options: type[OwnNormConfig], settings: dict[str, Any]) -> OwnNormConfig:
    data = {"type": options.source.type, **settings}
    try:
        return options.model_validate(data)
    except ValidationError as error:
        problem = relocate(error.errors(include_url=False)[0])
        key = ".".join(map(str, problem["loc"]))
        extra = problem["type"] == "extra_forbidden"
        what = "the norm has no such option" if extra else explain(problem, data)
        help_ = "; give it by --set" if problem["type"] == "missing" else ""
        raise ConfigError(f"{options.source.path}: norm {options.source.type}: {key}: {what}{help_}") from None
