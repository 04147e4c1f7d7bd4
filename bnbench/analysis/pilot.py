"""Configs and finished runs → the spread of each difference that a study would measure, and the seconds of an epoch."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bnbench.analysis import planning
from bnbench.analysis.arms import Arm, Group, Runs, collect
from bnbench.analysis.baselines import named, nearest
from bnbench.analysis.compare import Question, by_seed
from bnbench.analysis.crossed import crossed_difference
from bnbench.analysis.planning import Seeds
from bnbench.analysis.power import Spread
from bnbench.analysis.statistics import mean_interval
from bnbench.config.base import flat
from bnbench.config.experiment import Config
from bnbench.errors import BnbenchError, ConfigError, ResultsError
from bnbench.runs.find import find_runs
from bnbench.runs.format import Run, read_mistakes
from bnbench.runs.notes import Kind, Note
from bnbench.runs.provenance import provenance


@dataclass(frozen=True)
class Aim:
    """What a study should find, with this power: a difference of the question's metric, as a fraction or a loss."""

    question: Question
    detect: float
    power: float


@dataclass(frozen=True)
class Measured:
    """One arm against its baseline, as finished runs show it."""

    arm: Arm
    baseline: Arm
    pairs: int
    sd: float  # of the paired difference, over seeds
    spread: Spread
    over_images: bool  # whether the spread has a part from the test images
    comparisons: int  # arms of the same baseline


@dataclass(frozen=True)
class Planned:
    """The plan of one arm. `power` and `smallest` are about the seeds that the configs ask for."""

    measured: Measured
    seeds: Seeds
    asked: int
    power: float
    smallest: float | None


@dataclass(frozen=True)
class Time:
    """Seconds of one run of each arm on this machine, and how many runs are trained at once."""

    seconds: dict[str, float]
    jobs: int

    def of(self, seeds: int) -> float:
        """The seconds of a study with this number of seeds."""
        return sum(self.seconds.values()) * seeds / min(self.jobs, max(1, seeds * len(self.seconds)))


@dataclass(frozen=True)
class Plan:
    aim: Aim
    group: Group
    rows: list[Planned]
    time: Time | None  # None if no run of this machine is there
    notes: list[Note]

    @property
    def images(self) -> int:
        """The test images of a run."""
        return self.rows[0].measured.arm.complete[0].test_images

    @property
    def needed(self) -> int | None:
        """The seeds that every arm needs, cautiously; None if for one arm no number is enough."""
        numbers = [row.seeds.cautious for row in self.rows]
        known = [number for number in numbers if number is not None]
        return max(known) if len(known) == len(numbers) else None


def check_aim(question: Question, detect: float, power: float) -> Aim:
    """The aim, from points for an accuracy. Raises ConfigError for numbers that make no sense."""
    most = 1e3 if question.is_loss else 100.0
    if not 0 < detect <= most:
        what = "a loss, as in 0.01" if question.is_loss else "points of accuracy, as in 0.3"
        raise ConfigError(f"--detect {detect:g}: must be above 0 and at most {most:g}: {what}")
    if not 0.5 <= power <= 0.99:
        share = f"write {power / 100:g} for {power:g} %" if 50 <= power <= 99 else "no number of seeds makes it certain"
        raise ConfigError(f"--power {power:g}: must be between 0.5 and 0.99; {share}")
    return Aim(question, detect if question.is_loss else detect / 100, power)


def make_plan(
    configs: Sequence[Config], runs: Runs | None, aim: Aim, jobs: int, where: str, pilot: Sequence[Run] = ()
) -> Plan:
    """The plan of a study of these configs, from finished runs. `where` names the runs in messages.

    `pilot`: runs that were trained just now. They tell the time even where `runs` has others of their seeds.

    Raises ConfigError if there are not two arms that can be compared, or if the runs do not show their spread.
    """
    notes: list[Note] = []
    arms = arms_of(configs, runs)
    if len(arms) < 2:
        raise ConfigError("a plan needs two arms or more: name a second config")
    without = [arm.name for arm in arms if not arm.complete]
    if without:
        raise ConfigError(
            f"{where} has no complete run of {', '.join(without)}; --from names another folder, --pilot 3 trains runs"
        )
    measured = measure(arms, aim.question, notes)
    asked = min(len(config.seeds) for config in configs)
    rows = [_planned(one, aim, asked) for one in measured]
    group = _group(measured[0].arm)
    return Plan(aim, group, rows, time_here(arms, jobs, pilot), notes)


def _planned(one: Measured, aim: Aim, asked: int) -> Planned:
    return Planned(
        one,
        planning.seeds(aim.detect, one.spread, one.pairs, one.comparisons, aim.power),
        asked,
        planning.power(aim.detect, one.spread, asked, one.comparisons),
        planning.smallest_difference(one.spread, asked, one.comparisons, aim.power),
    )


def arms_of(configs: Sequence[Config], runs: Runs | None) -> list[Arm]:
    """An arm for each config, with its finished runs: those with the same digest, whatever their name."""
    arms = []
    for config in configs:
        digest = config.digest()
        found = [arm for arm in runs.arms() if arm.digest == digest] if runs else []
        best = max(found, key=lambda arm: len(arm.complete), default=Arm(config.name, digest))
        settings = flat(config.arm())
        arms.append(replace(best, name=config.name, label=config.name, digest=digest, config=settings))
    return arms


def measure(arms: Sequence[Arm], question: Question, notes: list[Note]) -> list[Measured]:
    """The spread of each arm's difference to its baseline. Raises ConfigError if it is not known."""
    baselines: Sequence[Arm | None] = (
        nearest(arms, notes)
        if question.baseline is None
        else [next(arm for arm in arms if arm.label == named(arms, str(question.baseline)))] * len(arms)
    )
    pairs = [(arm, baseline) for arm, baseline in zip(arms, baselines, strict=True) if baseline not in (None, arm)]
    if not pairs:
        raise ConfigError("\n".join([*map(str, notes), "no arm has a baseline; choose one with --baseline"]))
    return [
        _measure(arm, baseline, question, len({one.digest for one, other in pairs if other is baseline}), notes)
        for arm, baseline in pairs
        if baseline is not None
    ]


def _measure(arm: Arm, baseline: Arm, question: Question, comparisons: int, notes: list[Note]) -> Measured:
    label = f"{arm.label} - {baseline.label}"
    for one in (arm, baseline):
        if _group(one) != _group(arm):
            raise ConfigError(f"{label}: different data or numbers of epochs, so compare has no difference of them")
        if isinstance(question.at, int) and question.at > _group(one).epochs:
            raise ConfigError(f"--at {question.at} is beyond the last epoch of {one.label}")
    ours, theirs = by_seed(arm, question), by_seed(baseline, question)
    if not ours or not theirs:
        raise ConfigError(f"--metric {question.metric} is of runs with data.valid; {label} has none")
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        count = "one seed" if seeds else "no seed"
        raise ConfigError(f"{label}: {count} in common; a spread needs two or more, so train a pilot with --pilot 3")
    of = mean_interval([ours[seed] - theirs[seed] for seed in seeds])
    assert of.sd is not None
    if of.sd == 0:
        raise ConfigError(f"{label}: the same difference in all {len(seeds)} seeds, so there is no spread to plan with")
    spread = _over_images(arm, baseline, seeds, question, notes)
    return Measured(arm, baseline, len(seeds), of.sd, spread or Spread.of(of.sd), spread is not None, comparisons)


def _over_images(arm: Arm, baseline: Arm, seeds: Sequence[int], question: Question, notes: list[Note]) -> Spread | None:
    """The spread over seeds and test images, as the interval of compare has it; None for other metrics."""
    on_test = question.metric == "test_accuracy" or (question.metric == "valid_accuracy" and not _group(arm).held_out)
    if not on_test or question.at != "final":
        return None
    try:
        ours, theirs = (
            {run.seed: np.asarray(read_mistakes(run)) for run in one.complete if run.seed in seeds}
            for one in (arm, baseline)
        )
    except ResultsError as error:
        notes.append(Note(Kind.IMAGES, f"{arm.label}: the plan leaves out the test images: {error}"))
        return None
    images = {run.test_images for run in [*arm.complete, *baseline.complete]}
    return Spread.of_crossed(crossed_difference(ours, theirs, seeds, images.pop())) if len(images) == 1 else None


def _group(arm: Arm) -> Group:
    run = arm.complete[0]
    return Group(**{name: getattr(run, name) for name in Group.__dataclass_fields__})


def time_here(arms: Sequence[Arm], jobs: int, pilot: Sequence[Run] = ()) -> Time | None:
    """From the epochs of runs that were made on a processor like this one; None if an arm has none."""
    seconds: dict[str, float] = {}
    for arm in arms:
        epochs = [
            row.train_seconds + row.valid_seconds
            for run in [*arm.complete, *(run for run in pilot if run.digest == arm.digest)]
            if all(run.provenance.get(key) == here for key, here in _machine().items())
            for row in run.rows
        ]
        if not epochs:
            return None
        seconds[arm.label] = statistics.median(epochs) * arm.complete[0].epochs
    return Time(seconds, jobs)


def _machine() -> dict[str, Any]:
    return {key: provenance()[key] for key in ("processor", "platform", "cores")}


def known(configs: Sequence[Config], out: Path) -> list[Measured]:
    """The spreads that runs in folders of these configs below `out` show; empty where nothing is known."""
    names = {config.name for config in configs}
    folders = [folder for folder in find_runs([out], []) if folder.parent.name in names]
    try:
        arms = [arm for arm in arms_of(configs, collect(folders) if folders else None) if arm.complete]
        return measure(arms, Question(), [])
    except BnbenchError:
        return []
