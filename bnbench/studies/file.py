"""Reads study files. A mistake is a ConfigError with file and line; nothing is trained before all are found.

study = read_study(find("variants_l1"))
study.about.claims["same"].delta     0.3
study.points                         a config for each arm and each place of the grid
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bnbench.config.base import ByType
from bnbench.config.problems import Location, closest, explain, place, relocate
from bnbench.config.read import read_mapping
from bnbench.errors import ConfigError
from bnbench.studies.schema import Claim, Study

FOLDER = Path("configs/studies")
NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
MOST = 20  # problems in one message


@dataclass(frozen=True)
class StudyFile:
    """A study and where it stands. `sha256` is that of the file's bytes: an edited study is a new study."""

    path: Path
    name: str
    text: bytes
    about: Study
    lines: dict[Location, int]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text).hexdigest()

    def at(self, *location: str | int) -> str:
        """`file:line: key`, for a message."""
        return place(location, {}, self.path, self.lines, {})


def find(name: str, folder: Path = FOLDER) -> Path:
    """The file of a study: a path that ends in .yaml, or the name of a file in `folder`. Raises ConfigError."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name)
        twin = folder / path.name
        if path.exists() and twin.exists() and not path.samefile(twin):
            raise ConfigError(f"{path}: {twin} is a study of the same name; rename one of the two")
        return path
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = [one.stem for one in files(folder)]
        close = closest(name, names)
        hint = f"; did you mean {close}?" if close else f"; the studies are {', '.join(names)}" if names else ""
        raise ConfigError(f"there is no study {name!r} in {folder}{hint}")
    return path


def files(folder: Path = FOLDER) -> list[Path]:
    """The study files in a folder, by name."""
    return sorted(folder.glob("*.yaml"))


def read_study(path: Path) -> StudyFile:
    """Read one study file, without its configs. Raises ConfigError."""
    data, lines = read_mapping(path)
    if not NAME.fullmatch(path.stem) or path.stem == "new":
        raise ConfigError(f"{path}: a study's file needs a name of small letters, digits and _; 'new' is a command")
    try:
        about = Study.model_validate(data)
    except ValidationError as error:
        problems = [relocate(problem) for problem in error.errors(include_url=False)]
        texts = [f"{place(p['loc'], data, path, lines, {})}: {_explain(p, data)}" for p in problems]
        raise ConfigError("\n".join(_at_most(texts, path))) from None
    study = StudyFile(path, path.stem, path.read_bytes(), about, lines)
    if problems := list(_names(study)):
        raise ConfigError("\n".join(_at_most(problems, path)))
    return study


def _at_most(texts: Sequence[str], path: Path) -> list[str]:
    return [*texts] if len(texts) <= MOST else [*texts[:MOST], f"{path}: … and {len(texts) - MOST} more problems"]


def _names(study: StudyFile) -> Iterator[str]:
    """What is wrong with the names of arms and claims, and with the number of seeds."""
    for kind, names in (("arms", study.about.arms), ("claims", study.about.claims)):
        for name in names:
            if not NAME.fullmatch(name):
                yield f"{study.at(kind, name)}: is not a name: use small letters, digits and _"
    if len(study.about.seeds) < 3:
        yield f"{study.at('seeds')}: a study needs at least three seeds, as in 0..9"
    for arm, changes in study.about.arms.items():
        if "seeds" in changes:
            yield f"{study.at('arms', arm, 'seeds')}: all arms share the study's seeds, so that runs pair; remove it"
    for name, claim in study.about.claims.items():
        for number, arm in enumerate(claim.arms):
            if arm not in study.about.arms:
                close = closest(arm, [*study.about.arms])
                hint = f"did you mean {close}?" if close else f"the arms are {', '.join(study.about.arms)}"
                which = ("first", "second")[number]
                yield f"{study.at('claims', name, 'arms')}: the {which} arm: there is no arm {arm!r}; {hint}"


def _explain(problem: Any, data: Any) -> str:
    """One sentence about a problem. Unknown keys get the keys of the study's parts."""
    if problem["type"] == "extra_forbidden":
        *above, key = problem["loc"]
        keys = _keys_at(above, data)
        close = closest(str(key), keys, cutoff=0.7)
        return f"unknown key; did you mean {close}?" if close else f"unknown key; the keys here are {', '.join(keys)}"
    text = explain(problem, data)
    if problem["type"] == "greater_than" and problem["loc"][-1] in ("sd", "stable_sd"):
        return f"{text}; write the spread of the effect over seeds, which bnbench study NAME --pilot 10 measures"
    return text


def _keys_at(location: Sequence[str | int], data: Any) -> list[str]:
    """The keys that a study file may have at `location`."""
    model: type[BaseModel] = Study
    for key in map(str, location):
        data = data[key]
        if model is Study and key == "claims":
            continue
        if key in model.model_fields:
            field = model.model_fields[key]
            registry = next((part for part in field.metadata if isinstance(part, ByType)), None)
            kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if _is_model(kind)]
            model = registry.kinds[data["type"]] if registry else kinds[0]
        else:
            model = Claim
    return [field.alias or name for name, field in model.model_fields.items()]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
