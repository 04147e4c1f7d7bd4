"""The joint sign-flip test: against a hand-worked example, an enumeration in loops, scipy, and its own promise."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bnbench.analysis.maxt import DRAWS, max_t
from bnbench.analysis.statistics import sign_flip_p


def by_seed(numbers):
    return dict(enumerate(numbers))


def t_of(values):
    """|t| of scipy; infinite where all values are the same."""
    if len(set(values)) == 1:
        return 0.0 if values[0] == 0 else math.inf
    return abs(stats.ttest_1samp(values, 0).statistic)


def enumerated(arms):
    """The adjusted p's, flip by flip, as Westfall and Young's algorithm says."""
    seeds = sorted(set().union(*arms))
    observed = [t_of(list(arm.values())) for arm in arms]
    order = sorted(range(len(arms)), key=lambda place: -observed[place])
    hits = np.zeros(len(arms))
    for signs in itertools.product([1, -1], repeat=len(seeds)):
        flip = dict(zip(seeds, signs, strict=True))
        reached = [t_of([flip[seed] * gap for seed, gap in arm.items()]) for arm in arms]
        for rank, place in enumerate(order):
            hits[place] += max(reached[other] for other in order[rank:]) >= observed[place] * (1 - 1e-9)
    adjusted, largest = [0.0] * len(arms), 0.0
    for place in order:
        adjusted[place] = largest = max(largest, hits[place] / 2 ** len(seeds))
    return adjusted


def test_the_example_of_the_documentation():
    assert max_t([by_seed([3, 1, 2]), by_seed([1, -1, 2])]) == [0.5, 0.75]
    assert (sign_flip_p([3, 1, 2]), sign_flip_p([1, -1, 2])) == (0.25, 0.75)


gaps = st.integers(-3, 3).filter(bool)  # small whole numbers tie often
arms = st.lists(st.dictionaries(st.integers(0, 5), gaps, min_size=2), min_size=1, max_size=3)


@settings(max_examples=15, deadline=None)
@given(arms)
def test_every_flip_counted_in_a_loop(arms):
    assert max_t(arms) == pytest.approx(enumerated(arms))


@settings(max_examples=30)
@given(st.lists(st.integers(-50, 50).map(lambda k: k / 10_000), min_size=2, max_size=9))
def test_one_arm_has_the_p_of_the_exact_test(values):
    assert max_t([by_seed(values)]) == pytest.approx([sign_flip_p(values)])
    whole = np.round(np.array(values) * 10_000)
    test = stats.permutation_test((whole,), np.mean, permutation_type="samples", n_resamples=2**9)
    assert max_t([by_seed(values)]) == pytest.approx([test.pvalue])


def test_a_copy_of_an_arm_changes_no_p():
    rng = np.random.default_rng(1)
    first, second = by_seed(rng.normal(1, 1, 8)), by_seed(rng.normal(0, 1, 8))
    p, q = max_t([first, second])
    assert max_t([first, second, first, by_seed([-gap for gap in second.values()])]) == [p, q, p, q]


def test_the_floor_does_not_depend_on_the_number_of_arms():
    """Holm's method with ten seeds can show nothing beyond 25 comparisons."""
    assert max_t([by_seed([0.1 + place / 100] * 10) for place in range(40)]) == [2 / 2**10] * 40


def test_an_arm_without_differences_counts_as_no_arm():
    first = by_seed([1.0, 2.0, -0.5, 3.0, 1.0, 1.5])
    assert max_t([first, by_seed([0.0] * 6)]) == [*max_t([first]), 1.0]
    assert max_t([]) == []


def test_of_more_than_sixteen_seeds_flips_are_drawn_the_same_each_time():
    rng = np.random.default_rng(3)
    strong, weak = by_seed(rng.normal(2, 1, 17)), by_seed(rng.normal(0.3, 1, 17))
    ps = max_t([strong, weak])
    assert ps == max_t([strong, weak])
    exact = sign_flip_p(list(weak.values()))  # the last of the order is corrected for itself alone
    assert ps[1] == pytest.approx(exact, abs=0.004)  # 0.004 is more than twice the error of 100,000 draws
    assert max_t([by_seed([1.0] * 40)]) == [1 / (1 + DRAWS)]  # the observed signs count, so p is never 0


def test_chance_alone_is_seldom_called_different():
    """14 arms that share a baseline, 8 seeds, 300 studies: one p of 0.05 or less in at most 5 % + sampling error."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(300):
        baseline = rng.normal(size=8)
        wrong += min(max_t([by_seed(rng.normal(size=8) - baseline) for _ in range(14)])) <= 0.05
    assert wrong / 300 <= 0.05 + 1.96 * math.sqrt(0.05 * 0.95 / 300)
