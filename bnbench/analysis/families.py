"""The arms that share a baseline → p of each difference, corrected for all of them. No torch.

The paired arms of a baseline are one family, tested by joint sign flips (maxt.py). The unpaired arms share no seeds
with it, so they are a second family: Welch's p, corrected by Holm's method.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bnbench.analysis.intervals import Judged
from bnbench.analysis.maxt import FEWEST_PAIRS, max_t
from bnbench.analysis.statistics import Difference, common_seeds, holm

Correction = Literal["max-T", "Holm"]
Untested = Literal["too few seeds", "identical", "no spread", "alias"]


@dataclass(frozen=True)
class Candidate:
    """An arm to test: its name, the digest of its config, its results, and its difference to the baseline."""

    label: str
    digest: str
    judged: Judged
    difference: Difference | None


@dataclass(frozen=True)
class Tested:
    """The result of one test: p, how it is corrected, and for how many comparisons; or why there is no test.

    `alias_of` names the arm that has the same config and the same results. `twin` names an arm that has the same
    config and other results.
    """

    p: float | None = None
    correction: Correction | None = None
    comparisons: int = 0
    why: Untested | None = None
    alias_of: str | None = None
    twin: str | None = None


def corrected(arms: Sequence[Candidate], baseline: Judged) -> list[Tested]:
    """Test the arms of one baseline. The results are in the order of the arms.

    Arms with the same config and the same results are one comparison: only the first of them, or the one with the
    most pairs, is tested.
    """
    leaders = _leaders(arms)
    results = [Tested() for _ in arms]
    joint, welch = [], []
    for place, arm in enumerate(arms):
        gap = arm.difference
        if leaders[place] != place or gap is None:
            continue
        if not gap.paired:
            welch.append(place)
        elif gap.n > 1 and not any(_gaps(arm, baseline).values()):
            results[place] = Tested(why="identical")
        elif gap.n < FEWEST_PAIRS:
            results[place] = Tested(why="too few seeds")
        else:
            joint.append(place)
    for place, p in zip(joint, _joint([arms[place] for place in joint], baseline), strict=True):
        results[place] = Tested(p, "max-T", len(joint))
    ps = holm([_p(arms[place]) for place in welch])
    for place, p_or_none in zip(welch, ps, strict=True):
        results[place] = Tested(p_or_none, "Holm", len(ps) - ps.count(None))
        if p_or_none is None:
            gap = arms[place].difference
            results[place] = Tested(why="no spread" if gap and gap.n > 1 else "too few seeds")
    return [_named(arms, results, leaders, place) for place in range(len(arms))]


def _p(arm: Candidate) -> float | None:
    return arm.difference.p if arm.difference else None


def _gaps(arm: Candidate, baseline: Judged) -> dict[int, float]:
    ours, theirs = arm.judged.values, baseline.values
    return {seed: ours[seed] - theirs[seed] for seed in common_seeds(ours, theirs)}


def _joint(arms: Sequence[Candidate], baseline: Judged) -> list[float]:
    """The corrected p of each arm, never below its own p, which is exact for more seeds."""
    own = [_p(arm) or 0.0 for arm in arms]
    if len(arms) < 2:
        return own
    return [max(p, q) for p, q in zip(max_t([_gaps(arm, baseline) for arm in arms]), own, strict=True)]


def _leaders(arms: Sequence[Candidate]) -> list[int]:
    """For each arm, the place of the arm that is tested for it: its own, or that of an arm that it is a copy of."""
    leaders = list(range(len(arms)))
    chosen: dict[str, list[int]] = defaultdict(list)
    for place in sorted(leaders, key=lambda place: -(gap.n if (gap := arms[place].difference) else 0)):
        same = chosen[arms[place].digest]
        leaders[place] = next((other for other in same if _agree(arms[place].judged, arms[other].judged)), place)
        if leaders[place] == place:
            same.append(place)
    return leaders


def _agree(one: Judged, other: Judged) -> bool:
    """Whether two arms have the same results, as far as they share seeds."""
    if any(one.values[seed] != other.values[seed] for seed in one.values.keys() & other.values.keys()):
        return False
    if one.wrong is None or other.wrong is None:
        return True
    return all(np.array_equal(one.wrong[seed], other.wrong[seed]) for seed in one.wrong.keys() & other.wrong.keys())


def _named(arms: Sequence[Candidate], results: Sequence[Tested], leaders: Sequence[int], place: int) -> Tested:
    """The result of an arm, with the name of the arm that it is a copy or a twin of."""
    leader = leaders[place]
    if leader != place:
        label, ours, theirs = arms[leader].label, arms[place].judged.values, arms[leader].judged.values
        if ours.keys() != theirs.keys():
            return Tested(why="alias", alias_of=label)
        return replace(results[leader], alias_of=label)
    twins = [other for other in leaders if arms[other].digest == arms[place].digest and other != place]
    return replace(results[place], twin=arms[min(twins)].label) if twins else results[place]
