"""Verdicts: a claim and the effects that were measured → supported, contradicted or inconclusive. Pure functions.

A claim and its rule are declared before the runs. Every rule compares an interval [low, high] with the margin δ:

    superior     low > δ: supported; high < δ: contradicted
    equivalent   the 90 % interval inside ±δ: supported; the 95 % interval wholly outside: contradicted
    ratio        superior, on logs; δ is a factor: above 1 "larger by", below 1 "smaller by"
    crossover    the interaction superior by δ, and the change of the stable arm equivalent
    exact        |value| ≤ δ in every run: supported; above in one: contradicted

The interval is t over seeds, or crossed over seeds and images, and never narrower than the normal interval of the
declared spread. Anything else is inconclusive. docs/judge.md has the rates of false verdicts, measured by simulation.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from scipy import special

from bnbench.analysis.sameness import FEWEST_SEEDS
from bnbench.analysis.statistics import ALPHA
from bnbench.errors import ConfigError
from bnbench.studies.effects import Interval, Paired

Kind = Literal["superior", "equivalent", "ratio", "crossover", "exact"]
Verdict = Literal["supported", "contradicted", "inconclusive"]


class Levels(NamedTuple):
    """The two-sided levels of the intervals at one look: of a difference, and of sameness (two one-sided tests)."""

    different: float = ALPHA
    same: float = 2 * ALPHA


ONE_LOOK = Levels(0.05, 0.1)


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reason. `effect`, `low` and `high` are in the unit of the claim, a factor for a ratio.

    [low, high] is the 95 % interval, or that of the look; a side is infinite where censored runs leave it open.
    `inner` is the 90 % interval, by which sameness is supported. `effect` is NaN if there is no value at all.
    """

    verdict: Verdict
    effect: float
    low: float
    high: float
    n: int
    why: str
    inner: tuple[float, float] | None = None
    wrong_sign: bool = False


def judge(
    kind: Kind,
    delta: float,
    paired: Paired,
    *,
    levels: Levels = ONE_LOOK,
    stable: Paired | None = None,
    within: float | None = None,
) -> Judgement:
    """Judge one claim.

    Parameters
    ----------
    kind, delta
        The rule and its margin, above 0. For a ratio, a factor other than 1. For `exact`, at least 0.
    paired
        The effects. For `crossover`, the interaction.
    levels
        The levels of this look; the default if the claim has no looks.
    stable, within
        For `crossover` only: the changes of the arm that should be stable, and their margin.

    Raises ConfigError if delta makes no sense for this kind.

    Examples
    --------
    >>> judge("superior", 0.3, Paired((0.9, 1.1, 1.0, 0.8))).verdict
    'supported'
    >>> judge("equivalent", 0.3, Paired((0.1, -0.1, 0.0, 0.05))).why
    'the 90 % interval lies within ±0.3'
    """
    check_delta(kind, delta)
    if kind == "exact":
        return _exact(delta, paired)
    if kind == "equivalent":
        return _equivalent(delta, paired, levels)
    if kind == "superior":
        return _superior(delta, paired, levels)
    if kind == "ratio":
        return _ratio(delta, paired, levels)
    if stable is None or within is None:
        raise ConfigError("a crossover needs the changes of its stable arm, and their margin")
    check_delta("equivalent", within)
    return _crossover(_superior(delta, paired, levels), _equivalent(within, stable, levels))


def check_delta(kind: Kind, delta: float) -> None:
    """Raises ConfigError if the margin makes no sense."""
    if not math.isfinite(delta) or delta < 0 or (delta == 0 and kind != "exact"):
        raise ConfigError(
            f"delta {delta:g}: must be {'at least' if kind == 'exact' else 'above'} 0 and finite; got {delta:g};"
            f" write the smallest {'factor' if kind == 'ratio' else 'effect'} that matters, as in"
            f" {'1.1' if kind == 'ratio' else '0.3'}"
        )
    if kind == "ratio" and delta == 1:
        raise ConfigError(
            "delta 1: no result could contradict a ratio of more than 1; write the smallest factor that matters,"
            " as 1.1, or 0.9 if the first arm should be smaller"
        )


def judge_looks(
    kind: Kind,
    delta: float,
    looked: Mapping[int, Paired],
    levels: Mapping[int, Levels],
    *,
    stable: Mapping[int, Paired] | None = None,
    within: float | None = None,
) -> Judgement:
    """The judgement of the first look that decides. It is final: what later seeds show does not change it.

    Parameters
    ----------
    looked
        The effects of the first n seeds for each look n. Looks that are not there yet are left out.
    levels
        The levels of every declared look, from `bnbench.studies.power.look_levels`.
    """
    judgement = Judgement("inconclusive", math.nan, -math.inf, math.inf, 0, "no look is complete")
    for n in sorted(levels):
        if n not in looked:
            return replace(judgement, why=f"{judgement.why}; the look at {n} seeds is to come")
        changes = None if stable is None else stable[n]
        judgement = judge(kind, delta, looked[n], levels=levels[n], stable=changes, within=within)
        judgement = replace(judgement, why=f"look at {n} seeds: {judgement.why}")
        if judgement.verdict != "inconclusive" or looked[n].missing:
            return judgement
    return judgement


def _superior(delta: float, paired: Paired, levels: Levels) -> Judgement:
    if unjudged := _unjudged(paired):
        return unjudged
    low, high = _limits(paired, levels.different)
    verdict: Verdict = "inconclusive"
    why = f"the interval covers {delta:g}"
    if low > delta:
        verdict, why = "supported", f"the interval lies above {delta:g}"
    elif high < delta:
        verdict, why = "contradicted", f"the interval lies below {delta:g}"
    if high < 0:
        why = "wrong sign: the interval lies below 0"
    n, effect = len(paired.values), paired.estimate.mean
    return Judgement(verdict, effect, low, high, n, why + _limited(paired), None, high < 0)


def _equivalent(delta: float, paired: Paired, levels: Levels) -> Judgement:
    if unjudged := _unjudged(paired):
        return unjudged
    low, high = _limits(paired, levels.different)
    inner = _limits(paired, levels.same)
    verdict: Verdict = "inconclusive"
    why = f"neither within ±{delta:g} nor outside"
    if low > delta or high < -delta:
        verdict, why = "contradicted", f"the interval lies outside ±{delta:g}"
    elif -delta < inner[0] and inner[1] < delta:
        verdict, why = "supported", f"the {100 * (1 - levels.same):.4g} % interval lies within ±{delta:g}"
    return Judgement(verdict, paired.estimate.mean, low, high, len(paired.values), why + _limited(paired), inner)


def _ratio(delta: float, paired: Paired, levels: Levels) -> Judgement:
    """On logs. For a factor below 1, the claim is that second / first is large."""
    larger = delta > 1
    of = _superior(abs(math.log(delta)), paired if larger else -paired, levels)
    ends = sorted(_exp(end if larger else -end) for end in (of.low, of.high))
    why = of.why
    if not _unjudged(paired):
        above = (of.verdict == "supported") == larger
        why = f"the interval lies {'above' if above else 'below'} {delta:g}"
        if of.verdict == "inconclusive":
            why = f"the interval covers {delta:g}"
        if of.wrong_sign:
            why = f"wrong sign: the interval lies {'below' if larger else 'above'} 1"
        why += _limited(paired)
    return replace(of, effect=_exp(of.effect if larger else -of.effect), low=ends[0], high=ends[1], why=why)


def _crossover(interaction: Judgement, stable: Judgement) -> Judgement:
    """Both parts must be supported. One that is contradicted contradicts the claim."""
    verdicts = {interaction.verdict, stable.verdict}
    verdict: Verdict = "inconclusive"
    if "contradicted" in verdicts:
        verdict = "contradicted"
    elif verdicts == {"supported"}:
        verdict = "supported"
    return replace(interaction, verdict=verdict, why=f"interaction: {interaction.why}; stable arm: {stable.why}")


def _exact(delta: float, paired: Paired) -> Judgement:
    if unjudged := _unjudged(paired, fewest=1):
        return unjudged
    n, ends = len(paired.values), list(zip(paired.lowest, paired.highest, strict=True))
    above = sum(max(low, -high) > delta for low, high in ends)  # how many lie outside ±delta as a whole
    verdict: Verdict = "supported"
    why = f"at most {delta:g} in all {n} runs"
    if above:
        verdict, why = "contradicted", f"above {delta:g} in {above} of {n} runs"
    elif paired.diverged:
        verdict, why = "inconclusive", f"{paired.diverged} of {n} runs diverged"
    elif any(max(-low, high) > delta for low, high in ends):
        verdict, why = "inconclusive", f"censored runs may be above {delta:g}"
    largest = max(paired.values, key=abs)
    return Judgement(verdict, largest, min(low for low, _ in ends), max(high for _, high in ends), n, why)


def _unjudged(paired: Paired, *, fewest: int = FEWEST_SEEDS) -> Judgement | None:
    """The answer if there is nothing to judge: runs are missing, or there are too few seeds."""
    n = len(paired.values)
    if paired.missing:
        why = f"{paired.missing} of {n + paired.missing} seeds {'is' if paired.missing == 1 else 'are'} missing"
    elif n < fewest:
        why = f"{n} seed{'s' if n != 1 else ''}: a verdict needs {fewest}"
    else:
        return None
    effect = math.fsum(paired.values) / n if n else math.nan
    return Judgement("inconclusive", effect, -math.inf, math.inf, n, why)


def _limits(paired: Paired, level: float) -> tuple[float, float]:
    """The interval: its low end from the lowest possible value of each seed, its high end from the highest."""
    if paired.known:
        of = paired.estimate
        return of.mean - _half(of, level, paired), of.mean + _half(of, level, paired)
    return -_upper(tuple(-value for value in paired.lowest), level, paired), _upper(paired.highest, level, paired)


def _upper(values: tuple[float, ...], level: float, paired: Paired) -> float:
    if not all(map(math.isfinite, values)):
        return math.inf
    of = Interval.of_values(values)
    return of.mean + _half(of, level, paired)


def _half(of: Interval, level: float, paired: Paired) -> float:
    """Half of the interval: by the spread that was seen, but at least by the declared one, and at least one step."""
    return max(_seen(of, level), _declared(paired, level), paired.step)


def _seen(of: Interval, level: float) -> float:
    return float(special.stdtrit(of.df, 1 - level / 2)) * of.se


def _declared(paired: Paired, level: float) -> float:
    """Half of the normal interval of the declared spread."""
    se = math.sqrt(paired.sd**2 / len(paired.values) + paired.sd_images**2)
    return float(special.ndtri(1 - level / 2)) * se


def _exp(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)


def _limited(paired: Paired) -> str:
    """What the reason adds: censored and diverged runs, and what else than the seen spread sets the interval."""
    n, of = len(paired.values), paired.estimate
    censored = sum(a != b for a, b in zip(paired.lowest, paired.highest, strict=True))
    parts = [f"; {censored} of {n} seeds are censored"] if censored else []
    parts += [f"; {paired.diverged} of {n} have a diverged run"] if paired.diverged else []
    half = _half(of, ALPHA, paired)
    if not censored and half > _seen(of, ALPHA):
        parts += [
            "; one step of the grid sets its width" if half == paired.step else "; the declared sd sets its width"
        ]
    return "".join(parts)
