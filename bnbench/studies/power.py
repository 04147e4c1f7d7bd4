"""Can a claim fail? How often n seeds give each verdict, by the rules of rules.py. Numbers in, numbers out.

A study is refused if a claim has too few seeds: `supported` must come out in 80 % of studies if the effect is the
expected one, and `contradicted` in 80 % if there is no effect. For sameness: supported at 0, contradicted at 2δ.

Looks at the data share the error by alpha spending (Lan & DeMets, Biometrika 70, 1983, 659-663): α(t) of the error may
be spent when the share t of the seeds is there. The boundaries solve P(no crossing before look k, crossing at k) =
α(t_k) - α(t_k-1), by numerical integration (Armitage, McPherson & Rowe, J. R. Stat. Soc. A 132, 1969, 235-244). They
are for normal means; the rules use each look's level with Student's t (Jennison & Turnbull, Group Sequential Methods,
2000, chapter 3).
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bnbench.analysis.power import POWER, Spread, estimates, fewest
from bnbench.analysis.sameness import FEWEST_SEEDS
from bnbench.analysis.statistics import ALPHA
from bnbench.errors import ConfigError
from bnbench.studies.rules import ONE_LOOK, Kind, Levels, check_delta

Spending = Literal["obrien_fleming", "pocock"]
MOST_LOOKS = 10
NODES = 200  # of the integral over what was seen at the look before


class Power(NamedTuple):
    """The probability of `supported` at the expected effect, and of `contradicted` where the claim is wrong."""

    supported: float
    contradicted: float


class More(TypedDict, total=False):
    """What a claim may declare beside its spread.

    sd_images: the standard deviation that the choice of test images adds to the effect, whatever the number of seeds,
    as `bnbench plan --format json` prints it. step: the resolution of the measure. levels: those of the last look.
    within, sd_stable: of the stable arm of a crossover.
    """

    sd_images: float
    step: float
    levels: Levels
    within: float
    sd_stable: float


def power(kind: Kind, delta: float, sd: float, n: float, expect: float | None = None, **more: Unpack[More]) -> Power:
    """The power of a claim with n seeds.

    Parameters
    ----------
    kind, delta
        As for `bnbench.studies.rules.judge`.
    sd
        The standard deviation over seeds of the paired effect; for a ratio, of its natural log.
    expect
        The true effect at which the claim should be supported. Default: 2δ; δ² for a ratio; 0 for sameness.

    Raises ConfigError if the numbers make no sense together.

    Examples
    --------
    >>> [round(value, 2) for value in power("superior", 0.3, 0.25, 8)]
    [0.82, 0.82]
    >>> [round(value, 2) for value in power("equivalent", 0.3, 1.0, 20)]
    [0.0, 0.22]
    """
    check_delta(kind, delta)
    if kind == "exact":
        return Power(1.0, 1.0)
    expected = expectation(kind, delta, expect)
    spread = Spread(sd**2, more.get("sd_images", 0.0) ** 2)
    step, levels = more.get("step", 0.0), more.get("levels", ONE_LOOK)
    if kind == "equivalent":
        return _power_of_same(delta, expected, spread, n, step, levels)
    if kind == "ratio":
        delta, expected = abs(math.log(delta)), abs(math.log(expected))
    supported = _beyond(expected - delta, spread, n, step, levels)
    contradicted = _beyond(delta, spread, n, step, levels)
    if kind == "superior" or kind == "ratio":
        return Power(supported, contradicted)
    if "within" not in more or "sd_stable" not in more:
        raise ConfigError("a crossover needs the margin of its stable arm, and the sd of its change")
    # Both parts must be supported, at least p + q - 1 together. One that is wrong contradicts the claim.
    stable = _power_of_same(more["within"], 0.0, Spread(more["sd_stable"] ** 2, spread.of_images), n, step, levels)
    return Power(max(0.0, supported + stable.supported - 1), min(contradicted, stable.contradicted))


def expectation(kind: Kind, delta: float, expect: float | None) -> float:
    """The true effect at which a claim should be supported. Raises ConfigError if the claim is wrong at `expect`."""
    if kind == "equivalent":
        if expect is not None and not abs(expect) < delta:
            raise ConfigError(f"expect {expect:g}: the claim is sameness within {delta:g}, so it must be smaller")
        return 0.0 if expect is None else expect
    if expect is None:
        return delta**2 if kind == "ratio" else 2 * delta
    beyond = expect < delta if kind == "ratio" and delta < 1 else expect > delta
    if not beyond or (kind == "ratio" and expect <= 0):
        where = "below" if kind == "ratio" and delta < 1 else "above"
        raise ConfigError(f"expect {expect:g}: must be {where} delta {delta:g}; at delta itself the power is 2.5 %")
    return expect


def seeds_needed(
    kind: Kind, delta: float, sd: float, expect: float | None = None, *, wanted: float = POWER, **more: Unpack[More]
) -> int | None:
    """The fewest seeds, at least 3, that give both verdicts this power. None if no number is enough.

    >>> [seeds_needed("superior", 0.3, sd) for sd in (0.18, 0.25, 0.39, 1.0)]
    [6, 8, 16, 92]
    """
    if kind == "exact":
        return 1
    found = fewest(lambda n: min(power(kind, delta, sd, n, expect, **more)), wanted)
    return None if found is None else max(found, FEWEST_SEEDS)


def refusal(
    name: str, kind: Kind, delta: float, sd: float, n: int, expect: float | None = None, **more: Unpack[More]
) -> str | None:
    """Why n seeds are too few for the claim `name`, and how many would do. None if they are enough.

    >>> refusal("early", "superior", 0.3, 0.39, 8).partition("; ")[2]
    'both need 80 %. Use 16 seeds, a larger delta, or exploratory: true'
    """
    if kind == "exact":
        return None
    found = power(kind, delta, sd, n, expect, **more)
    if n >= FEWEST_SEEDS and min(found) >= POWER:
        return None
    expected = expectation(kind, delta, expect)
    wrong = {"equivalent": 2 * delta, "ratio": 1.0}.get(kind, 0.0)
    what = "ratio" if kind == "ratio" else "interaction" if kind == "crossover" else "effect"
    needed = seeds_needed(kind, delta, sd, expect, **more)
    advice = f"Use {needed} seeds," if needed is not None else "No number of seeds is enough: choose"
    return (
        f"claim {name}: {n} seeds are too few: if the true {what} is {expected:g}, {_share(found.supported)} of studies"
        f" would support the claim, and if it is {wrong:g}, {_share(found.contradicted)} would contradict it;"
        f" both need {_percent(POWER)}. {advice} a larger delta, or exploratory: true"
    )


def _share(of: float) -> str:
    return f"only {_percent(of)}" if of < POWER else _percent(of)


def _percent(share: float) -> str:
    """Rounded down, so that 79.6 % is not called 80 %."""
    return f"{math.floor(100 * share + 1e-9)} %"


def _beyond(distance: float, spread: Spread, n: float, step: float, levels: Levels) -> float:
    """How often the interval leaves out a value at this distance from the truth, on the side of the truth."""
    se = spread.se(n)
    if se == 0:
        return float(distance > step)
    return float(special.ndtr(distance / se - _halves(spread, n, step, levels.different)).mean())


def _power_of_same(delta: float, expect: float, spread: Spread, n: float, step: float, levels: Levels) -> Power:
    """Of sameness: supported if the truth is `expect`, contradicted if it is 2 delta."""
    contradicted = _beyond(delta, spread, n, step, levels)
    se = spread.se(n)
    if se == 0:
        return Power(float(abs(expect) + step < delta), contradicted)
    room = (delta / se - _halves(spread, n, step, levels.same)).clip(min=0.0)
    return Power(float((special.ndtr(room - expect / se) - special.ndtr(-room - expect / se)).mean()), contradicted)


def _halves(spread: Spread, n: float, step: float, level: float) -> NDArray[np.float64]:
    """Half of the interval in standard errors, all equally likely: as in rules.py, at least by the declared spread."""
    t, s = estimates(spread, n, 1 - level / 2)
    return np.maximum(t * s, max(float(special.ndtri(1 - level / 2)), step / spread.se(n)))


def look_levels(looks: Sequence[int], spending: Spending = "obrien_fleming") -> dict[int, Levels]:
    """The levels of the intervals at each look, by its number of seeds.

    O'Brien and Fleming's kind spends little early: α(t) = 2 - 2 Φ(z / √t), with Φ(z) = 1 - α/2. Pocock's kind spends
    evenly: α(t) = α log(1 + (e - 1) t). α is the error of one side: half of 5 % for differences, 5 % for sameness.

    Raises ConfigError if the looks are not increasing numbers of at least 3 seeds.

    >>> {n: round(levels.different, 4) for n, levels in look_levels([8, 16]).items()}
    {8: 0.0031, 16: 0.049}
    """
    looks = list(looks)
    if not looks or looks != sorted(set(looks)) or looks[0] < FEWEST_SEEDS or len(looks) > MOST_LOOKS:
        raise ConfigError(
            f"looks {looks}: must be at most {MOST_LOOKS} increasing numbers of seeds, at least {FEWEST_SEEDS}"
        )
    times = [n / looks[-1] for n in looks]
    different, same = _nominal(times, ALPHA / 2, spending), _nominal(times, ALPHA, spending)
    return {n: Levels(2 * a, 2 * b) for n, a, b in zip(looks, different, same, strict=True)}


def _spent(t: float, alpha: float, spending: Spending) -> float:
    if spending == "pocock":
        return alpha * math.log(1 + (math.e - 1) * t)
    return 2 - 2 * float(special.ndtr(special.ndtri(1 - alpha / 2) / math.sqrt(t)))


def _nominal(times: Sequence[float], alpha: float, spending: Spending) -> list[float]:
    """The one-sided level of each look. The process is a Brownian motion x(t), stopped above its boundary."""
    levels: list[float] = []
    spent, before = 0.0, 0.0
    x, mass = np.zeros(1), np.ones(1)  # where the process may be at the last look, and with which probability
    for t in times:
        share = _spent(t, alpha, spending) - spent
        spent, step = spent + share, math.sqrt(t - before)
        low, high = -10.0 * math.sqrt(t), 10.0 * math.sqrt(t)
        bottom, top = low, high
        for _ in range(60):
            middle = (low + high) / 2
            crossing = float(mass @ special.ndtr((x - middle) / step))
            low, high = (middle, high) if crossing > share else (low, middle)
        levels.append(float(special.ndtr(-high / math.sqrt(t))))
        x, mass = _next(x, mass, step, bottom, min(high, top))
        before = t
    return levels


def _next(
    x: NDArray[np.float64], mass: NDArray[np.float64], step: float, bottom: float, boundary: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distribution at the next look, below its boundary, at the nodes of a Gauss-Legendre rule."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    at = bottom + (boundary - bottom) * (nodes + 1) / 2
    density = np.exp(-(((at[:, None] - x[None, :]) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
    return at, (density @ mass) * weights * (boundary - bottom) / 2
