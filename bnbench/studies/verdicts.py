"""From the runs of a study to its verdicts: the paired effects of each claim, judged by rules.py. No torch.

results = judge_study(plan, found, effects)      a Result for each claim, in order
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnbench.analysis.crossed import crossed
from bnbench.analysis.statistics import mean_interval, t_quantile
from bnbench.analysis.tuning import Choice, choose
from bnbench.errors import ResultsError
from bnbench.runs.format import Run, read_mistakes
from bnbench.studies.effects import Interval, Paired, Value
from bnbench.studies.measures import Found, Side, metric_of, side, step_of
from bnbench.studies.plan import Plan, Point
from bnbench.studies.power import look_levels
from bnbench.studies.rules import Judgement, judge, judge_looks
from bnbench.studies.schema import Claim

EDGE = "the best value of {} is at the edge of the grid, so a better one may lie outside"


@dataclass(frozen=True)
class Result:
    """One judged claim. `verdict` is None for an exploratory claim. `effects` has the effect of each seed."""

    name: str
    claim: Claim
    judgement: Judgement
    verdict: str | None
    effects: tuple[Value | None, ...]
    best: Mapping[str, float]  # of a tuned claim: the best value of each arm
    over: str  # what the interval is over


def judge_study(plan: Plan, found: Found) -> list[Result]:
    """The result of each claim, in the order of the file."""
    return [_judge(plan, found, name, claim) for name, claim in plan.study.about.claims.items()]


def _judge(plan: Plan, found: Found, name: str, claim: Claim) -> Result:
    seeds = plan.study.about.seeds
    best = {arm: _tuned(plan, found, claim, arm) for arm in claim.arms} if claim.tuned else {}
    chosen: dict[str, float] = {arm: choice.value[0] for arm, choice in best.items() if choice and choice.value}
    if claim.tuned and len(chosen) < len(claim.arms):
        nothing = Judgement("inconclusive", math.nan, -math.inf, math.inf, 0, "no value could be chosen for an arm")
        return _result(name, claim, nothing, (None,) * len(seeds), chosen, "seeds")
    points = {arm: _points(plan, claim, arm, chosen) for arm in claim.arms}
    sides = {arm: [side(plan, found, claim, points[arm], seed) for seed in seeds] for arm in claim.arms}
    effects = tuple(_effect(claim, [sides[arm][place] for arm in claim.arms]) for place in range(len(seeds)))
    step = step_of(claim.measure, points[claim.arms[0]])
    interval = _crossed(claim, [sides[arm] for arm in claim.arms])

    def paired(many: int) -> Paired:
        of = _paired(effects[:many], interval if many == len(seeds) else None, step, _diverged(sides, many))
        return of if claim.exploratory else replace(of, sd=claim.sd or 0.0, sd_images=claim.sd_images)

    stable = None
    if claim.kind == "crossover":
        of = sides[claim.arms[1]]
        changes = [None if one is None else one.value for one in of]
        stable = {
            many: replace(_paired(changes[:many], None, 0.0, 0), sd=claim.stable_sd or 0.0)
            for many in claim.looks or [len(seeds)]
        }
    judgement = _judged(claim, {many: paired(many) for many in claim.looks or [len(seeds)]}, stable)
    edges = [arm for arm, choice in best.items() if choice and choice.edges]
    if edges and judgement.verdict != "inconclusive":
        assert plan.study.about.tuning is not None
        why = f"{', '.join(edges)}: {EDGE.format(plan.study.about.tuning.key)}"
        judgement = replace(judgement, verdict="inconclusive", why=why)
    return _result(name, claim, judgement, effects, chosen, "seeds and images" if interval else "seeds")


def _result(
    name: str, claim: Claim, of: Judgement, effects: tuple[Value | None, ...], best: Mapping[str, float], over: str
) -> Result:
    return Result(name, claim, of, None if claim.exploratory else of.verdict, effects, best, over)


def _judged(claim: Claim, looked: Mapping[int, Paired], stable: Mapping[int, Paired] | None) -> Judgement:
    last = max(looked)
    if claim.exploratory:
        # Any δ gives the same effect and interval; there is no verdict.
        return judge("ratio" if claim.kind == "ratio" else "superior", 2.0, looked[last])
    assert claim.delta is not None
    if claim.looks:
        levels = look_levels(claim.looks)
        return judge_looks(claim.kind, claim.delta, looked, levels, stable=stable, within=claim.stable)
    return judge(
        claim.kind, claim.delta, looked[last], stable=None if stable is None else stable[last], within=claim.stable
    )


def prediction(effects: Sequence[Value | None]) -> tuple[float, float] | None:
    """The 95 % interval for the value of one more run: mean ± t s √(1 + 1/n). None for fewer than two values."""
    values = [value.value for value in effects if value is not None]
    if len(values) < 2:
        return None
    of = mean_interval(values)
    assert of.sd is not None
    half = t_quantile(of.n - 1) * of.sd * math.sqrt(1 + 1 / of.n)
    return of.mean - half, of.mean + half


def _points(plan: Plan, claim: Claim, arm: str, chosen: Mapping[str, float]) -> list[Point]:
    """The points of an arm that the measure needs."""
    where = dict(claim.where)
    if claim.tuned and plan.study.about.tuning is not None:
        where[plan.study.about.tuning.key] = chosen[arm]
    axis = claim.measure.axis
    points = plan.pick(arm, where, [axis] if axis else [])
    if claim.measure.type == "change":
        ends = (claim.measure.start, claim.measure.end)  # type: ignore[attr-defined]
        points = [point for point in points if point.place[axis or ""] in ends]
    return points


def _tuned(plan: Plan, found: Found, claim: Claim, arm: str) -> Choice | None:
    """The best value for an arm, by the mean over all seeds on held-out images. None if runs are missing."""
    tuning = plan.study.about.tuning
    assert tuning is not None
    points = plan.pick(arm, claim.where, [tuning.key])
    results: dict[tuple[float, ...], dict[int, float | None]] = {}
    for point in points:
        of = results.setdefault((float(point.place[tuning.key]),), {})
        for seed in plan.study.about.seeds:
            run = found.get((point.config.digest(), seed))
            if run is None:
                return None
            of[seed] = None if run.status == "diverged" else metric_of(tuning.by, run).value
    return choose(results, lower_is_better=tuning.by == "valid_loss")


def _effect(claim: Claim, sides: Sequence[Side | None]) -> Value | None:
    """The effect of one seed: the value, the difference, or the log of the ratio."""
    there = [one for one in sides if one is not None]
    if len(there) < len(sides):
        return None
    values = [one.value.log() if claim.kind == "ratio" else one.value for one in there]
    return values[0] if len(values) == 1 else values[0] - values[1]


def _diverged(sides: Mapping[str, Sequence[Side | None]], many: int) -> int:
    return sum(
        any(one is not None and one.diverged for one in of)
        for of in zip(*(s[:many] for s in sides.values()), strict=True)
    )


def _paired(effects: Sequence[Value | None], interval: Interval | None, step: float, diverged: int) -> Paired:
    known = [value for value in effects if value is not None]
    missing = len(effects) - len(known)
    return replace(Paired.of(known, step=step, missing=missing, diverged=diverged), interval=interval)


def _crossed(claim: Claim, sides: Sequence[Sequence[Side | None]]) -> Interval | None:
    """The interval over seeds and test images. None if the effect is no sum of final accuracies."""
    signs = (1, -1)[: len(sides)]
    rows = []
    for of_seed in zip(*sides, strict=True):
        if any(one is None or not one.runs for one in of_seed):
            return None
        rows.append(
            [(sign * weight, run) for sign, one in zip(signs, of_seed, strict=True) if one for weight, run in one.runs]
        )
    if claim.kind in ("ratio", "exact") or len({run.test_images for row in rows for _, run in row}) != 1:
        return None
    try:
        table = np.array([_right(row) for row in rows])
    except ResultsError:
        return None
    of = crossed(100 * table)
    return Interval(of.mean, math.sqrt(of.variance), of.df)


def _right(runs: Sequence[tuple[int, Run]]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """For each test image, the weighted sum of the runs that are right."""
    out = np.full(runs[0][1].test_images, float(sum(weight for weight, _ in runs)))
    for weight, run in runs:
        out[np.array(read_mistakes(run), dtype=np.intp)] -= weight
    return out
