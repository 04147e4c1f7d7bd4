"""Crossed random effects: against a hand-worked example, statsmodels' and scipy's numbers, and their own promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bnbench.analysis.crossed import crossed, crossed_accuracy, crossed_difference


def interval(of):
    half = stats.t.ppf(0.975, of.df) * np.sqrt(of.variance)
    return of.mean - half, of.mean + half


def test_the_example_of_the_documentation():
    """docs/statistics.md: MS_seed 1/6, MS_image 1/2, MS_resid 1/6, so the variance is 1/12, with 1.5 degrees."""
    got = crossed(np.array([[1, 0, 1], [0, 0, 1]]))
    assert (got.mean, got.variance, got.df) == pytest.approx((1 / 2, 1 / 12, 1.5))
    assert (got.of_seeds, got.of_images, got.of_both) == pytest.approx((0, 1 / 18, 1 / 36), abs=1e-12)


def test_the_mean_squares_of_statsmodels():
    """anova_lm(ols("y ~ C(seed) + C(image)")) of statsmodels 0.15 gives these three mean squares."""
    values = np.array([[1, 0, 1, 0, -1, 1], [0, 0, 1, 1, 0, 1], [1, -1, 1, 0, 0, 1], [0, 0, 0, 0, -1, 1]])
    seed, image, resid = 0.2638888889, 1.3416666667, 0.2305555556
    got = crossed(values)
    assert got.mean == pytest.approx(values.mean())
    assert got.variance == pytest.approx((seed + image - resid) / 24)
    assert got.of_images == pytest.approx((image - resid) / 24)
    assert (got.of_seeds, got.of_both) == pytest.approx(((seed - resid) / 24, resid / 24))
    df = (seed + image - resid) ** 2 / (seed**2 / 3 + image**2 / 5 + resid**2 / 15)
    assert got.df == pytest.approx(df)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 40))
def test_lists_of_mistakes_give_what_the_whole_table_gives(start, n, images):
    rng = np.random.default_rng(start)
    wrong = rng.random((2, n, images)) < rng.random(images)
    arm, other = ({seed: np.flatnonzero(row) for seed, row in enumerate(of)} for of in wrong)
    lists = (crossed_accuracy(list(arm.values()), images), crossed_difference(arm, other, range(n), images))
    whole = (crossed(1.0 - wrong[0]), crossed(wrong[1].astype(float) - wrong[0]))
    for got, expected in zip(lists, whole, strict=True):
        for field in ("mean", "of_seeds", "of_images", "of_both", "df"):
            assert getattr(got, field) == pytest.approx(getattr(expected, field), rel=1e-6, abs=1e-12)


def test_one_seed_has_the_t_interval_over_images():
    values = np.random.default_rng(0).integers(-1, 2, (1, 200)).astype(float)
    expected = stats.ttest_1samp(values[0], 0).confidence_interval()
    assert interval(crossed(values)) == pytest.approx(tuple(expected))


def test_images_that_add_nothing_leave_the_t_interval_over_seeds():
    """Each seed errs on images of its own: the images vary less than the noise does."""
    values = np.ones((5, 100))
    for seed, mistakes in enumerate((9, 14, 11, 10, 16)):
        values[seed, 20 * seed : 20 * seed + mistakes] = 0
    expected = stats.ttest_1samp(values.mean(axis=1), 0).confidence_interval()
    got = crossed(values)
    assert got.of_images == 0 and got.df == 4 and interval(got) == pytest.approx(tuple(expected))


def test_values_that_never_vary_have_no_interval():
    got = crossed(np.ones((3, 10)))
    assert (got.mean, got.variance, got.df) == (1.0, 0.0, 2.0)


@pytest.mark.parametrize("dominates", ["seeds", "images", "both"])
def test_ten_seeds_cover_the_truth_in_95_of_100_studies(dominates):
    """A small form of benchmarks/statistics_simulation.py: values that are 0 or 1, from a threshold."""
    rng = np.random.default_rng(5)
    a, b, c = {"seeds": (0.3, 0.3, 1), "images": (0.02, 1, 1), "both": (0, 0, 1)}[dominates]
    truth = stats.norm.cdf(1 / np.sqrt(a**2 + b**2 + c**2))
    covered = 0
    for _ in range(400):
        latent = 1 + a * rng.normal(size=(10, 1)) + b * rng.normal(size=(1, 400)) + c * rng.normal(size=(10, 400))
        low, high = interval(crossed((latent > 0).astype(float)))
        covered += low <= truth <= high
    assert 0.92 <= covered / 400 <= 0.98
