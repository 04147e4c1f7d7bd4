"""Scenes: a claim, and how its runs come about if the truth is known. simulate.py plays them; numpy only.

The spreads are those of tracked runs: standard deviations over seeds of paired differences on 10,000 test images. A
truth is an effect in the unit of the claim (points, or a log ratio); for a crossover, also the stable arm's change.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bnbench.analysis.crossed import crossed
from bnbench.studies.effects import Interval, Paired, Value, never
from bnbench.studies.power import Power, Spending, look_levels, power, seeds_needed
from bnbench.studies.rules import Kind, Verdict, judge, judge_looks

Truth = tuple[float, ...]
Noise = Callable[[Generator, int], NDArray[np.float64]]  # deviations of n seeds from the true effect

# In points of final accuracy. tests/test_study_simulation.py measures them again.
SPREADS = {
    "CNN": (0.18, "cnn_bn - cnn_no_bn"),
    "MLP": (0.25, "mlp_bn,norm.momentum=0.1 - mlp_no_bn"),
    "tutorial's MLP": (0.39, "mlp_bn - mlp_no_bn"),
}
# Each is the log of a ratio: the training losses of the same two arms after the first epoch.
LOG_SPREADS = {"CNN": 0.077, "MLP": 0.022}
# Differences of real runs: mlp_bn - mlp_no_bn, with a tail; mlp_partial_rms - mlp_batch, with one bad seed of eleven.
TAIL = (-0.39, -0.07, -0.89, -0.44, -0.36, -0.48, -0.29, 0.09, -1.23, -0.72)
BAD_SEED = (-1.98, -3.58, -10.63, -2.38, -2.66, -2.0, -1.95, -2.09, -2.73, -3.23, -2.33)
ACCURACY, DEAD = 97.0, 11.35  # of a run, and the place of a diverged one


@dataclass(frozen=True)
class Scene:
    """One claim in one situation.

    `just_false`: the truth at which the claim is false and hardest to tell from a true one; `just_true`: the reverse.
    `expected`, `wrong`: the truths at which the power is promised. `hidden`: shows a limit, and promises nothing.
    """

    kind: Kind
    situation: str
    n: str
    delta: float
    play: Callable[[Generator, Truth], Verdict]
    just_false: Truth
    just_true: Truth
    expected: Truth
    wrong: Truth
    promised: Power | None = None
    slow: bool = False
    hidden: bool = False


def normal(sd: float) -> Noise:
    return lambda rng, n: rng.normal(0.0, sd, n)


def resampled(values: tuple[float, ...], sign: float = 1.0) -> Noise:
    """Deviations drawn from those of real runs."""
    around = sign * (np.array(values) - np.mean(values))
    return lambda rng, n: rng.choice(around, n)


def truths(kind: Kind, delta: float) -> tuple[Truth, Truth, Truth, Truth]:
    """Just false, just true, expected and wrong, where all runs are whole."""
    if kind == "equivalent":
        return (delta,), (delta,), (0.0,), (2 * delta,)
    if kind == "ratio":
        delta = math.log(delta)
    return (delta,), (delta,), (2 * delta,), (0.0,)


def plain(
    kind: Kind,
    situation: str,
    delta: float,
    sd: float,
    *,
    noise: Noise | None = None,
    ties: float = 0.0,
    step: float = 0.0,
    lost: float = 0.0,
    seeds: int | None = None,
    true_sd: float | None = None,
    hidden: bool = False,
) -> Scene:
    """Values with this spread, rounded to multiples of `ties`; each seed is lost with the probability `lost`.

    The claim declares `sd`. With `true_sd`, this is wrong, and the power is not promised.
    """
    n = seeds or seeds_needed(kind, delta, sd, step=step) or 0
    draw = noise or normal(true_sd or sd)

    def play(rng: Generator, truth: Truth) -> Verdict:
        values = truth[0] + draw(rng, n)
        if ties:
            values = ties * np.round(values / ties)
        missing = int((rng.random(n) < lost).sum()) if lost else 0
        paired = Paired(tuple(values[: n - missing].tolist()), step=step, missing=missing, sd=sd)
        return judge(kind, delta, paired).verdict

    promised = None
    if true_sd is None and not hidden:
        promised = Power(*(share * (1 - lost) ** n for share in power(kind, delta, sd, n, step=step)))
    return Scene(kind, situation, str(n), delta, play, *truths(kind, delta), promised, hidden=hidden)


def looks(kind: Kind, situation: str, delta: float, sd: float, at: tuple[int, ...], spending: Spending) -> Scene:
    levels = look_levels(at, spending)

    def play(rng: Generator, truth: Truth) -> Verdict:
        values = tuple(rng.normal(truth[0], sd, at[-1]).tolist())
        return judge_looks(kind, delta, {n: Paired(values[:n], sd=sd) for n in at}, levels).verdict

    promised = power(kind, delta, sd, at[-1], levels=levels[at[-1]])
    return Scene(kind, situation, ", ".join(map(str, at)), delta, play, *truths(kind, delta), promised)


def diverging(kind: Kind, situation: str, delta: float, sd: float, n: int, first: float, second: float) -> Scene:
    """Runs of the two arms diverge with these probabilities.

    There are two true effects: of the seeds that train, and of all seeds with diverged runs at their place. A verdict
    is false if neither makes it right.
    """
    gap = (ACCURACY - DEAD) * (second * (1 - first) - first * (1 - second))  # what diverged runs add to the mean
    both = (1 - first) * (1 - second)

    def play(rng: Generator, truth: Truth) -> Verdict:
        dead = rng.random((2, n)) < [[first], [second]]
        values = truth[0] + rng.normal(0.0, sd, n)
        values = np.where(dead[0], DEAD - ACCURACY, values) * ~(dead[0] & dead[1])
        values = np.where(dead[1] & ~dead[0], ACCURACY - DEAD, values)
        paired = Paired(tuple(values.tolist()), diverged=int(dead.any(axis=0).sum()), sd=sd)
        return judge(kind, delta, paired).verdict

    other = (delta - gap) / both  # the effect of the seeds that train, if that of all seeds is delta
    false, true = min(delta, other), max(delta, other)
    if kind == "equivalent":
        false, true = true, false
        return Scene(kind, situation, str(n), delta, play, (false,), (true,), (0.0,), (false + delta,))
    return Scene(kind, situation, str(n), delta, play, (false,), (true,), (true + delta,), (false - delta,))


def unseen(delta: float, sd: float, n: int, share: float) -> Scene:
    """Diverged runs too rare to be seen: the mean of all seeds is delta, that of seeds that train is far above."""
    scene = diverging("superior", "", delta, sd, n, share, 0.0)
    at = scene.just_true
    text = f"{100 * share:g} % of the first arm's runs diverge, and count in the truth"
    return Scene("superior", text, str(n), delta, scene.play, at, at, scene.expected, scene.wrong, hidden=True)


def images(kind: Kind, situation: str, delta: float, effects: tuple[float, float], n: int, many: int = 2_000) -> Scene:
    """Right or wrong answers on test images, judged by the crossed interval.

    An answer is right if a latent value is above a threshold. `effects` are the standard deviations of seeds and images
    in it, of each arm; what a seed and an image have together is 1, and the arms share half of it.
    """
    of_seed, of_image = effects
    sd = math.sqrt(1 + of_seed**2 + of_image**2)
    from scipy import special

    threshold = float(special.ndtri(0.05)) * sd

    def gaps(rng: Generator, points: float) -> NDArray[np.float64]:
        gain = threshold + sd * -float(special.ndtri(0.05 - points / 100))
        common = rng.standard_normal((n, many), dtype=np.float32)
        right = []
        for more in (gain, 0.0):
            latent = math.sqrt(0.5) * (common + rng.standard_normal((n, many), dtype=np.float32))
            latent += of_seed * rng.standard_normal((n, 1)) + of_image * rng.standard_normal((1, many))
            right.append(latent > threshold - more)
        return 100 * (right[0].astype(np.float64) - right[1])

    rng = np.random.default_rng(0)
    pilots = [crossed(gaps(rng, 0.0)) for _ in range(50)]
    over_seeds = math.sqrt(n * float(np.mean([of.of_seeds + of.of_both for of in pilots])))
    over_images = math.sqrt(float(np.mean([of.of_images for of in pilots])))
    promised = power(kind, delta, over_seeds, n, sd_images=over_images)

    def play(rng: Generator, truth: Truth) -> Verdict:
        values = gaps(rng, truth[0])
        of = crossed(values)
        interval = Interval(of.mean, math.sqrt(of.variance), of.df)
        paired = Paired(tuple(values.mean(axis=1).tolist()), interval=interval, sd=over_seeds, sd_images=over_images)
        return judge(kind, delta, paired).verdict

    return Scene(kind, situation, str(n), delta, play, *truths(kind, delta), promised, slow=True)


def steps_to_target(situation: str, delta: float, sd: float, n: int, epochs: int, typical: float, whole: bool) -> Scene:
    """Steps to a target as a ratio. A run that needs more than `epochs` is censored; `typical` is the second arm's.

    `whole`: the metric is seen at the ends of epochs only.
    """

    def seen(time: float) -> Value:
        if time > epochs:
            return never(epochs)
        return Value(math.ceil(time), math.ceil(time) - 1, math.ceil(time)) if whole else Value.known(time)

    def play(rng: Generator, truth: Truth) -> Verdict:
        second = math.log(typical) + rng.normal(0.0, sd / math.sqrt(2), n)
        first = math.log(typical) + truth[0] + rng.normal(0.0, sd / math.sqrt(2), n)
        of = [seen(math.exp(a)).log() - seen(math.exp(b)).log() for a, b in zip(first, second, strict=True)]
        return judge("ratio", delta, replace(Paired.of(of), sd=sd)).verdict

    return Scene("ratio", situation, str(n), delta, play, *truths("ratio", delta))


def grid(situation: str, delta: float, sd: float, n: int, step: float = 0.5) -> Scene:
    """log10 of the largest usable rate, on a grid that lies anywhere."""

    def play(rng: Generator, truth: Truth) -> Verdict:
        phase = rng.random() * step
        first, second = (phase + at + rng.normal(0.0, sd / math.sqrt(2), n) for at in (truth[0], 0.0))
        values = step * (np.floor(first / step) - np.floor(second / step))
        return judge("superior", delta, Paired(tuple(values.tolist()), step=step, sd=sd)).verdict

    false, true, _, wrong = truths("superior", delta)
    expected = 3 * delta
    return Scene("superior", situation, str(n), delta, play, false, true, (expected,), (wrong[0] - delta,))


def crossover(situation: str, delta: float, sd: float, within: float, sd_stable: float, boundary: Truth) -> Scene:
    n = seeds_needed("crossover", delta, sd, within=within, sd_stable=sd_stable) or 0

    def play(rng: Generator, truth: Truth) -> Verdict:
        effect, change = (tuple(rng.normal(at, s, n).tolist()) for at, s in zip(truth, (sd, sd_stable), strict=True))
        stable = Paired(change, sd=sd_stable)
        return judge("crossover", delta, Paired(effect, sd=sd), stable=stable, within=within).verdict

    promised = power("crossover", delta, sd, n, within=within, sd_stable=sd_stable)
    wrong = (0.0, 0.0) if boundary[0] == delta else (2 * delta, 2 * within)
    return Scene(
        "crossover", situation, str(n), delta, play, boundary, (delta, within), (2 * delta, 0.0), wrong, promised
    )


def exact(situation: str, n: int, failing: float) -> Scene:
    """A run fails with this probability if the claim is false, and never if it is true."""

    def play(rng: Generator, truth: Truth) -> Verdict:
        return judge("exact", 1.0, Paired(tuple(np.where(rng.random(n) < truth[0], 2.0, 1.0).tolist()))).verdict

    at = (failing,)
    return Scene("exact", situation, str(n), 1.0, play, at, (0.0,), (0.0,), at, hidden=failing < 1)


def scenes() -> Iterator[Scene]:
    """All scenes, in the order of the table."""
    cnn, mlp, tutorial = (sd for sd, _ in SPREADS.values())
    for kind in ("superior", "equivalent"):
        for name, (sd, _) in SPREADS.items():
            yield plain(kind, f"{name}, sd {sd}", 0.3, sd)
        yield plain(kind, "three seeds", 1.0 if kind == "superior" else 1.5, mlp, seeds=3)
        yield plain(kind, "ties: multiples of 0.01", 0.3, cnn, ties=0.01)
        yield plain(kind, "ties: multiples of 0.1, on 1,000 images", 0.3, cnn, ties=0.1)
        yield plain(kind, "drawn from real runs with a tail down", 0.3, tutorial, noise=resampled(TAIL))
        yield plain(kind, "drawn from real runs with a tail up", 0.3, tutorial, noise=resampled(TAIL, -1))
        for sign, where in ((1, "down"), (-1, "up")):
            yield plain(
                kind, f"drawn from real runs, one of eleven far {where}", 3.0, 2.51, noise=resampled(BAD_SEED, sign)
            )
        yield plain(kind, "the true spread is twice the declared one", 0.3, mlp, true_sd=2 * mlp)
        yield images(kind, "crossed: seeds and images vary", 1.2, (0.04, 0.5), 8)
        yield images(kind, "crossed: four seeds", 1.6, (0.04, 0.5), 4)
        yield plain(kind, "each seed is lost in 2 % of studies", 0.3, mlp, lost=0.02)
        yield diverging(kind, "5 % of the runs of both arms diverge", 0.3, mlp, 8, 0.05, 0.05)
        if kind == "superior":
            yield diverging(kind, "5 % of the first arm's runs diverge", 0.3, mlp, 8, 0.05, 0.0)
            yield diverging(kind, "30 % of the second arm's runs diverge", 0.3, mlp, 8, 0.0, 0.3)
        yield looks(kind, "looks at 8 and 20 seeds", 0.3, tutorial, (8, 20), "obrien_fleming")
        yield looks(kind, "the same, Pocock's spending", 0.3, tutorial, (8, 20), "pocock")
    yield grid("largest usable rate, every seed the same", 0.5, 0.01, 8)
    yield grid("largest usable rate, sd of half a step", 0.5, 0.25, 8)
    yield grid("largest usable rate, sd of a step", 0.5, 0.5, 8)
    for name, sd in LOG_SPREADS.items():
        yield plain("ratio", f"training loss of the {name}, sd {sd}", 0.9, sd)
    yield plain("ratio", "larger by a factor of 2, sd 0.4", 2.0, 0.4)
    yield steps_to_target("steps to a target, 5 % censored", 0.8, 0.25, 12, 10, 7.4, False)
    yield steps_to_target("steps to a target, half censored", 0.8, 0.25, 12, 10, 10.0, False)
    yield steps_to_target("epochs to a target, seen at their ends", 0.8, 0.25, 12, 10, 6.0, True)
    yield crossover("interaction at its margin", 2.0, 1.5, 1.0, 0.8, (2.0, 0.0))
    yield crossover("stable arm at its margin", 2.0, 1.5, 1.0, 0.8, (4.0, 1.0))
    yield exact("fails in every run", 10, 1.0)
    yield exact("fails in one run of ten", 10, 0.1)
    yield unseen(0.3, mlp, 8, 0.02)
    text = "one of eleven far down, and not in the pilot"
    yield plain("superior", text, 0.7, 0.56, noise=resampled(BAD_SEED), hidden=True)
