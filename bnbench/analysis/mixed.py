"""Runs of different lengths at one epoch: `compare --at 3` puts runs of 3 and of 10 epochs into one table."""

from collections import defaultdict
from dataclasses import dataclass, replace

from bnbench.analysis.arms import Arm, Group


@dataclass(frozen=True)
class Mixed(Group):
    """Runs that share all but their length. `epochs` is the epoch at which they are compared."""

    def title(self) -> str:
        whole, _, _ = super().title().rpartition(", ")
        return f"{whole}, after epoch {self.epochs} of runs of different lengths"


def at_one_epoch(groups: dict[Group, list[Arm]], epoch: int | str | None) -> dict[Group, list[Arm]]:
    """The groups, with those that differ only in length, and reach the epoch, as one. A single one stays as it is.

    If `epoch` is not a number, nothing is merged.
    """
    if not isinstance(epoch, int):
        return groups
    alike: dict[Group, list[Group]] = defaultdict(list)
    for group in groups:
        key = replace(group, epochs=epoch) if group.epochs >= epoch else group
        alike[key].append(group)
    merged: dict[Group, list[Arm]] = {}
    for key, members in alike.items():
        if len(members) == 1:
            merged[members[0]] = groups[members[0]]
        else:
            arms = [arm for group in members for arm in groups[group]]
            merged[Mixed(**vars(key))] = sorted(arms, key=lambda arm: (arm.name, arm.digest))
    return merged
