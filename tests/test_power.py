"""Power and numbers of seeds: against scipy's noncentral t, simulated studies, and an example by hand."""

import doctest
import math

import numpy as np
import pytest
from scipy import integrate, stats

from bnbench.analysis import power
from bnbench.analysis.crossed import Crossed
from bnbench.analysis.power import (
    Spread,
    power_of_same,
    power_to_detect,
    seeds_for_same,
    seeds_to_detect,
    smallest_difference,
)


def test_the_examples_of_the_docstrings():
    failed, tried = doctest.testmod(power)
    assert failed == 0 and tried >= 6


@pytest.mark.parametrize(("n", "shift"), [(2, 0.0), (2, 5.0), (5, 2.0), (10, 3.3), (40, 2.8), (500, 2.8), (10, 60.0)])
def test_the_power_of_the_t_test_is_scipys_noncentral_t(n, shift):
    t = stats.t.ppf(0.975, n - 1)
    expected = 1.0 if shift > 50 else stats.nct.sf(t, n - 1, shift) + stats.nct.cdf(-t, n - 1, shift)
    d = shift * 0.25 / math.sqrt(n)
    assert power_to_detect(d, Spread.of(0.25), n) == pytest.approx(expected, abs=2e-5)
    assert power_to_detect(-d, Spread.of(0.25), n) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("n", "d"), [(3, 0.0), (8, 0.0), (8, 0.2), (100, 0.1)])
def test_the_power_of_sameness_is_its_integral(n, d):
    """Phillips 1990, by adaptive integration over the density of the estimated standard deviation."""
    se, t = 0.25 / math.sqrt(n), stats.t.ppf(0.95, n - 1)
    density = stats.chi(n - 1, scale=1 / math.sqrt(n - 1)).pdf

    def at(u):
        room = 0.3 - t * se * u
        return density(u) * (stats.norm.cdf((room - d) / se) - stats.norm.cdf((-room - d) / se))

    expected, _ = integrate.quad(at, 0, 0.3 / (t * se), points=[min(1.0, 0.15 / (t * se))])
    assert power_of_same(0.3, Spread.of(0.25), n, d=d) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("d", [0.0, 0.3])
def test_simulated_studies_come_out_as_often(d):
    """3,000 studies of eight pairs: how often scipy's interval leaves out 0, and lies inside ± 0.3."""
    gaps = np.random.default_rng(0).normal(d, 0.25, (3_000, 8))
    test = stats.ttest_1samp(gaps, 0, axis=1)
    low, high = test.confidence_interval(0.90)
    assert np.mean(test.pvalue <= 0.05) == pytest.approx(power_to_detect(d, Spread.of(0.25), 8), abs=0.02)
    inside = np.mean((low > -0.3) & (high < 0.3))
    assert inside == pytest.approx(power_of_same(0.3, Spread.of(0.25), 8, d=d), abs=0.02)


@pytest.mark.parametrize(
    ("sd", "different", "same"),
    [(0.18, 6, 5), (0.25, 8, 8), (0.39, 16, 16), (0.37, 14, 15), (1.05, 99, 107), (1.0, 90, 97), (0.15, 5, 4)],
)
def test_seeds_for_80_percent_are_the_fewest(sd, different, same):
    assert seeds_to_detect(0.3, Spread.of(sd)) == different and seeds_for_same(0.3, Spread.of(sd)) == same
    assert power_to_detect(0.3, Spread.of(sd), different) >= 0.8 > power_to_detect(0.3, Spread.of(sd), different - 1)
    assert power_of_same(0.3, Spread.of(sd), same) >= 0.8 > power_of_same(0.3, Spread.of(sd), same - 1)


def test_the_example_of_the_documentation():
    """docs/planning.md: a 0.06, b 0.01 and four seeds give se² 0.025 and 3 · (0.025/0.015)² = 8.33 degrees."""
    spread = Spread(0.06, of_images=0.01)
    assert spread.se(4) ** 2 == pytest.approx(0.025) and spread.df(4) == pytest.approx(25 / 3)
    assert Spread.of(0.25).se(10) == pytest.approx(0.0790569) and Spread.of(0.25).df(10) == 9


def test_what_images_add_no_number_of_seeds_removes():
    b = 0.15**2  # 0.3 is two standard errors: found half of the time at best
    spread = Spread(0.25**2, of_images=b, images_df=999)
    limit = stats.norm.sf(1.96 - 2) + stats.norm.cdf(-1.96 - 2)
    assert power_to_detect(0.3, spread, math.inf) == pytest.approx(limit, abs=2e-3)
    assert power_to_detect(0.3, spread, 10**6) == pytest.approx(power_to_detect(0.3, spread, math.inf), abs=1e-4)
    assert seeds_to_detect(0.3, spread) is None and seeds_for_same(0.3, spread) is None
    few = Spread(0.25**2, of_images=0.05**2, images_df=999)
    assert seeds_to_detect(0.3, few) > seeds_to_detect(0.3, Spread.of(0.25))
    assert seeds_for_same(0.3, few) > seeds_for_same(0.3, Spread.of(0.25))


def test_what_cannot_be_decided_has_no_number_of_seeds():
    assert seeds_to_detect(0.0, Spread.of(0.25)) is None
    assert seeds_for_same(0.3, Spread.of(0.25), d=0.3) is None
    assert seeds_for_same(0.3, Spread.of(0.25), d=0.2) > seeds_for_same(0.3, Spread.of(0.25), d=0.1) > 8


def test_arms_without_spread_need_two_seeds():
    assert seeds_to_detect(0.3, Spread.of(0.0)) == 2 and seeds_for_same(0.3, Spread.of(0.0)) == 2
    assert power_to_detect(0.0, Spread.of(0.0), 2) == 0.0 and power_of_same(0.3, Spread.of(0.0), 2, d=0.3) == 0.0


def test_the_smallest_difference_has_that_power():
    for n in (2, 8, 50):
        d = smallest_difference(Spread.of(0.25), n)
        assert power_to_detect(d, Spread.of(0.25), n) == pytest.approx(0.8, abs=1e-6)
    assert smallest_difference(Spread.of(0.0), 8) == 0.0


def test_the_spread_of_crossed_effects_gives_their_variance_back():
    found = Crossed(n=5, images=1_000, mean=0.0, of_seeds=0.4, of_images=0.2, of_both=0.3, df=6.0)
    spread = Spread.of_crossed(found)
    assert spread.se(5) ** 2 == pytest.approx(found.variance) and spread.of_images == 0.2
    assert spread.se(10) ** 2 == pytest.approx(0.2 + 0.7 / 2)
