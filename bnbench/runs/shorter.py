"""Finds complete, shorter runs of the same arm and seed, which a longer run can continue. No torch here."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from bnbench.config.experiment import Config
from bnbench.errors import ResultsError
from bnbench.runs.format import CONTINUE, Run, read_json, read_run, run_config
from bnbench.runs.provenance import SAME_BYTES, provenance

Key = tuple[str, int]  # the digest of an arm of any length, and a seed


def shorter_runs(out: Path, configs: Sequence[Config]) -> dict[Key, Run]:
    """The longest complete run below `out` that is shorter than its config, for each of `configs` that has one.

    Each config has one seed. A run with a schedule has another rate at each step than a longer one, so none of
    its runs is continued. Nor is one for a config that keeps moving averages for its `evaluations`. A run that cannot
    be continued is given only if there is no better one.
    """
    wanted = {key(config): config for config in configs if config.train.schedule is None and not config.averages}
    seeds = {config.seed for config in wanted.values()}
    found: dict[Key, Run] = {}
    for folder in _folders(out, seeds) if wanted else ():
        run, at = _complete(folder, wanted)
        if run is not None and (at not in found or _rank(found[at]) < _rank(run)):
            found[at] = run
    return found


def key(config: Config) -> Key:
    return config.digest_of_any_length(), config.seed


def why_not(run: Run) -> str | None:
    """Why a complete run cannot be continued here, or None. Completes the sentence "RUN cannot be continued: …"."""
    if not (run.path / CONTINUE).is_file() or not (run.path / "model.pt").is_file():
        return "its model.pt or its continue.pt is missing"
    here = provenance()
    other = [name for name in SAME_BYTES if run.provenance.get(name) != here[name]]
    return f"it was made with another {', '.join(other)}" if other else None


def _rank(run: Run) -> tuple[bool, int]:
    return why_not(run) is None, run.epochs


def _folders(out: Path, seeds: set[int]) -> Iterator[Path]:
    """The folders of runs with one of `seeds`, in a fixed order."""
    try:
        arms = sorted(path for path in out.iterdir() if not path.name.startswith("."))
    except OSError:
        return
    for arm in arms:
        for seed in sorted(seeds):
            if (arm / f"seed-{seed}" / "run.json").is_file():
                yield arm / f"seed-{seed}"


def _complete(folder: Path, wanted: dict[Key, Config]) -> tuple[Run | None, Key]:
    """The run in `folder` with its key, or None if it is not complete, or not a shorter run of a config."""
    nothing = None, ("", 0)
    try:
        if read_json(folder).get("status") != "complete":
            return nothing
        there = Config.of_run(run_config(folder))
        at = key(there) if there.known else nothing[1]
        if at not in wanted or there.train.epochs >= wanted[at].train.epochs:
            return nothing
        return read_run(folder), at
    except (ResultsError, ValidationError, OSError, ValueError):  # it is not a run; compare would say so
        return nothing
