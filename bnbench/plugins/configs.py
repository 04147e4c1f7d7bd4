"""Configs that may name norms of one's own: read with their norms known, which are then tried on their networks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bnbench.config import load
from bnbench.config.experiment import Config
from bnbench.config.norms import FINDERS, NORMS, register
from bnbench.plugins.options import OwnNormConfig, known
from bnbench.plugins.source import in_file, in_package


def load_configs(
    paths: Sequence[Path],
    overrides: Sequence[str] = (),
    *,
    norms: Path | None = None,
    name: str | None = None,
    seeds: str | int | list[int] | None = None,
    smoke: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[Config]:
    """As bnbench.config.load, but configs may also name the norms of the file `norms` and of installed packages.

    Raises ConfigError as there, and for code that cannot be used; CheckFailed for a norm that breaks the contract.
    """
    with norms_known(norms):
        configs = load.load_configs(paths, overrides, name=name, seeds=seeds, smoke=smoke, say=say)
    if own := [config for config in configs if isinstance(config.norm, OwnNormConfig)]:
        from bnbench.plugins.probe import probe

        probe(own)
    return configs


@contextmanager
def norms_known(path: Path | None) -> Iterator[list[str]]:
    """While the block runs, configs may name norms of one's own; yields the types that the file has."""
    before = set(NORMS)

    def find(name: str) -> None:
        try:
            source, _ = in_package(name)
        except KeyError:
            return
        register(name, known(source))

    FINDERS.append(find)
    try:
        found = {} if path is None else in_file(path)
        for name, (source, _) in found.items():
            register(name, known(source))
        yield list(found)
    finally:
        FINDERS.remove(find)
        for name in NORMS.keys() - before:
            del NORMS[name]
