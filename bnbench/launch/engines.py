"""Which engine makes the steps of a run, and which runs train together as one stacked network. No torch here."""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Literal

from bnbench.config.experiment import Config
from bnbench.config.train import SGDConfig
from bnbench.errors import ConfigError
from bnbench.runs.kept import epochs_kept

if TYPE_CHECKING:
    from bnbench.launch.run_one import Job

EngineName = Literal["auto", "eager", "traced", "stacked"]
MAX_STACK = 10  # more networks do not fit the cache of a core, so that each step takes longer
# Training steps from which a trace pays: the first of a process takes more than a second, and each replay saves 0.3 ms
# or more of an MLP's step, and 0.4 to 1.6 ms of a CNN's.
PAYS_FROM = {"mlp": 5_000, "cnn": 4_000}


def refuse_engine(configs: Sequence[Config], engine: str, stack: int | None) -> None:
    """Raise ConfigError where a config cannot use the engine that was asked for by name."""
    if stack is not None and engine not in ("auto", "stacked"):
        raise ConfigError(f"--stack is the size of a stack, and --engine {engine} makes none; remove one of the two")
    for config in configs:
        reason = _not_traced(config) if engine == "traced" else _not_stacked(config) if engine == "stacked" else None
        if reason is not None:
            raise ConfigError(f"{config.name}: --engine {engine} cannot train it: {reason}. Use --engine auto")


def units(jobs: Sequence["Job"], processes: int, engine: str = "auto", stack: int | None = None) -> list[list["Job"]]:
    """The jobs, in their order; those that train as one stacked network are together.

    They are runs of one arm which start at the same epoch. `stack` is the largest number of them; without it, all
    `processes` get some.
    """
    if engine not in ("auto", "stacked"):
        return [[job] for job in jobs]
    largest = stack or min(MAX_STACK, math.ceil(len(jobs) / processes))
    together: list[list[Job]] = []
    for key, group in groupby(jobs, key=lambda job: _key(job, engine)):
        same = list(group)
        if key is None or (engine == "auto" and _steps(same[0].config) * len(same) < PAYS_FROM["mlp"]):
            together += [[job] for job in same]
            continue
        count = math.ceil(len(same) / largest)
        cuts = [round(number * len(same) / count) for number in range(count + 1)]
        together += [same[start:stop] for start, stop in pairwise(cuts)]
    return together


def engine_of(config: Config, engine: str, together: int) -> str:
    """The engine for `together` networks of one arm: eager, traced or stacked."""
    if engine in ("eager", "traced"):
        return engine
    if together > 1:
        return "stacked"
    pays = _steps(config) >= PAYS_FROM.get(config.model.type, math.inf)
    return "traced" if engine == "stacked" or (pays and _not_traced(config) is None) else "eager"


def _key(job: "Job", engine: str) -> tuple[object, ...] | None:
    """Jobs with one key can train together; None if this one trains alone."""
    config = job.config
    if _not_stacked(config) is not None:
        return None
    # vmap computes PyTorch's batch norm, and the norm of a weight, by other sums: the bits differ.
    if engine == "auto" and (config.norm.changes == "weights" or config.norm.builder == "builtin"):
        return None
    return (
        config.digest(),
        config.averages,
        0 if job.force else epochs_kept(job.folder, config),
        job.shorter and job.shorter.parent,
    )


def _not_traced(config: Config) -> str | None:
    if config.norm.varies:
        return f"{config.norm.type} draws new random numbers in each step"
    return None if config.device == "cpu" else f"it trains on {config.device}, where only the eager engine was tried"


def _not_stacked(config: Config) -> str | None:
    if config.model.type != "mlp":
        return "its model is not an MLP, and other models train more slowly in a stack"
    if not isinstance(config.train.optimizer, SGDConfig):
        return f"its optimizer is {config.train.optimizer.type}, not sgd"
    return _not_traced(config)


def _steps(config: Config) -> int:
    images = config.data.images()[0]
    return config.train.epochs * math.ceil(min(config.data.train_limit or images, images) / config.data.batch_size)
