"""Runs → arms → groups that may be compared. Reads results folders only; no torch.

An arm is a config without its seed. Arms stand in one group when they share the dataset, the images trained
and validated on, the epochs, and whether they are smoke runs. Means leave out unfinished and diverged runs:
a table counts them with their arm, and a note names each.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bnbench.config.base import flat
from bnbench.config.experiment import Config
from bnbench.config.naming import settings_in_words
from bnbench.errors import ResultsError
from bnbench.runs.find import find_runs, refuse_missing
from bnbench.runs.format import FINISHED, METRICS, TIMING, Run, read_run, run_config
from bnbench.runs.notes import Kind, Note

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Group:
    """What arms must share to be compared."""

    smoke: bool
    dataset: str
    dataset_sha256: str
    train_images: int
    valid_images: int
    held_out: int  # training images used for validation; 0: validation uses the test images
    epochs: int

    def title(self) -> str:
        of = "held-out training" if self.held_out else "test"
        return (
            f"{'smoke runs: ' if self.smoke else ''}{self.dataset}, {self.train_images:,} training and"
            f" {self.valid_images:,} {of} images, {self.epochs} epoch{'s' if self.epochs > 1 else ''}"
        )

    def order(self) -> tuple[Any, ...]:
        """Real runs before smoke runs, then the longest training first."""
        return (self.smoke, self.dataset, -self.train_images * self.epochs, *vars(self).values())


@dataclass(eq=False)
class Arm:
    """The runs of one config, by seed. `config` is flat, as in {"norm.type": "batch"}; empty where it is unknown."""

    name: str
    digest: str
    complete: list[Run] = field(default_factory=list)
    diverged: list[Run] = field(default_factory=list)
    unfinished: list[Run] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    label: str = ""  # the name, or name#digest where two configs of a comparison share one

    def runs(self) -> list[Run]:
        return [*self.complete, *self.diverged, *self.unfinished]

    @property
    def counts(self) -> str:
        """How many runs its means include, and how many they leave out."""
        apart = [(len(self.diverged), "diverged"), (len(self.unfinished), "unfinished")]
        return " + ".join([str(len(self.complete)), *(f"{n} {what}" for n, what in apart if n)])


@dataclass(frozen=True)
class Runs:
    """The runs that were read, as the arms of each group, by name. `notes` names each run that the means leave out."""

    groups: dict[Group, list[Arm]]
    notes: list[Note]

    def arms(self) -> list[Arm]:
        return [arm for arms in self.groups.values() for arm in arms]

    def to_frame(self) -> "pd.DataFrame":
        """One row for each run and epoch: its arm and dataset, then METRICS and TIMING. Accuracies are fractions."""
        import pandas as pd  # takes half a second

        return pd.DataFrame(
            {
                "arm": arm.label,
                "digest": run.digest,
                "seed": run.seed,
                "status": run.status,
                "smoke": run.smoke,
                "dataset": run.dataset,
                **{name: getattr(row, name) for name in (*METRICS, *TIMING[1:])},
            }
            for arm in self.arms()
            for run in arm.runs()
            for row in run.rows
        )


def seed_ranges(seeds: Sequence[int]) -> str:
    """[0, 1, 2, 5] → 0..2, 5, as --seeds takes them."""
    those = set(seeds)
    starts = sorted(seed for seed in those if seed - 1 not in those)
    ends = sorted(seed for seed in those if seed + 1 not in those)
    return ", ".join(f"{a}" if a == b else f"{a}..{b}" for a, b in zip(starts, ends, strict=True))


def collect(paths: Sequence[Path]) -> Runs:
    """Read every run at or below `paths`. Raises ResultsError if it finds no finished run, or if a path is missing."""
    refuse_missing(paths)
    notes: list[Note] = []
    groups: dict[Group, list[Arm]] = defaultdict(list)
    for (group, name, digest), runs in _by_arm(_read(paths, notes), notes).items():
        arm = Arm(name, digest)
        for run in sorted(runs, key=lambda run: run.seed):
            if run.status == "complete":
                arm.complete.append(run)
            elif run.status == "diverged":
                arm.diverged.append(run)
            else:
                arm.unfinished.append(run)
                notes.append(Note(Kind.LEFT_OUT, f"left out, not finished ({run.status}): {run.path}"))
        notes += _diverged(arm.diverged)
        groups[group].append(arm)
    for group, arms in list(groups.items()):
        if not any(arm.complete or arm.diverged for arm in arms):
            del groups[group]
    if not groups:
        where = " ".join(map(str, paths)).replace("\n", "\\n")
        why = [str(note) for note in notes if note.kind is not Kind.NOT_FOUND]
        raise ResultsError("\n".join([*why, f"{where}: no finished run to compare; bnbench run makes one"]))
    for group in groups:
        groups[group].sort(key=lambda arm: (arm.name, arm.digest))
    read = Runs({group: groups[group] for group in sorted(groups, key=Group.order)}, notes)
    _label(read.arms())
    for arm in read.arms():
        arm.config = _config(arm, notes)
    return read


def shortened(arms: Sequence[Arm]) -> list[Note]:
    """A note for each arm with a shortened name, for displays without a column for each setting that differs."""
    words = settings_in_words({arm.name: arm.config for arm in arms})
    return [Note(Kind.NAME, f"{arm.label} has {words[arm.name]}") for arm in arms if words.get(arm.name)]


def _diverged(runs: Sequence[Run]) -> Iterator[Note]:
    """A note for each folder and epoch with diverged runs of an arm."""
    same: dict[tuple[int, Path], list[Run]] = defaultdict(list)
    for run in runs:
        same[len(run.rows), run.path.parent].append(run)
    for (epoch, folder), some in same.items():
        where = f"{folder}, seeds {seed_ranges([run.seed for run in some])}" if len(some) > 1 else some[0].path
        yield Note(Kind.LEFT_OUT, f"diverged after epoch {epoch}, so not in any mean: {where}")


def _read(paths: Sequence[Path], notes: list[Note]) -> Iterable[Run]:
    for folder in find_runs(paths, notes):
        try:
            yield read_run(folder)
        except ResultsError as error:
            notes.append(Note(Kind.UNREADABLE, f"left out, unreadable: {error}"))


def _by_arm(runs: Iterable[Run], notes: list[Note]) -> dict[tuple[Group, str, str], list[Run]]:
    """Each arm's runs, one for each seed: the complete one, or the first. A note names a second finished run."""
    arms: dict[tuple[Group, str, str], dict[int, Run]] = defaultdict(dict)
    for run in runs:
        group = Group(**{shared.name: getattr(run, shared.name) for shared in fields(Group)})
        seeds = arms[group, run.name, run.digest]
        first = seeds.setdefault(run.seed, run)
        if first is run:
            continue
        if _rank(run) < _rank(first):
            seeds[run.seed], first, run = run, run, first
        if run.status in FINISHED:
            are = "are the same to the last digit" if _metrics(first) == _metrics(run) else "differ"
            which = f"{first.path} counts, {run.path} is left out"
            notes.append(Note(Kind.LEFT_OUT, f"two runs of {run.name} seed {run.seed} {are}: {which}"))
    return {key: list(seeds.values()) for key, seeds in arms.items()}


def _rank(run: Run) -> int:
    return ("complete", "diverged").index(run.status) if run.status in FINISHED else len(FINISHED)


def _metrics(run: Run) -> list[tuple[str, ...]]:
    return [tuple(repr(getattr(row, name)) for name in METRICS) for row in run.rows]  # repr: NaN equals NaN


def _label(arms: Sequence[Arm]) -> None:
    digests = defaultdict(set)
    for arm in arms:
        digests[arm.name].add(arm.digest)
    for arm in arms:
        arm.label = arm.name if len(digests[arm.name]) == 1 else f"{arm.name}#{arm.digest[:6]}"


def _config(arm: Arm, notes: list[Note]) -> dict[str, Any]:
    """The settings of an arm, flat, from its first run. A note names the run if its config cannot be read."""
    folder = arm.runs()[0].path
    try:
        config = Config.of_run(run_config(folder))
    except ResultsError as error:
        notes.append(Note(Kind.SETTINGS, f"{arm.label}: its settings are not known: {error}"))
        return {}
    except ValidationError:
        text = f"{arm.label}: its settings are not known: {folder} holds no config that can be read"
        notes.append(Note(Kind.SETTINGS, text))
        return {}
    if config.known and config.digest() != arm.digest:
        text = f"{arm.label}: the config in {folder} is not the one that run.json gives the digest of"
        notes.append(Note(Kind.SETTINGS, text))
    return flat(config.arm())
