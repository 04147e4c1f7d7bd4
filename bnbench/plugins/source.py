"""Where a norm of one's own comes from, and its layers: a file, or a module of an installed package.

A source travels to worker processes, which load the same code from it. A file's bytes travel with it.
"""

import ast
import hashlib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from bnbench.config.norms import NORMS
from bnbench.errors import CheckFailed, ConfigError
from bnbench.files import read_bounded
from bnbench.plugins.execute import SECONDS, described, execute, line_of
from bnbench.signals import TimeIsUp, time_limit

GROUP = "bnbench.norms"
MAX_BYTES = 1_000_000
TYPE = re.compile(r"[a-z][a-z0-9_]{0,99}")

Builder = Callable[..., Any]  # (num_features, spatial, **options) → nn.Module


@dataclass(frozen=True)
class Source:
    """The code of one norm: `code` is a file's; a package's is imported by its entry point, `entry`."""

    type: str
    path: str  # for messages
    sha256: str  # of the file, or of the module that has the norm
    code: bytes | None = None
    entry: str = ""
    package: str = ""
    version: str = ""

    def recorded(self) -> dict[str, str]:
        """What a resolved config says of it."""
        about = {"source_sha256": self.sha256}
        return (
            about if self.code is not None else {"source_package": self.package, "source_version": self.version} | about
        )

    def builder(self) -> Builder:
        """What builds its layer. Raises ConfigError where the code is not as it was."""
        if self.code is not None:
            return _norms_in(_executed(self.path, self.code), self.path, self.code)[self.type]
        there, build = in_package(self.type)
        if there.recorded() != self.recorded():
            raise ConfigError(
                f"norm {self.type}: {there.package} {there.version} here is not the {self.package} {self.version}"
                " of the command; install the same on all machines"
            )
        return build


def in_file(path: Path) -> dict[str, tuple[Source, Builder]]:
    """The norms of a file, by type. Raises ConfigError, with file and line, where it has none that can be used.

    Raises CheckFailed where it runs too long.
    """
    try:
        code = read_bounded(path, MAX_BYTES)
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise ConfigError(f"{path}: {why}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: is not a file of norms: it {error}") from None
    sha256 = hashlib.sha256(code).hexdigest()
    found = _norms_in(_executed(str(path), code), str(path), code)
    return {name: (Source(name, str(path), sha256, code), build) for name, build in found.items()}


def in_package(name: str) -> tuple[Source, Builder]:
    """The norm that an installed package brings. Raises KeyError where none does, ConfigError where it is broken."""
    found = {(entry.value, _distribution(entry)): entry for entry in entry_points(group=GROUP, name=name)}
    if not found:
        raise KeyError(name)
    if len(found) > 1:
        packages = sorted(distribution[0] for _, distribution in found)
        raise ConfigError(
            f"norm.type: {len(found)} packages bring a norm {name}: {', '.join(packages)}; uninstall all but one"
        )
    (((_, (package, version)), entry),) = found.items()
    where = f"norm {name} of {package} {version}"
    try:
        module = importlib.import_module(entry.module)
        build = entry.load()
        path = Path(str(module.__file__))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where} does not import: {described(error)}") from None
    if not callable(build):
        raise ConfigError(f"{where}: {entry.value} is not a module class")
    return Source(name, str(path), sha256, None, entry.value, package, version), build


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else ("a package without metadata", "")


def _executed(path: str, code: bytes) -> ModuleType:
    try:
        with time_limit(SECONDS):
            return execute(path, code)
    except TimeIsUp as error:
        raise CheckFailed(f"{path}:{line_of(error, path)}: takes longer than {SECONDS:g} s to import") from None
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{path}:{line_of(error, path)}: does not import: {described(error)}") from None


def defined_at(path: str, *functions: Any) -> int:
    """The line of the first of the functions and classes that is in the file."""
    for function in functions:
        for made_by in (function, getattr(function, "__init__", None)):
            code = getattr(made_by, "__code__", None)
            if code is not None and code.co_filename == path:
                return int(code.co_firstlineno)
    return 1


def _norms_in(module: ModuleType, path: str, code: bytes) -> dict[str, Builder]:
    """The norms that a file defines, by type, by its NORMS or as its one nn.Module."""
    from torch import nn

    if hasattr(module, "NORMS"):
        norms, line = module.NORMS, _lines(code, "NORMS")
        if not isinstance(norms, dict) or not norms or not all(map(callable, norms.values())):
            raise ConfigError(f'{path}:{line}: NORMS must map types to nn.Module classes, as in {{"my_norm": MyNorm}}')
        lines = dict.fromkeys(norms, line)
    else:
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__
        ]
        own = list(dict.fromkeys(own))
        names = [layer.__name__ for layer in own]
        if not own:
            raise ConfigError(f"{path}:1: defines no norm; it needs an nn.Module, or NORMS = {{'my_norm': MyNorm}}")
        if len(own) > 1:
            raise ConfigError(
                f"{path}:{_lines(code, names[1])}: defines {len(own)} modules, {', '.join(names)};"
                f" say which is the norm, as in NORMS = {{'{snake_case(names[0])}': {names[0]}}}"
            )
        norms = {snake_case(names[0]): own[0]}
        lines = {snake_case(names[0]): _lines(code, names[0])}
    for name, line in lines.items():
        if not isinstance(name, str) or not TYPE.fullmatch(name):
            raise ConfigError(f"{path}:{line}: {name!r} is not a norm's name: use small letters, digits and '_'")
        if name in SHIPPED:
            raise ConfigError(f"{path}:{line}: bnbench has a norm {name} already; give yours another name")
    return norms


SHIPPED = frozenset(NORMS)


def snake_case(name: str) -> str:
    """MyNorm → my_norm, RMSNorm → rms_norm."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().strip("_")


def _lines(code: bytes, name: str) -> int:
    """The line on which the file defines a name."""
    for node in ast.parse(code).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [getattr(target, "id", None) for target in targets] + [getattr(node, "name", None)]
        if name in names:
            return node.lineno
    return 1
