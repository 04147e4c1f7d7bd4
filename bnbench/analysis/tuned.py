"""Reads tunings: what each arm chose, and the arms at one setting and each at its own best. No torch.

tuned = read_tuned([Path("results/tuned")])
tuned.arms[1].choice.value      # (0.3,)
tuned.final.rows[1].difference  # best against best on the test images, with fresh seeds
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bnbench.analysis.arms import Arm, Group, Runs, collect
from bnbench.analysis.baselines import named
from bnbench.analysis.compare import Question, Table, compare
from bnbench.analysis.tuning import Choice, Value, choose
from bnbench.errors import ConfigError, ResultsError
from bnbench.runs.notes import Kind, Note
from bnbench.runs.tune import FILE, FINAL, TUNING, Plan, differences, read, texts

AGAIN = "run the same bnbench tune command again"


@dataclass(frozen=True, eq=False)
class TunedArm:
    """An arm: its tuning runs at each value, what the rule chooses from them, and the final runs of that value.

    `tested` has the values at which final runs are there: more than one after the grid became wider.
    """

    name: str
    tried: dict[Value, Arm]
    choice: Choice
    final: Arm | None
    tested: tuple[Value, ...]


@dataclass(frozen=True)
class Tuned:
    """Arms that were tuned alike, the baseline first, and three comparisons of them.

    `equal`: all arms at the value that the baseline chose, on the held-out images, with the tuning seeds. `best`: the
    same, but each arm at its own value. `final`: each at its own value, on the test images, with the final seeds.
    `equal` and `best` are None if the baseline has no choice.
    """

    plan: Plan
    group: Group
    arms: list[TunedArm]
    equal: Table | None
    best: Table | None
    final: Table
    notes: list[Note]

    @property
    def baseline(self) -> TunedArm:
        return self.arms[0]

    def text(self, value: Value) -> str:
        """A value with the names of its keys: lr 0.1, momentum 0.9."""
        names = [key.rsplit(".", 1)[-1] for key in self.plan.grid]
        return ", ".join(f"{name} {texts([number])}" for name, number in zip(names, value, strict=True))


def read_tuned(folders: Sequence[Path], baseline: str | None = None) -> Tuned:
    """Read the tunings in `folders` as one. `baseline` names an arm; else it is the first without a norm.

    Raises ConfigError where a folder holds no tuning, a tuning is not finished, every arm diverged at every value, or
    the tunings or the arms were not tuned alike; ResultsError for a damaged tune.json.
    """
    plans = [_plan(folder) for folder in folders]
    for folder, plan in zip(folders[1:], plans[1:], strict=True):
        _refuse_unlike(folders[0], plans[0], folder, plan)
    found: dict[str, TunedArm] = {}
    groups: list[tuple[str, Group]] = []
    notes: list[Note] = []
    for folder, plan in zip(folders, plans, strict=True):
        for arm, of_arm in _arms(folder, plan, notes):
            if arm.name in found:
                raise ConfigError(f"{folder}: {arm.name} is an arm of another tuning too; leave one of the two out")
            found[arm.name] = arm
            groups += [(arm.name, group) for group in of_arm]
    group, arms = _shared(groups), list(found.values())
    if not any(arm.final for arm in arms):
        where = " ".join(map(str, folders))
        raise ConfigError(f"{where}: a run diverged at every value of every arm, so there is no choice")
    first = _baseline(arms, baseline)
    arms = [first, *(arm for arm in arms if arm is not first)]
    value = first.choice.value
    equal = best = None
    if value is not None:
        equal = _compare(group, [(arm.name, arm.tried[value]) for arm in arms], first.name, "valid_accuracy")
        own = [(arm.name, arm.tried[arm.choice.value]) for arm in arms if arm.choice.value is not None]
        best = _compare(group, own, first.name, "valid_accuracy")
    finals = [(arm.name, arm.final) for arm in arms if arm.final is not None]
    final = _compare(group, finals, first.name if first.final else finals[0][0], "test_accuracy", notes)
    return Tuned(plans[0], group, arms, equal, best, final, notes)


def _plan(folder: Path) -> Plan:
    plan = read(folder)
    if plan is None:
        where = f"; perhaps {inside[0].parent}" if (inside := sorted(folder.glob(f"*/{FILE}"))) else ""
        raise ConfigError(f"{folder}: has no {FILE}, so it is no tuning; bnbench tune makes one{where}")
    return plan


def _refuse_unlike(folder: Path, plan: Plan, other_folder: Path, other: Plan) -> None:
    problems = differences(plan, other)
    if not problems and plan.grid != other.grid:
        problems = [
            f"the grid of {key} is {texts(values)}, not {texts(other.grid[key])}"
            for key, values in plan.grid.items()
            if values != other.grid[key]
        ]
    if problems:
        raise ConfigError(f"{folder} and {other_folder} were not tuned alike: {'; '.join(problems)}")


def _arms(folder: Path, plan: Plan, notes: list[Note]) -> Iterator[tuple[TunedArm, list[Group]]]:
    """Each arm of a tuning, with the groups of its runs."""
    tuning, final = _runs(folder / TUNING, notes), _runs(folder / FINAL, notes)
    tried = {
        name: {value: _found(tuning, point.tuning, plan.tuning_seeds) for value, point in points.items()}
        for name, points in plan.arms.items()
    }
    _refuse_unfinished(folder, "tuning", [found for of in tried.values() for found in of.values()], plan.tuning_seeds)
    arms = {name: {value: found[1] for value, found in of.items() if found} for name, of in tried.items()}
    choices = {name: choose({value: _results(arm) for value, arm in of.items()}) for name, of in arms.items()}
    finals = {
        name: _found(final, plan.arms[name][choice.value].final, plan.final_seeds)
        for name, choice in choices.items()
        if choice.value is not None
    }
    _refuse_unfinished(folder, "final", list(finals.values()), plan.final_seeds)
    tested = {arm.digest for _, arm in final}
    for name, points in plan.arms.items():
        there = finals.get(name)
        values = tuple(value for value, point in points.items() if point.final[1] in tested)
        groups = [found[0] for found in [*tried[name].values(), there] if found]
        yield TunedArm(name, arms[name], choices[name], there[1] if there else None, values), groups


Found = tuple[Group, Arm]


def _runs(folder: Path, notes: list[Note]) -> list[Found]:
    try:
        runs = collect([folder])
    except ResultsError:
        return []
    notes += [note for note in runs.notes if note.kind is not Kind.LEFT_OUT]
    return [(group, arm) for group, arms in runs.groups.items() for arm in arms]


def _found(runs: Sequence[Found], named: tuple[str, str], seeds: Sequence[int]) -> Found | None:
    """The runs of an arm with these seeds. An arm that was renamed is found by its digest."""
    name, digest = named
    alike = [(group, arm) for group, arm in runs if arm.digest == digest]
    for group, arm in sorted(alike, key=lambda found: found[1].name != name):
        complete = [run for run in arm.complete if run.seed in seeds]
        diverged = [run for run in arm.diverged if run.seed in seeds]
        return group, replace(arm, complete=complete, diverged=diverged, unfinished=[])
    return None


def _refuse_unfinished(folder: Path, which: str, found: Sequence[Found | None], seeds: Sequence[int]) -> None:
    wanted = len(found) * len(seeds)
    there = sum(len(one[1].complete) + len(one[1].diverged) for one in found if one)
    if there < wanted:
        raise ConfigError(f"{folder}: {there} of {wanted} {which} runs are finished; to finish them, {AGAIN}")


def _results(arm: Arm) -> dict[int, float | None]:
    """What the rule judges: the final accuracy on the held-out images by seed; None for a diverged run."""
    return {
        **{run.seed: run.rows[-1].valid_accuracy for run in arm.complete},
        **{run.seed: None for run in arm.diverged},
    }


def _shared(groups: Sequence[tuple[str, Group]]) -> Group:
    """The group of all runs. Raises ConfigError where they do not share the images or the epochs."""
    first, group = groups[0]
    for name, other in groups:
        for key, value in vars(group).items():
            if vars(other)[key] != value:
                unlike = f"{key} is {value} and {vars(other)[key]}"
                raise ConfigError(f"{first} and {name} were not tuned alike: {unlike}")
    return group


def _baseline(arms: Sequence[TunedArm], name: str | None) -> TunedArm:
    if name is not None:
        chosen = named([Arm(arm.name, "", label=arm.name) for arm in arms], name)
        return next(arm for arm in arms if arm.name == chosen)
    without = [arm for arm in arms if next(iter(arm.tried.values())).config.get("norm.type") == "none"]
    return (without or list(arms))[0]


def _compare(
    group: Group, arms: Sequence[tuple[str, Arm]], baseline: str, metric: str, notes: list[Note] | None = None
) -> Table:
    """The arms under their own names, each with its difference to the baseline."""
    runs = Runs({group: [replace(arm, name=name, label=name) for name, arm in arms]}, [])
    answer = compare(runs, Question(metric, baseline=baseline))
    if notes is not None:
        notes += answer.notes
    return answer.tables[0]
