"""The power of claims: against the tables of the plan, scipy's noncentral t, simulation, and published boundaries."""

import doctest
import math

import numpy as np
import pytest
from scipy import integrate, stats

from bnbench.analysis.power import Spread, seeds_for_same, seeds_to_detect
from bnbench.errors import ConfigError
from bnbench.studies import power as module
from bnbench.studies.effects import Paired
from bnbench.studies.power import look_levels, power, refusal, seeds_needed
from bnbench.studies.rules import judge


def test_the_examples_of_the_docstrings():
    failed, tried = doctest.testmod(module)
    assert failed == 0 and tried >= 5


@pytest.mark.parametrize(
    ("sd", "superior", "equivalent"),
    [(0.18, 6, 6), (0.25, 8, 8), (0.39, 16, 17), (0.37, 15, 15), (1.05, 101, 109), (1.0, 92, 99), (0.15, 5, 5)],
)
def test_the_seeds_for_a_delta_of_0_3_are_the_fewest(sd, superior, equivalent):
    """The spreads of the tracked runs. Sameness must also be contradicted at 2δ, which needs as many as superior."""
    for kind, seeds in (("superior", superior), ("equivalent", equivalent)):
        assert seeds_needed(kind, 0.3, sd) == seeds
        assert min(power(kind, 0.3, sd, seeds)) >= 0.8 > min(power(kind, 0.3, sd, seeds - 1))


@pytest.mark.parametrize("sd", [0.15, 0.18, 0.25, 0.39, 1.0])
def test_the_declared_spread_costs_no_more_than_two_percent_more_seeds(sd):
    """Against the t-test alone, which has no floor under its interval."""
    assert 0 <= seeds_needed("superior", 0.3, sd) - seeds_to_detect(0.3, Spread.of(sd)) <= max(1, 0.03 * 90)
    assert 0 <= seeds_needed("equivalent", 0.3, sd) - seeds_for_same(0.3, Spread.of(sd)) <= max(1, 0.03 * 90)


def test_nineteen_seeds_of_the_tutorials_mlp_are_enough_and_one_point_of_spread_is_hopeless():
    """With the part of the 10,000 test images, as the crossed interval of the tracked runs shows it."""
    assert seeds_needed("equivalent", 0.3, 0.39, sd_images=0.04) == 19
    assert power("equivalent", 0.3, 1.0, 20).supported < 0.01


def test_power_at_delta_itself_is_two_and_a_half_percent():
    assert module._beyond(0.0, module.Spread.of(0.39), 20, 0.0, module.ONE_LOOK) <= 0.025
    with pytest.raises(ConfigError, match="at delta itself the power is"):
        power("superior", 0.3, 0.39, 20, 0.3)


@pytest.mark.parametrize(("n", "expect"), [(3, 0.6), (8, 0.6), (20, 0.5)])
def test_superior_has_the_power_of_a_one_sided_t_test_with_a_floor(n, expect):
    """Scipy's noncentral t, less the studies whose own spread is too small, by integration over that spread."""
    shift = math.sqrt(n) / 0.25
    t, z = stats.t.ppf(0.975, n - 1), stats.norm.ppf(0.975)
    density = stats.chi(n - 1, scale=1 / math.sqrt(n - 1)).pdf

    def lost(d):
        return integrate.quad(lambda u: density(u) * (stats.norm.cdf(d - t * u) - stats.norm.cdf(d - z)), 0, z / t)[0]

    found = power("superior", 0.3, 0.25, n, expect)
    for share, d in ((found.supported, (expect - 0.3) * shift), (found.contradicted, 0.3 * shift)):
        assert share == pytest.approx(stats.nct.sf(t, n - 1, d) - lost(d), abs=2e-4)


def test_ratios_are_measured_on_logs():
    assert power("ratio", 0.9, 0.1, 8) == pytest.approx(power("superior", -math.log(0.9), 0.1, 8))
    assert power("ratio", 2.0, 0.5, 8, 3.0) == power("superior", math.log(2), 0.5, 8, math.log(3))


@pytest.mark.parametrize("kind", ["superior", "equivalent"])
def test_the_rules_come_out_as_often(kind):
    """1,000 studies of eight seeds."""
    rng = np.random.default_rng(0)
    promised = power(kind, 0.3, 0.25, 8)
    for truth, wanted in zip(
        (0.6, 0.0) if kind == "superior" else (0.0, 0.6), ("supported", "contradicted"), strict=True
    ):
        drawn = rng.normal(truth, 0.25, (1_000, 8)).tolist()
        share = np.mean([judge(kind, 0.3, Paired(tuple(values), sd=0.25)).verdict == wanted for values in drawn])
        assert share == pytest.approx(getattr(promised, wanted), abs=0.04)


def test_the_images_and_the_grid_cost_power_that_seeds_cannot_buy():
    assert seeds_needed("superior", 0.3, 0.39, sd_images=0.05) > 16
    assert seeds_needed("superior", 0.3, 0.39, sd_images=0.15) is None
    assert seeds_needed("superior", 0.5, 0.0, step=0.4) == 3 and seeds_needed("superior", 0.5, 0.0, step=0.5) is None
    assert seeds_needed("equivalent", 0.5, 0.1, step=0.6) is None


def test_a_crossover_needs_power_in_both_parts():
    parts = power("superior", 2.0, 2.0, 8), power("equivalent", 1.0, 1.0, 8)
    both = power("crossover", 2.0, 2.0, 8, within=1.0, sd_stable=1.0)
    assert both.supported == pytest.approx(parts[0].supported + parts[1].supported - 1)
    assert both.contradicted == min(parts[0].contradicted, parts[1].contradicted)
    wide = power("crossover", 2.0, 2.0, 8, within=1.0, sd_stable=2.0)
    assert wide.contradicted == power("equivalent", 1.0, 2.0, 8).contradicted < parts[0].contradicted
    with pytest.raises(ConfigError, match="stable arm"):
        power("crossover", 2.0, 2.0, 8)


def test_too_few_seeds_are_refused_with_the_number_that_would_do():
    message = refusal("after_10", "equivalent", 0.3, 0.39, 10)
    assert message.startswith("claim after_10: 10 seeds are too few: if the true effect is 0, only ")
    assert "and if it is 0.6, only 55 % would contradict it; both need 80 %. Use 17 seeds, a larger delta" in message
    assert refusal("after_10", "equivalent", 0.3, 0.39, 17) is None
    assert "the true ratio is 0.81" in refusal("faster", "ratio", 0.9, 0.5, 5)
    assert "choose a larger delta, or exploratory: true" in refusal("a", "superior", 0.3, 0.1, 20, sd_images=0.2)
    assert refusal("few", "superior", 0.3, 0.0, 2).endswith("Use 3 seeds, a larger delta, or exploratory: true")
    assert refusal("any", "exact", 0.0, 0.0, 1) is None


@pytest.mark.parametrize(
    ("kind", "delta", "expect"),
    [("superior", 0.3, 0.2), ("ratio", 0.9, 0.95), ("ratio", 2.0, 1.5), ("ratio", 0.9, -1.0), ("equivalent", 0.3, 0.3)],
)
def test_an_expectation_at_which_the_claim_is_wrong_is_refused(kind, delta, expect):
    with pytest.raises(ConfigError, match=f"expect {expect:g}"):
        power(kind, delta, 0.1, 8, expect)


def test_looks_have_the_published_boundaries():
    """One side of 5 % in four parts, as in the README of SeqBounds.jl; one side of 2.5 % in two, as in many tables."""
    four = [levels.same / 2 for levels in look_levels([5, 10, 15, 20]).values()]
    assert four == pytest.approx([8.85754e-5, 0.00554366, 0.0218979, 0.0427037], rel=2e-4)
    for spending, expected in (("obrien_fleming", [2.963, 1.969]), ("pocock", [2.157, 2.201])):
        two = [stats.norm.isf(levels.different / 2) for levels in look_levels([8, 16], spending).values()]
        assert two == pytest.approx(expected, abs=6e-4)


def test_one_look_is_the_plain_rule():
    (levels,) = look_levels([12]).values()
    assert levels == (pytest.approx(0.05, abs=1e-9), pytest.approx(0.1, abs=1e-9))


@pytest.mark.parametrize("looks", [[], [16, 8], [8, 8], [2, 8], list(range(3, 20))])
def test_looks_that_are_no_plan_are_refused(looks):
    with pytest.raises(ConfigError, match="looks"):
        look_levels(looks)
