"""Every statistic against scipy.stats or a published example; and chance alone is not called a difference."""

import math
import statistics

import numpy as np
import pytest
from conftest import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bnbench.analysis.statistics import (
    common_seeds,
    difference,
    holm,
    mean_interval,
    sampling_error,
    sign_flip_p,
    smallest_p,
    welch,
)
from bnbench.runs.format import read_run

values = st.lists(st.integers(0, 10_000).map(lambda k: k / 10_000), min_size=2, max_size=9)

# Student 1908: hours of sleep gained by ten patients with each of two drugs.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
# Darwin's fifteen pairs of maize plants, crossed minus self-fertilised, in eighths of an inch (Fisher 1935, III).
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def by_seed(numbers, first=0):
    return dict(enumerate(numbers, start=first))


def test_students_sleep_data():
    """The paired and the Welch interval, and p, that R's documentation of t.test gives."""
    paired = difference(by_seed(SLEEP_1), by_seed(SLEEP_2))
    assert (paired.mean, paired.low, paired.high) == pytest.approx((-1.58, -2.4598858, -0.7001142), abs=1e-7)
    assert paired.paired and paired.n == 10
    assert paired.p == 4 / 1024  # no gap has the other sign, and one is 0: four of 2¹⁰ sums are as far out
    unpaired = difference(by_seed(SLEEP_1), by_seed(SLEEP_2, first=10))
    assert (unpaired.low, unpaired.high) == pytest.approx((-3.3654832, 0.2054832), abs=1e-7)
    assert unpaired.p == pytest.approx(0.07939, abs=1e-5) and not unpaired.paired


def test_fishers_permutation_of_darwins_maize():
    """863 of the 32,768 ways give a sum of 314 or more, as Fisher counted."""
    assert sum(DARWIN) == 314
    assert sign_flip_p(DARWIN) == 2 * 863 / 2**15


def test_holms_correction():
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.04, None, 0.01, 0.6]) == pytest.approx([0.08, None, 0.03, 0.6])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


@given(values)
def test_a_mean_and_its_interval(numbers):
    got = mean_interval(numbers)
    assert got.mean == pytest.approx(np.mean(numbers)) and got.sd == pytest.approx(np.std(numbers, ddof=1), abs=1e-15)
    if got.sd:
        low, high = stats.t.interval(0.95, len(numbers) - 1, loc=np.mean(numbers), scale=stats.sem(numbers))
        assert (got.low, got.high) == pytest.approx((low, high), rel=1e-9)
    else:
        assert got.low == got.high == got.mean


@given(st.integers(1, 10_000), st.integers(2, 40))
def test_equal_values_have_their_mean_and_no_spread(k, n):
    got = mean_interval([k / 10_000] * n)
    assert got.mean == got.low == got.high == k / 10_000 and got.sd == 0


def test_one_value_has_no_spread():
    got = mean_interval([0.9])
    assert (got.n, got.mean) == (1, 0.9) and got.sd is got.half is got.low is got.high is None
    one = difference({0: 0.9}, {0: 0.8})
    assert one.paired and one.mean == pytest.approx(0.1) and one.low is one.high is one.p is None
    assert not one.covers_zero
    assert difference({0: 0.9}, {1: 0.8}).low is None
    assert difference({}, {0: 0.9}) is None


@given(values, st.data())
def test_a_paired_difference(numbers, data):
    others = data.draw(st.lists(st.sampled_from(numbers), min_size=len(numbers), max_size=len(numbers)))
    got = difference(by_seed(numbers), by_seed(others))
    gaps = np.array(numbers) - np.array(others)
    assert got.mean == pytest.approx(gaps.mean(), abs=1e-12) and got.n == len(numbers)
    if np.ptp(gaps) > 1e-9:
        expected = stats.ttest_rel(numbers, others).confidence_interval(0.95)
        assert (got.low, got.high) == pytest.approx((expected.low, expected.high), rel=1e-7, abs=1e-12)
    whole = np.round(gaps * 10_000)  # scipy sees no ties in sums that differ by rounding
    test = stats.permutation_test((whole,), np.mean, permutation_type="samples", n_resamples=2**9)
    assert got.p == pytest.approx(test.pvalue)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, of a sample that is one value
@given(values, values)
def test_an_unpaired_difference(a, b):
    got = welch(a, b)
    if np.ptp(a) + np.ptp(b) > 1e-9:
        test = stats.ttest_ind(a, b, equal_var=False)
        expected = test.confidence_interval(0.95)
        assert (got.low, got.high) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)
        assert got.p == pytest.approx(test.pvalue)
    else:
        assert got.p is None and got.low == got.high == pytest.approx(a[0] - b[0])


def test_of_more_than_thirty_pairs_signs_are_drawn():
    rng = np.random.default_rng(3)
    gaps = rng.normal(0.2, 1, 35)
    test = stats.permutation_test((gaps,), np.mean, permutation_type="samples", n_resamples=100_000, rng=rng)
    assert sign_flip_p(gaps) == pytest.approx(test.pvalue, abs=0.006)  # both are of 10⁵ draws
    assert sign_flip_p(gaps) == sign_flip_p(gaps)
    assert sign_flip_p([1.0] * 35) == smallest_p(35) == 1 / 100_001


def test_the_smallest_p_is_reached():
    for n in (1, 2, 5, 10, 20, 30):
        assert sign_flip_p([0.1] * n) == smallest_p(n)


def test_pairs_are_the_common_seeds_where_they_are_half_of_the_smaller_arms():
    ten = by_seed([0.0] * 10)
    assert common_seeds(ten, by_seed([0.0] * 5)) == [0, 1, 2, 3, 4]
    assert common_seeds(ten, by_seed([0.0] * 10, first=5)) == [5, 6, 7, 8, 9]
    assert common_seeds(ten, by_seed([0.0] * 10, first=6)) == []
    assert common_seeds(ten, by_seed([0.0] * 4, first=8)) == [8, 9]  # half of the smaller arm's
    assert common_seeds(by_seed([0.0] * 2), by_seed([0.0] * 2, first=1)) == []  # one pair would have no interval
    assert common_seeds(ten, {3: 0.0}) == [3]  # nor would one seed
    without = {seed: 0.0 for seed in ten if seed != 3}  # as after a divergence
    assert common_seeds(ten, without) == sorted(without)


@pytest.mark.parametrize(("accuracy", "images"), [(0.97, 10_000), (0.5, 100), (1.0, 256), (0.0, 10)])
def test_the_sampling_error_of_a_test_set(accuracy, images):
    expected = stats.binomtest(round(accuracy * images), images).proportion_ci(method="wilson")
    assert sampling_error(accuracy, images) == pytest.approx((expected.high - expected.low) / 2)


ARMS = ("mlp_bn", "mlp_no_bn", "mlp_bn_batch_stats", "cnn_bn", "cnn_no_bn")


def finals(arm):
    runs = sorted(map(read_run, (REPOSITORY / "results/reference" / arm).iterdir()), key=lambda run: run.seed)
    return [run.rows[-1].valid_accuracy for run in runs]


def called_different(pool, gap, rng, *, first=0, draws=2_000):
    """In which share of draws two groups of ten runs, drawn from one arm's, are told apart once `gap` is added."""
    hits = 0
    for _ in range(draws):
        a, b = rng.choice(pool, 10), rng.choice(pool, 10)
        hits += not difference(by_seed(a + gap), by_seed(b, first)).covers_zero
    return hits / draws


@pytest.mark.parametrize("first", [0, 10], ids=["paired", "unpaired"])
@pytest.mark.parametrize("arm", ARMS)
def test_runs_of_the_same_arm_are_seldom_called_different(arm, first):
    """At most 5 %, and the sampling error of 2,000 draws (1.96 standard errors of a share of 5 % are 0.96 %)."""
    share = called_different(finals(arm), 0.0, np.random.default_rng(1), first=first)
    print(
        f"\n{arm} against itself, {'un' if first else ''}paired: called different in {100 * share:.1f} % of 2,000 draws"
    )
    assert share <= 0.05 + 1.96 * math.sqrt(0.05 * 0.95 / 2_000)


@pytest.mark.parametrize("arm", ARMS)
def test_half_a_point_is_found_with_ten_seeds(arm):
    """As often as the noncentral t says for the arm's own spread: nearly always, but for mlp_bn's wide one."""
    pool = finals(arm)
    shift = 0.005 / (math.sqrt(2) * np.std(pool) / math.sqrt(10))
    power = 1 - stats.nct.cdf(stats.t.ppf(0.975, 9), 9, shift)
    share = called_different(pool, 0.005, np.random.default_rng(2))
    print(f"\n{arm}: half a point found in {100 * share:.1f} % of 2,000 draws, {100 * power:.1f} % expected")
    assert share == pytest.approx(power, abs=0.03)
    assert share > (0.7 if arm == "mlp_bn" else 0.95)
    assert statistics.stdev(pool) < (0.004 if arm == "mlp_bn" else 0.0027)


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_never_makes_a_p_smaller(ps):
    assert all(corrected >= p for corrected, p in zip(holm(ps), ps, strict=True))
