"""The Python API: the commands as functions. Errors are exceptions with the exit codes of the commands.

>>> import bnbench
>>> (config,) = bnbench.load_config("configs/mlp_bn.yaml", set={"train.epochs": 1}, seeds=0)
>>> config.name, config.norm.type, config.train.epochs
('mlp_bn,train.epochs=1', 'batch', 1)
>>> runs = bnbench.read_runs("results/reference/mlp_bn", "results/reference/mlp_no_bn")
>>> runs.to_frame().shape  # one row for each arm, seed and epoch: 2 × 10 × 10
(200, 13)
>>> bnbench.compare(runs).to_frame()[["arm", "seeds", "pairs"]].fillna(0).values.tolist()
[['mlp_no_bn', 10, 0.0], ['mlp_bn', 10, 10.0]]
"""

import io
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from bnbench.analysis import compare as analysis
from bnbench.analysis.arms import Runs, collect
from bnbench.analysis.compare import At, Question
from bnbench.analysis.measures import MEASURES
from bnbench.analysis.tuned import Tuned, read_tuned
from bnbench.config.experiment import Config
from bnbench.errors import (
    BnbenchError,
    CheckFailed,
    ConfigError,
    DataError,
    Interrupted,
    ResultsError,
    RunError,
)
from bnbench.plugins.configs import load_configs
from bnbench.report import columns, tables
from bnbench.report.column import Column
from bnbench.runs.format import Run

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BnbenchError",
    "CheckFailed",
    "Comparison",
    "Config",
    "ConfigError",
    "DataError",
    "Interrupted",
    "ResultsError",
    "Run",
    "RunError",
    "Runs",
    "Tuned",
    "compare",
    "load_config",
    "read_runs",
    "run",
    "tune",
]


def load_config(
    path: str | Path,
    *,
    set: Sequence[str] | Mapping[str, Any] = (),
    seeds: str | int | Sequence[int] | None = None,
    name: str | None = None,
    smoke: bool = False,
    norms: str | Path | None = None,
) -> list[Config]:
    """Read a YAML config. The list has one Config, or one for each arm of a grid.

    `set` overrides keys, as in `["train.optimizer.lr=0.5"]` or `{"train.optimizer.lr": 0.5}`. `seeds` is
    `3`, `"0..9"` or `[0, 2, 5]`. `name` names the folder of the runs. `smoke` tries a config: one epoch on 512
    images of mnist5k. `norms` is a Python file with norms of your own, which the config may name.

    Raises ConfigError (exit code 2), which names every problem with its file, line and key, and CheckFailed (1)
    for a norm of your own that cannot be trained.

    >>> [config.name for config in load_config("configs/mlp_bn.yaml", set={"grid": {"train.optimizer.lr": [0.1, 1]}})]
    ['mlp_bn,train.optimizer.lr=0.1', 'mlp_bn,train.optimizer.lr=1']
    """
    if not isinstance(path, str | Path):
        raise ConfigError(f"load_config() takes the path of a YAML file, not {_a(path)}")
    if isinstance(set, str):
        raise ConfigError(f"load_config(set=...) takes a list, as in set=[{set!r}]")
    overrides = _overrides("load_config", set)
    chosen = seeds if seeds is None or isinstance(seeds, str | int) else list(seeds)
    own = None if norms is None else Path(norms)
    return load_configs([Path(path)], overrides, norms=own, name=name, seeds=chosen, smoke=smoke)


def _overrides(function: str, set: Sequence[str] | Mapping[str, Any]) -> list[str]:
    try:
        return [f"{key}={json.dumps(value)}" for key, value in set.items()] if isinstance(set, Mapping) else list(set)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{function}(set=...): a value cannot be written as YAML: {error}") from None


def run(
    config: Config | Sequence[Config],
    *,
    out: str | Path = "results",
    jobs: int | None = 1,
    cluster: str | None = None,
    force: bool = False,
    fail_fast: bool = False,
    engine: Literal["auto", "eager", "traced", "stacked"] = "auto",
    stack: int | None = None,
    data_dir: str | Path | None = None,
    quiet: bool = True,
) -> list[Run]:
    """Train every seed of the configs into the folder `out`; return the runs in order.

    Complete runs are skipped unless `force` is true, and interrupted runs are resumed. If `jobs` is above 1
    (None: one for each core), worker processes train. A script then needs the guard
    `if __name__ == "__main__":`. `cluster` is the address of a Dask scheduler. `engine` makes the training steps, and
    `stack` limits the runs that train as one stacked network; neither changes a result. `quiet=False` shows progress on
    stderr.

    Raises ConfigError (exit code 2) for a config that cannot be trained, RunError (3) if a run failed (the other
    runs are complete), DataError (4) for a damaged or missing dataset, and Interrupted (130) on Ctrl-C.

    >>> import tempfile
    >>> small = {"data.dataset": "mnist5k", "data.train_limit": 512, "train.epochs": 1}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (trained,) = run(load_config("configs/mlp_bn.yaml", set=small, seeds=0), out=folder)
    >>> trained.status, trained.epochs, trained.train_images, len(trained.rows)
    ('complete', 1, 512, 1)
    """
    configs = [config] if isinstance(config, Config) else list(config) if isinstance(config, Sequence) else []
    if not configs or not all(isinstance(one, Config) for one in configs):
        raise ConfigError(f"run() takes a Config or a list of them from load_config(), not {_a(config)}")
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise ConfigError(f"run(jobs={jobs!r}): must be a whole number from 1, or None for one for each core")
    from bnbench.data.datasets import data_dir as data_folder
    from bnbench.launch.execute import Places
    from bnbench.launch.progress import Progress
    from bnbench.launch.train import train

    folder = data_folder(None if data_dir is None else Path(data_dir))
    with Progress(quiet=quiet, notices=True) as progress:
        places = Places(jobs, cluster, fail_fast, engine, stack)
        runs, problems = train(configs, Path(out), folder, places, progress, force=force)
    if problems:
        raise RunError("\n".join(problems))
    return [finished for finished, _ in runs]


def tune(
    *paths: str | Path,
    grid: Mapping[str, Sequence[float]],
    set: Sequence[str] | Mapping[str, Any] = (),
    seeds: str = "0..9",
    tuning_seeds: str = "1000..1002",
    norms: str | Path | None = None,
    out: str | Path = "results/tuned",
    jobs: int | None = 1,
    cluster: str | None = None,
    data_dir: str | Path | None = None,
    quiet: bool = True,
) -> Tuned:
    """Tune the arms of the configs at `paths` over the same grid, and compare them at their best.

    The arguments are those of `bnbench tune`. Each arm chooses its value on held-out training images, and only the
    winners read the test images. The result has the arms, each with its choice, and three comparisons.

    Raises ConfigError (exit code 2) where arms would not be tuned alike or `out` has another tuning, and the errors of
    `run`.

    >>> import tempfile
    >>> small = {"data.dataset": "mnist5k", "data.train_limit": 512, "data.valid": 500, "train.epochs": 1}
    >>> lr = {"train.optimizer.lr": [0.001, 0.1]}
    >>> with tempfile.TemporaryDirectory() as out:
    ...     tuned = tune("configs/mlp_no_bn.yaml", grid=lr, set=small, seeds="0..1", tuning_seeds="2..3", out=out)
    >>> [(arm.name.partition(",")[0], arm.choice.value) for arm in tuned.arms]
    [('mlp_no_bn', (0.1,))]
    """
    from bnbench import tuner
    from bnbench.data.datasets import data_dir as data_folder
    from bnbench.launch.execute import Places
    from bnbench.launch.progress import Progress

    places = Places(jobs, cluster)
    options = [f"{key}={','.join(map(json.dumps, values))}" for key, values in grid.items()]
    asked = tuner.load_tuning(
        list(map(Path, paths)),
        tuner.parse_grid(options),
        _overrides("tune", set),
        seeds=seeds,
        tuning_seeds=tuning_seeds,
        norms=None if norms is None else Path(norms),
        places=places,
    )
    folder = data_folder(None if data_dir is None else Path(data_dir))
    tuner.tune(asked, Path(out), folder, places, partial(Progress, quiet=quiet), lambda _: None)
    return read_tuned([Path(out)])


def read_runs(*paths: str | Path) -> Runs:
    """Read every run at or below the paths: results folders, or single runs. Needs no torch.

    Raises ResultsError (exit code 3) if there is no finished run. `.notes` names the runs that are left out.

    >>> runs = read_runs("results/reference")
    >>> frame = runs.to_frame()  # one row for each run and epoch
    >>> frame.query("arm == 'mlp_bn' and seed == 0")["epoch"].tolist()
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    if not paths or not all(isinstance(path, str | Path) for path in paths):
        wrong = next((path for path in paths if not isinstance(path, str | Path)), None)
        raise ResultsError("read_runs() takes paths" + ("" if wrong is None else f", not {_a(wrong)}"))
    return collect([Path(path) for path in paths])


def compare(
    runs: Runs | str | Path | Sequence[str | Path],
    *,
    baseline: str | None = None,
    metric: str = "valid_accuracy",
    at: At = "final",
    target: float | None = None,
    early: int | None = None,
    same: float | None = None,
) -> "Comparison":
    """Compare the arms of `runs`, or of the runs at or below paths, with 95 % intervals. Needs no torch.

    Each arm is compared with `baseline`; by default that is the most similar arm without a norm. Accuracies and
    targets are fractions, and so is `same`, the margin within which arms count as the same. `at` is "final", "best" or
    an epoch counted from 1. Runs with different data or length get tables of their own, because they cannot be
    compared.

    Raises ConfigError (exit code 2) for a question that makes no sense, and ResultsError (3) like `read_runs`.

    >>> comparison = compare("results/reference", metric="train_loss", at=1)
    >>> frame = comparison.to_frame()  # one row for each arm
    >>> frame.query("arm == 'mlp_bn'")["baseline"].item()
    'mlp_no_bn'
    """
    if metric not in MEASURES:
        raise ConfigError(f"metric {metric!r}: must be one of {', '.join(MEASURES)}")
    if at not in ("final", "best") and not (isinstance(at, int) and at >= 1):
        raise ConfigError(f"at {at!r}: must be 'final', 'best' or an epoch, counted from 1")
    if not isinstance(runs, Runs):
        runs = read_runs(*([runs] if isinstance(runs, str | Path) else runs))
    answer = analysis.compare(runs, Question(metric, at, baseline, target, early, same))
    return Comparison(answer.tables, answer.notes)


class Comparison(analysis.Comparison):
    """Tables of arms, one for each group of runs that can be compared. str() gives the text of `bnbench compare`."""

    def to_frame(self) -> "pd.DataFrame":
        """One row for each arm, with the columns of `bnbench compare --format csv`."""
        import pandas as pd

        records = [record for table in self.tables for record in tables.records(table, self._columns(table, True))]
        return pd.DataFrame(records)

    def __str__(self) -> str:
        text = io.StringIO()
        console = Console(  # plain text, in a notebook too
            file=text,
            width=120,
            color_system=None,
            force_terminal=False,
            force_jupyter=False,
            markup=False,
            highlight=False,
            emoji=False,
        )
        shown = [(table, self._columns(table, False), table) for table in self.tables]
        tables.print_tables(shown, self.notes, "table", console)
        return text.getvalue().rstrip()

    @staticmethod
    def _columns(table: analysis.Table, machine: bool) -> dict[str, Column]:
        return columns.choose(table, None, only_changed=True, empty=machine)


def _a(value: Any) -> str:
    return f"a {type(value).__name__}"
