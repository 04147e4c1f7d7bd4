"""Verdicts: each rule on both sides of its margin, censored, diverged and missing runs, looks. No torch."""

import doctest
import math

import numpy as np
import pytest
from scipy import stats

from bnbench.analysis.statistics import Difference
from bnbench.errors import ConfigError
from bnbench.studies import effects, rules
from bnbench.studies.effects import (
    Interval,
    Paired,
    Value,
    differences,
    diverged_accuracy,
    diverged_loss,
    log_ratios,
    never,
)
from bnbench.studies.rules import Levels, judge, judge_looks

SPREAD = (-0.2, -0.1, 0.0, 0.1, 0.2)  # sd 0.158, se 0.0707: 95 % ± 0.196, 90 % ± 0.151


def around(mean, **more):
    return Paired(tuple(mean + one for one in SPREAD), **more)


def verdict(kind, delta, paired, **more):
    return judge(kind, delta, paired, **more).verdict


def test_the_examples_of_the_docstrings():
    for module, fewest in ((rules, 2), (effects, 3)):
        failed, tried = doctest.testmod(module)
        assert failed == 0 and tried >= fewest


@pytest.mark.parametrize(
    ("mean", "expected"), [(0.50, "supported"), (0.49, "inconclusive"), (0.11, "inconclusive"), (0.10, "contradicted")]
)
def test_superior_by_delta_needs_the_whole_interval(mean, expected):
    """The interval is mean ± 0.196, so δ 0.3 is left out from 0.497 on, and below 0.103."""
    assert verdict("superior", 0.3, around(mean)) == expected


def test_the_interval_is_scipys():
    low, high = stats.t.interval(0.95, 4, np.mean(SPREAD) + 0.4, stats.sem(SPREAD))
    of = judge("superior", 0.3, around(0.4))
    assert (of.low, of.high, of.effect, of.n) == (pytest.approx(low), pytest.approx(high), pytest.approx(0.4), 5)


def test_a_wrong_sign_is_said():
    of = judge("superior", 0.3, around(-0.2))
    assert of.verdict == "contradicted" and of.wrong_sign and "wrong sign" in of.why
    too_small = judge("superior", 0.3, around(0.0))
    assert too_small.why == "the interval lies below 0.3" and not too_small.wrong_sign


@pytest.mark.parametrize(
    ("mean", "expected"),
    [(0.0, "supported"), (-0.14, "supported"), (0.14, "supported"), (0.16, "inconclusive"), (0.49, "inconclusive"),
     (0.50, "contradicted"), (-0.50, "contradicted")],
)  # fmt: skip
def test_equivalence_takes_90_percent_inside_and_95_outside(mean, expected):
    """± 0.151 must lie within ± 0.3; ± 0.196 outside. At 0.14 the 95 % interval reaches beyond δ."""
    of = judge("equivalent", 0.3, around(mean))
    assert of.verdict == expected and of.inner == (
        pytest.approx(mean - 0.1507, abs=1e-4),
        pytest.approx(mean + 0.1507, abs=1e-4),
    )


@pytest.mark.parametrize(
    ("delta", "factor", "expected"),
    [
        (0.9, 0.7, "supported"),
        (0.9, 0.9, "inconclusive"),
        (0.9, 1.2, "contradicted"),
        (2.0, 3.0, "supported"),
        (2.0, 2.0, "inconclusive"),
        (2.0, 1.1, "contradicted"),
    ],
)
def test_a_ratio_is_judged_on_logs_in_the_direction_of_its_factor(delta, factor, expected):
    of = judge("ratio", delta, around(math.log(factor)))
    assert of.verdict == expected and of.effect == pytest.approx(factor)
    assert of.low == pytest.approx(factor / math.exp(0.1963), rel=1e-3) and of.low < of.high


def test_a_ratio_on_the_wrong_side_of_1_has_the_wrong_sign():
    assert judge("ratio", 0.9, around(math.log(1.5))).wrong_sign and judge("ratio", 2.0, around(-1.0)).wrong_sign
    assert "above 1" in judge("ratio", 0.9, around(math.log(1.5))).why


@pytest.mark.parametrize(
    ("interaction", "change", "expected"),
    [
        (3.0, 0.0, "supported"),
        (3.0, 0.9, "inconclusive"),
        (2.1, 0.0, "inconclusive"),
        (0.0, 0.0, "contradicted"),
        (3.0, 2.0, "contradicted"),  # the stable arm changes
        (2.1, 2.0, "contradicted"),
    ],
)
def test_a_crossover_needs_both_of_its_parts(interaction, change, expected):
    of = judge("crossover", 2.0, around(interaction), stable=around(change), within=1.0)
    assert of.verdict == expected and of.effect == pytest.approx(interaction)
    assert "interaction" in of.why and "stable arm" in of.why


def test_a_crossover_without_its_stable_arm_is_refused():
    with pytest.raises(ConfigError, match="stable arm"):
        judge("crossover", 2.0, around(3.0))


def test_exact_claims_hold_in_every_run_or_not_at_all():
    assert verdict("exact", 11.35, Paired((9.8, 11.35, 10.1))) == "supported"
    assert judge("exact", 11.35, Paired((9.8, 11.36, 10.1))).why == "above 11.35 in 1 of 3 runs"
    assert verdict("exact", 0.0, Paired((0.0,))) == "supported"
    assert verdict("exact", 1e-8, Paired((0.0, -1e-7))) == "contradicted"
    assert verdict("exact", 11.35, Paired((9.8, 11.35), diverged=1)) == "inconclusive"
    assert verdict("exact", 5.0, Paired((1.0, 4.0), (1.0, 4.0), (1.0, math.inf))) == "inconclusive"
    assert verdict("exact", 5.0, Paired((1.0, 6.0), (1.0, 6.0), (1.0, math.inf))) == "contradicted"


@pytest.mark.parametrize("kind", ["superior", "equivalent", "ratio"])
def test_missing_runs_and_two_seeds_decide_nothing(kind):
    of = judge(kind, 0.3, around(5.0, missing=1))
    assert of.verdict == "inconclusive" and "1 of 6 seeds is missing" in of.why
    assert judge(kind, 0.3, Paired((5.0, 5.0))).verdict == "inconclusive"
    assert judge(kind, 0.3, Paired((), missing=8)).why == "8 of 8 seeds are missing"
    assert judge("exact", 0.3, Paired((0.0,), missing=1)).verdict == "inconclusive"


def test_the_crossed_interval_is_used_when_it_is_there():
    wide = Interval(0.6, 0.2, 40.0)
    assert verdict("superior", 0.3, around(0.6)) == "supported"
    assert verdict("superior", 0.3, around(0.6, interval=wide)) == "inconclusive"
    censored = around(0.6, high=(math.inf,) * 5, interval=Interval(0.9, 0.01, 40.0))
    assert judge("superior", 0.3, censored).effect == pytest.approx(0.6)
    assert Interval.of_difference(Difference(0.6, True, 5, se=0.2, df=40.0)) == wide
    assert Interval.of_difference(Difference(0.6, True, 1)) is None


def test_the_interval_is_never_narrower_than_the_declared_spread():
    """Se 0.0707 was seen. A declared sd of 0.5 gives ± 1.96 · 0.5 / √5 = 0.438 in place of 0.196."""
    of = judge("superior", 0.3, around(0.6, sd=0.5))
    assert (of.low, of.verdict) == (pytest.approx(0.6 - 1.96 * 0.5 / 5**0.5, abs=1e-4), "inconclusive")
    assert judge("superior", 0.3, around(0.6, sd=0.1)).low == judge("superior", 0.3, around(0.6)).low
    assert of.why == "the interval covers 0.3; the declared sd sets its width"
    assert "width" not in judge("superior", 0.3, around(0.6, sd=0.1)).why
    with_images = around(0.6, sd=0.3, sd_images=0.4)
    assert judge("superior", 0.3, with_images).high == pytest.approx(
        0.6 + 1.96 * (0.3**2 / 5 + 0.4**2) ** 0.5, abs=1e-4
    )
    censored = Paired((1.0, 1.1, 1.2), (1.0, 1.1, 1.2), (1.0, 1.1, math.inf), sd=1.0)
    assert judge("superior", 0.3, censored).low == pytest.approx(1.1 - 1.96 / 3**0.5, abs=1e-3)


def test_equal_values_are_known_to_one_step_of_the_grid():
    """The largest usable rate is 30 times as large in all five seeds, on a grid of half decades: 1.5 ± 0.5 decades."""
    same = Paired((1.5,) * 5, step=0.5)
    of = judge("superior", 0.5, same)
    assert (of.low, of.high, of.verdict) == (1.0, 2.0, "supported")
    assert verdict("superior", 1.2, same) == "inconclusive" and verdict("superior", 2.1, same) == "contradicted"
    assert judge("superior", 0.5, Paired((1.5, 1.5, 1.5, 1.5, 1.0), step=0.5)).low == pytest.approx(0.9)
    assert judge("superior", 0.5, Paired((1.5,) * 5)).low == 1.5
    assert of.why.endswith("one step of the grid sets its width")


FASTER = {seed: Value.known(600.0 + seed) for seed in range(5)}
SLOWER = {seed: Value.known(1200.0 + seed) for seed in range(4)} | {4: never(1875)}


def test_a_censored_run_enters_at_its_bound():
    """The slower arm never reached the target in one seed: the ratio is at most 604 / 1875, so the claim is safe."""
    paired = Paired.of(log_ratios(FASTER, SLOWER, range(5)))
    assert paired.low[4] == -math.inf and paired.high[4] == paired.values[4] == pytest.approx(math.log(604 / 1875))
    of = judge("ratio", 0.9, paired)
    assert of.verdict == "supported" and of.low == 0.0 and "1 of 5 seeds are censored" in of.why


def test_a_claim_is_supported_only_if_the_bound_supports_it():
    """The same runs cannot contradict "the second arm is slower by 0.9": its steps may be as many as one likes."""
    turned = Paired.of(log_ratios(SLOWER, FASTER, range(5)))
    assert judge("ratio", 0.9, turned).verdict == "contradicted"  # at the bound already
    assert judge("ratio", 1.1, turned).verdict == "supported"
    assert judge("ratio", 5.0, turned).verdict == "inconclusive" and judge("ratio", 5.0, turned).high == math.inf
    both = {seed: never(1875) for seed in range(5)}
    assert judge("ratio", 0.9, Paired.of(log_ratios(both, both, range(5)))).verdict == "inconclusive"


def test_sameness_of_censored_runs_is_judged_at_the_worse_bound():
    bounded = Paired((0.0,) * 5, tuple(one - 0.1 for one in SPREAD), tuple(one + 0.1 for one in SPREAD))
    assert verdict("equivalent", 0.3, bounded) == "supported"
    assert verdict("equivalent", 0.2, bounded) == "inconclusive"


def test_a_diverged_run_has_its_place():
    """One diverged run makes a claim on the mean undecided; ten of ten decide it."""
    trained = {seed: Value.known(0.97 + seed / 1000) for seed in range(10)}
    one = trained | {3: diverged_accuracy(0.1135)}
    all_of_them = dict.fromkeys(range(10), diverged_accuracy(0.1135))
    paired = Paired.of(differences(trained, one, range(10)), diverged=1)
    assert paired.values[3] == pytest.approx(0.973 - 0.1135)
    assert verdict("superior", 0.003, paired) == "inconclusive"
    assert "1 of 10 have a diverged run" in judge("superior", 0.003, paired).why
    assert verdict("superior", 0.003, Paired.of(differences(trained, all_of_them, range(10)))) == "supported"
    losses = Paired.of(log_ratios({0: diverged_loss()}, {0: Value.known(0.1)}, [0]))
    assert losses.low == (pytest.approx(math.log(10_000)),) and losses.high == (math.inf,)


def test_a_ratio_of_zero_is_refused():
    with pytest.raises(ConfigError, match="above 0, and one is 0"):
        log_ratios({0: Value.known(0.0)}, {0: Value.known(1.0)}, [0])


@pytest.mark.parametrize(
    ("kind", "delta", "message"),
    [("superior", 0.0, "above 0"), ("equivalent", -0.3, "above 0"), ("ratio", 1.0, "smallest factor that matters"),
     ("exact", -1.0, "at least 0"), ("superior", math.nan, "finite")],
)  # fmt: skip
def test_margins_that_no_result_could_contradict_are_refused(kind, delta, message):
    with pytest.raises(ConfigError, match=message):
        judge(kind, delta, around(1.0))


LEVELS = {3: Levels(0.003, 0.011), 5: Levels(0.049, 0.098)}


def test_the_first_look_that_decides_is_final():
    first, later = Paired((1.0, 1.001, 1.002)), around(0.0)
    decided = judge_looks("superior", 0.3, {3: first, 5: later}, LEVELS)
    assert decided.verdict == "supported" and decided.n == 3 and decided.why.startswith("look at 3 seeds")
    undecided = Paired((0.2, 0.9, 1.0))
    assert judge_looks("superior", 0.3, {3: undecided, 5: later}, LEVELS).verdict == "contradicted"


def test_a_look_is_judged_at_its_own_level():
    """At 95 % the three seeds would decide. The first look has 99.7 %."""
    seeds = Paired((0.7, 0.8, 0.9))
    assert verdict("superior", 0.3, seeds) == "supported"
    waiting = judge_looks("superior", 0.3, {3: seeds}, LEVELS)
    assert waiting.verdict == "inconclusive" and "the look at 5 seeds is to come" in waiting.why
    assert judge_looks("superior", 0.3, {}, LEVELS).verdict == "inconclusive"


def test_a_look_with_missing_runs_does_not_lead_to_the_next():
    of = judge_looks("superior", 0.3, {3: Paired((1.0, 1.1), missing=1), 5: around(1.0)}, LEVELS)
    assert of.verdict == "inconclusive" and "1 of 3 seeds is missing" in of.why
