"""Sameness within a margin: two one-sided tests against statsmodels' numbers, and the seeds that would decide."""

import numpy as np
import pytest
from scipy import stats

from bnbench.analysis.sameness import sameness, two_one_sided
from bnbench.analysis.statistics import Difference, difference

A = [0.9010, 0.9020, 0.9007, 0.9031, 0.9015, 0.9003]
B = [0.9000, 0.9015, 0.9010, 0.9020, 0.9012, 0.9001]


def by_seed(numbers):
    return dict(enumerate(numbers))


def gap(mean, se, df, n, parts=None):
    return Difference(mean, True, n, None, None, None, se, df, parts=parts)


@pytest.mark.parametrize(("margin", "p"), [(0.003, 3.782841457e-05), (0.0008, 0.0899915413)])
def test_the_two_tests_of_statsmodels(margin, p):
    """ttost_paired(A, B, -margin, margin) of statsmodels 0.15 gives these p."""
    of = difference(by_seed(A), by_seed(B))
    assert two_one_sided(of.mean, of.se, of.df, margin) == pytest.approx(p, rel=1e-6)
    assert sameness(of, margin).same is (p <= 0.05)


def test_same_is_a_90_percent_interval_within_the_margin():
    of = difference(by_seed(A), by_seed(B))
    half = stats.t.ppf(0.95, 5) * of.se
    assert sameness(of, of.mean + half + 1e-9).same and not sameness(of, of.mean + half - 1e-9).same


def test_the_example_of_the_documentation():
    """docs/statistics.md: 0.1 with a standard error of 0.08 and 9 degrees of freedom, within 0.3 and within 0.2."""
    assert two_one_sided(0.1, 0.08, 9, 0.3) == pytest.approx(stats.t.cdf(-2.5, 9)) == pytest.approx(0.0169, abs=1e-4)
    assert two_one_sided(-0.1, 0.08, 9, 0.2) == pytest.approx(stats.t.cdf(-1.25, 9)) == pytest.approx(0.121, abs=1e-3)


def test_how_many_seeds_would_decide():
    few = sameness(gap(0.0, 0.39 / np.sqrt(4), 3, 4), 0.3)
    assert not few.same and few.seeds == 16  # as statsmodels' power of the paired test, sd 0.39
    near = sameness(gap(0.2, 0.25 / np.sqrt(10), 9, 10), 0.3)
    assert near.seeds == 8 and near.seeds_if_seen > 30  # ten seeds are enough for equal arms, and did not do
    far = sameness(gap(0.4, 0.1 / np.sqrt(3), 2, 3), 0.3)
    assert far.seeds_if_seen == 6  # a difference is not tested with fewer


def test_where_images_vary_more_than_the_margin_no_number_of_seeds_decides():
    of = sameness(gap(0.0, 0.4, 9, 10, parts=(0.01, 0.14, 0.01)), 0.3)
    assert of.seeds is None and of.seeds_if_seen is None


def test_two_seeds_show_no_sameness():
    assert sameness(gap(0.0, 0.001, 1, 2), 0.3) is None and sameness(gap(0.0, 0.001, 2, 3), 0.3).same
    assert sameness(Difference(0.0, True, 1, -0.1, 0.1, None, 0.05, 9_999, "images"), 0.3) is None
    assert sameness(Difference(0.0, True, 1), 0.3) is None


def test_differences_without_any_spread():
    assert sameness(gap(0.0, 0.0, 5, 6), 0.3).same and not sameness(gap(0.3, 0.0, 5, 6), 0.3).same


def test_a_difference_of_the_margin_is_seldom_called_the_same():
    rng = np.random.default_rng(4)
    wrong = sum(
        sameness(difference(by_seed(rng.normal(0.3, 0.25, 10)), by_seed([0.0] * 10)), 0.3).same for _ in range(400)
    )
    assert wrong / 400 <= 0.05 + 1.96 * np.sqrt(0.05 * 0.95 / 400)
