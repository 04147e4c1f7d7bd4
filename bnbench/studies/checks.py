"""Whether the runs of a study can decide its claims, and whether the claims can fail. Asked before any run.

Refused: what the runs do not record, keys outside the grid, places that are no single run, too little power.
"""

from collections.abc import Iterator
from typing import Any

from bnbench.analysis.measures import MEASURES as METRICS
from bnbench.config.evaluations import label
from bnbench.config.experiment import Config
from bnbench.config.problems import closest
from bnbench.errors import ConfigError
from bnbench.studies.measures import step_of
from bnbench.studies.plan import Plan, Point
from bnbench.studies.power import More, Power, look_levels, power, refusal
from bnbench.studies.schema import Change, Claim, OfEpoch, OfEvaluation
from bnbench.studies.template import PLACEHOLDERS


def check(plan: Plan, *, power: bool = True) -> None:
    """Raise ConfigError with every problem of the claims, file and line.

    `power`: whether it must suffice, and the template's texts must be replaced, because verdicts will be published.
    """
    problems = [*_tuning(plan), *(_placeholders(plan) if power else ())]
    for name, claim in plan.study.about.claims.items():
        problems += _claim(plan, name, claim, power)
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))


def _placeholders(plan: Plan) -> Iterator[str]:
    """The keys that still have a text of `bnbench study new`."""
    about = plan.study.about
    texts: list[tuple[tuple[str, ...], str | None]] = [(("source",), about.source)]
    for name, claim in about.claims.items():
        texts += [(("claims", name, key), getattr(claim, key)) for key in ("quote", "source", "sd_from")]
    for keys, text in texts:
        if text in PLACEHOLDERS:
            yield f"{plan.study.at(*keys)}: still has the text of the template; replace it"


def _tuning(plan: Plan) -> Iterator[str]:
    study = plan.study
    tuning = study.about.tuning
    if tuning is None:
        return
    for arm in study.about.arms:
        if tuning.key not in plan.keys(arm):
            yield f"{study.at('tuning', 'key')}: {tuning.key} is not in the grid of the arm {arm}"
        elif any(point.config.data.valid is None for point in plan.of_arm(arm)):
            yield f"{study.at('tuning')}: needs held-out images to choose by; write data.valid: 5000 into the base"
            return
    values = {
        tuple(dict.fromkeys(repr(point.place.get(tuning.key)) for point in plan.of_arm(arm)))
        for arm in study.about.arms
    }
    if len(values) > 1:
        yield f"{study.at('tuning')}: the arms have different values of {tuning.key}; all need the same grid to be fair"


def _claim(plan: Plan, name: str, claim: Claim, powered: bool) -> Iterator[str]:
    """The problems of one claim."""
    study, measure = plan.study, claim.measure

    def at(*keys: str | int) -> str:
        return study.at("claims", name, *keys)

    if claim.tuned and study.about.tuning is None:
        yield f"{at('tuned')}: the study has no tuning; add tuning: {{key: train.optimizer.lr}}"
        return
    if measure.axis is not None and (measure.axis in claim.where):
        yield f"{at('where', measure.axis)}: the measure runs over this key; remove it"
        return
    for arm in claim.arms:
        keys = plan.keys(arm)
        axis = [] if measure.axis is None else [measure.axis]
        for place, key in [*(("where", key) for key in claim.where), *(("measure", key) for key in axis)]:
            if key not in keys:
                close = closest(key, keys)
                hint = f"did you mean {close}?" if close else f"it has {', '.join(keys) or 'no grid'}"
                spot = at("where", key) if place == "where" else at("measure", "key")
                yield f"{spot}: {key} is not in the grid of the arm {arm}; {hint}"
                return
        for key, value in claim.where.items():
            if not any(point.is_at({key: value}) for point in plan.of_arm(arm)):
                yield f"{at('where', key)}: the grid of the arm {arm} has no value {value!r}"
                return
        free = [*axis, *([study.about.tuning.key] if claim.tuned and study.about.tuning else [])]
        points = plan.pick(arm, claim.where, free)
        if axis:
            yield from _axis(at, measure, arm, points)
        if len({tuple(repr(point.place.get(key)) for key in free) for point in points}) < len(points) or not points:
            varying = [key for key in keys if key not in free and key not in claim.where]
            yield f"{at('where')}: the arm {arm} has several places there; name the values of {', '.join(varying)}"
            return
        yield from (f"{at('measure', key)}: {text}" for key, text in _recorded(measure, points))
    if powered and not claim.exploratory and claim.kind != "exact":
        yield from _looks(at, claim, len(study.about.seeds))
        step = max(step_of(measure, plan.of_arm(arm)) for arm in claim.arms)
        for key in ("sd", "sd_from", *(["stable_sd"] if claim.kind == "crossover" else [])):
            if getattr(claim, key) is None:
                pilot = f"bnbench study {study.name} --pilot 10 measures it"
                yield f"{at(key)}: is required, because the power of the claim follows from it; {pilot}"
                return
        yield from _power(at, claim, len(study.about.seeds), step)


def _axis(at: Any, measure: Any, arm: str, points: list[Point]) -> Iterator[str]:
    values = [point.place[measure.axis] for point in points]
    if measure.type == "largest" and not all(
        isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in values
    ):
        yield f"{at('measure', 'key')}: the largest value needs numbers above 0; {measure.axis} has others"
    if len(values) < 2:
        yield f"{at('measure', 'key')}: {measure.axis} has one value in the grid of the arm {arm}"
    if isinstance(measure, Change):
        for key, value in (("from", measure.start), ("to", measure.end)):
            if value not in values:
                yield f"{at('measure', key)}: the grid of the arm {arm} has no value {value!r}"
        if measure.start == measure.end:
            yield f"{at('measure', 'to')}: is the same value as from"


def _recorded(measure: Any, points: list[Point]) -> Iterator[tuple[str, str]]:
    """What the runs do not record: a key of the measure, and a sentence."""
    for point in points:
        config = point.config
        epochs, steps = config.train.epochs, config.data.batches()[0]
        for key in ("metric", "of") if measure.type in ("epochs_to", "steps_to", "at_target") else ():
            if not METRICS[getattr(measure, key, measure.metric)].per_epoch:
                yield key, f"{getattr(measure, key)} is known after the last epoch only"
        if not METRICS[measure.metric].per_epoch and (config.data.valid is None or not config.data.test):
            yield (
                "metric",
                f"{measure.metric} needs data.valid; without it, valid_{measure.metric[5:]} is on the test images",
            )
        if isinstance(measure, OfEpoch) and measure.epoch is not None and measure.epoch > epochs:
            yield "epoch", f"the runs of the arm {point.arm} have {epochs} epochs"
        step = getattr(measure, "step", None)
        if step is not None and (step % steps or step > epochs * steps):
            ends = f"{steps:,}, {2 * steps:,} …" if epochs > 1 else f"{steps:,}"
            yield "step", f"the runs record metrics at the end of each epoch, after {ends} steps"
        if isinstance(measure, OfEvaluation):
            asked = _evaluations(config)
            for key in ("evaluation", "minus", "over"):
                name = getattr(measure, key)
                if name is not None and name not in asked:
                    yield key, f"the study's evaluations are {', '.join(asked) or 'none'}; got {name}"


def _evaluations(config: Config) -> list[str]:
    return [label(one) for one in config.evaluations]


def _looks(at: Any, claim: Claim, seeds: int) -> Iterator[str]:
    if claim.looks and (claim.looks != sorted(set(claim.looks)) or claim.looks[-1] != seeds):
        example = [max(3, seeds // 2), seeds]
        yield f"{at('looks')}: must be rising numbers of seeds that end with all {seeds} of them, as in {example}"


def _power(at: Any, claim: Claim, seeds: int, step: float) -> Iterator[str]:
    assert claim.delta is not None and claim.sd is not None
    try:
        short = refusal("", claim.kind, claim.delta, claim.sd, seeds, claim.expect, **more(claim, step))
    except ConfigError as error:
        key = "expect" if str(error).startswith("expect") else "delta"
        yield f"{at(key)}: {error}"
        return
    if short:
        yield f"{at('sd')}: {short.removeprefix('claim : ')}"


def more(claim: Claim, step: float) -> More:
    """What the power of a claim depends on beside its spread."""
    out: More = {"step": step, "sd_images": claim.sd_images}
    if claim.looks:
        out["levels"] = look_levels(claim.looks)[claim.looks[-1]]
    if claim.stable is not None and claim.stable_sd is not None:
        out |= {"within": claim.stable, "sd_stable": claim.stable_sd}
    return out


def power_of(plan: Plan, claim: Claim) -> Power | None:
    """The power of a claim: how often it is supported, and contradicted. None for exact and exploratory claims."""
    if claim.exploratory or claim.kind == "exact" or claim.delta is None or claim.sd is None:
        return None
    step = max(step_of(claim.measure, plan.of_arm(arm)) for arm in claim.arms)
    return power(claim.kind, claim.delta, claim.sd, len(plan.study.about.seeds), claim.expect, **more(claim, step))
