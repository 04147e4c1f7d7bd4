"""Tunes arms over a fixed grid: fixes the plan, trains the grid, chooses on held-out images, trains the winners.

The rule is analysis/tuning.py's; runs/tune.py says what is written before the first run. No torch before a run.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bnbench.analysis.keys import stripped
from bnbench.analysis.tuning import Choice, choose
from bnbench.config import load, strict_yaml
from bnbench.config.catalog import DATASETS
from bnbench.config.experiment import Config, parse_seeds
from bnbench.config.grid import KEY
from bnbench.data import datasets
from bnbench.errors import ConfigError, RunError
from bnbench.launch.dry import dry
from bnbench.launch.execute import Places, for_this_machine
from bnbench.launch.progress import Progress
from bnbench.launch.train import train
from bnbench.plugins.configs import load_configs, norms_known
from bnbench.report.tuned import warnings
from bnbench.runs.format import Run
from bnbench.runs.tune import FILE, FINAL, RULE, TUNING, Grid, Plan, Point, Value, continued, read, texts, write

SEEDS, TUNING_SEEDS = "0..9", "1000..1002"
SHARE = 6  # a sixth of the training images is held out if the configs do not say: of MNIST, 10,000
# Arms with other values of these keys have another budget, or are chosen on other images.
SHARED = ("data.dataset", "data.train_limit", "data.valid", "data.valid_limit", "train.epochs")
FIXED = (*SHARED, "data.test", "data.fallback", "seeds", "name", "smoke", "grid", "device", "threads")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Tuning:
    """What a command asks for: its plan, and for each arm and value the config to tune and the config of a winner."""

    plan: Plan
    configs: dict[str, dict[Value, tuple[Config, Config]]]

    def to_tune(self) -> list[Config]:
        return [tuning for points in self.configs.values() for tuning, _ in points.values()]

    def winners(self, choices: dict[str, Choice]) -> list[Config]:
        return [self.configs[name][choice.value][1] for name, choice in choices.items() if choice.value is not None]


def parse_grid(options: Sequence[str]) -> Grid:
    """`train.optimizer.lr=0.01,0.1` → the key and its numbers, in order. Raises ConfigError."""
    grid: dict[str, tuple[float, ...]] = {}
    for text in options:
        key, _, listed = text.partition("=")
        if not KEY.fullmatch(key) or not listed:
            raise ConfigError(f"--grid {text}: must be KEY=VALUE,VALUE, as in train.optimizer.lr=0.01,0.1,1")
        if any(key == fixed or fixed.startswith(f"{key}.") for fixed in FIXED):
            raise ConfigError(f"--grid {key}: every arm and value has the same {key}; tune another key")
        if key in grid:
            raise ConfigError(f"--grid {key}: is there twice; name all of its values at once")
        try:
            values = strict_yaml.parse(f"[{listed}]")[0]
        except strict_yaml.YamlError as error:
            raise ConfigError(f"--grid {text}: {error}") from None
        for value in values:
            if not isinstance(value, int | float) or isinstance(value, bool):
                shown = value if isinstance(value, str) else str(value).lower()
                raise ConfigError(f"--grid {key}: {shown} is no number, so the rule has no smaller or larger value")
        if len(set(values)) < len(values):
            raise ConfigError(f"--grid {key}: names a value twice")
        if len(values) < 2:
            raise ConfigError(f"--grid {key}: needs two values or more to choose from")
        grid[key] = tuple(sorted(values))
    return grid


def load_tuning(
    paths: Sequence[Path],
    grid: Grid,
    overrides: Sequence[str] = (),
    *,
    seeds: str = SEEDS,
    tuning_seeds: str = TUNING_SEEDS,
    norms: Path | None = None,
    places: Places | None = None,
    say: Say = lambda _: None,
) -> Tuning:
    """Read the configs at every value of the grid. Raises ConfigError, also where the arms would not be tuned alike."""
    final, first = _seeds("--seeds", seeds), _seeds("--tuning-seeds", tuning_seeds)
    if common := sorted(set(final) & set(first)):
        raise ConfigError(f"--tuning-seeds: {common[0]} is a final seed too; the final runs need fresh seeds")
    for text in overrides:
        if text.partition("=")[0] in ("seeds", "name", "data.test"):
            raise ConfigError(f"--set {text}: is fixed in a tuning; the seeds are named by --seeds and --tuning-seeds")
    base = load_configs(paths, overrides, norms=norms, say=say)  # names what is wrong without the grid; tries own norms
    fixed = [*overrides, "data.fallback=error"]
    if all(config.data.valid is None for config in base):
        held_out = DATASETS[base[0].data.dataset].train_images // SHARE
        fixed.append(f"data.valid={held_out}")
        say(f"the last {held_out:,} training images are held out to choose by; to hold out others: --set data.valid=N")
    arms: dict[str, dict[Value, tuple[Config, Config]]] = defaultdict(dict)
    names: list[str] = []
    with norms_known(norms):
        for value in product(*grid.values()):
            there = [*fixed, *(f"{key}={number}" for key, number in zip(grid, value, strict=True))]
            pair = [
                for_this_machine(load.load_configs(paths, [*there, more], seeds=list(of)), places or Places())
                for more, of in (("data.test=false", first), ("data.test=true", final))
            ]
            names = names or _names(pair[1], [*grid, "data.valid", "data.test"])
            if len(pair[0]) != len(names):
                raise ConfigError(f"--grid: arms have the same settings at {texts(value)}; leave some of the arms out")
            for name, tuning, winner in zip(names, *pair, strict=True):
                arms[name][value] = (tuning, winner)
    _refuse_unlike(arms)
    plan = Plan(
        grid,
        int(next(iter(next(iter(arms.values())).values()))[0].data.valid or 0),
        first,
        final,
        {name: {value: Point(*map(_identity, pair)) for value, pair in of.items()} for name, of in arms.items()},
        RULE,
    )
    return Tuning(plan, dict(arms))


def _seeds(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(parse_seeds(text))
    except ValueError as error:
        raise ConfigError(f"{option} {text}: {error}") from None


def _names(configs: Sequence[Config], keys: Sequence[str]) -> list[str]:
    """The names of the arms without what the grid added, where they are different names."""
    short = [stripped(config.name, keys) for config in configs]
    return short if len(set(short)) == len(short) else [config.name for config in configs]


def _identity(config: Config) -> tuple[str, str]:
    return config.name, config.digest()


def _refuse_unlike(arms: dict[str, dict[Value, tuple[Config, Config]]]) -> None:
    """Raise ConfigError where arms do not share the images or the epochs."""
    settings = {name: next(iter(points.values()))[1].model_dump() for name, points in arms.items()}
    for key in SHARED:
        part, name = key.split(".")
        there = {arm: of[part][name] for arm, of in settings.items()}
        first, *others = there
        for other in others:
            if there[other] != there[first]:
                raise ConfigError(
                    f"{key} is {there[first]} in {first} and {there[other]} in {other}; arms that are tuned together"
                    f" share it: use --set {key}="
                )


def tune(
    tuning: Tuning,
    out: Path,
    data_folder: Path,
    places: Places,
    progress: Callable[[], Progress],
    say: Say,
    *,
    final: bool = True,
) -> dict[str, Choice]:
    """Write the plan, train the grid, choose, and train the winners. Resumes what an earlier command has begun.

    Without `final`, the winners are not trained, and the test images stay unread.

    Raises ConfigError where `out` fixes another tuning or every arm diverges at every value, RunError where a run
    fails, and the errors of `train`.
    """
    there = read(out)
    plan = tuning.plan if there is None else continued(out, there, tuning.plan)
    if there is None:  # no file is written before the data is known to be there
        for name in {config.data.dataset for config in tuning.to_tune()}:
            if not datasets.is_here(name, data_folder):
                datasets.load(name, data_folder, say=say)
    if plan != there:
        write(out, plan)
    if there is not None and plan.widened != there.widened:
        say("the grid is wider than before; the arms choose again")
    choices = _choices(tuning, _train(tuning.to_tune(), out / TUNING, data_folder, places, progress))
    for sentence in warnings(choices, plan.grid):
        say(sentence)
    winners = tuning.winners(choices)
    if not winners:
        raise ConfigError(f"{out}: a run diverged at every value of every arm, so there is no choice; use other values")
    if final:
        _train(winners, out / FINAL, data_folder, places, progress)
    return choices


def _train(
    configs: Sequence[Config], out: Path, data_folder: Path, places: Places, progress: Callable[[], Progress]
) -> list[Run]:
    with progress() as shown:
        runs, problems = train(configs, out, data_folder, places, shown, force=False)
    if problems:
        raise RunError("\n".join(problems))
    return [run for run, _ in runs]


def _choices(tuning: Tuning, runs: Sequence[Run]) -> dict[str, Choice]:
    """The choice of each arm. `runs` are those of `to_tune`, in order."""
    left, seeds = iter(runs), tuning.plan.tuning_seeds
    return {
        name: choose({value: dict(_result(next(left)) for _ in seeds) for value in points})
        for name, points in tuning.configs.items()
    }


def _result(run: Run) -> tuple[int, float | None]:
    return run.seed, run.rows[-1].valid_accuracy if run.status == "complete" else None


def dry_tune(tuning: Tuning, out: Path, data_folder: Path, places: Places) -> tuple[list[str], str]:
    """What `tune` would do: one line for each run, and a summary. Writes nothing. Raises ConfigError as `tune`."""
    there = read(out)
    plan = tuning.plan if there is None else continued(out, there, tuning.plan)
    lines, summary = dry(tuning.to_tune(), out / TUNING, data_folder, force=False, places=places)
    arms, seeds = len(tuning.configs), len(plan.final_seeds)
    summary += f"\nthen {arms * seeds} final runs: {arms} arms with {seeds} seeds, each at the value that it chooses"
    if there is None:
        summary += f"\n{out / FILE} would be written first"
    elif plan.widened != there.widened:
        summary += "\nthe grid would be wider than before, and the arms would choose again"
    return lines, summary
