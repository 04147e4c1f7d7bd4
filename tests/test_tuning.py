"""The tuning rule: the best mean wins, ties go to the smaller value, a diverged run is the worst, edges are named."""

import doctest
import math

import pytest

from bnbench.analysis import tuning
from bnbench.analysis.statistics import difference
from bnbench.analysis.tuning import Edge, beyond, choose


def grid(**by_value):
    """lr_0_1=[0.9, 0.8] → {(0.1,): {0: 0.9, 1: 0.8}}."""
    return {(float(name[3:].replace("_", ".")),): dict(enumerate(of)) for name, of in by_value.items()}


def test_the_best_mean_over_the_seeds_wins_not_the_best_run():
    choice = choose(grid(lr_0_1=[0.99, 0.80], lr_1=[0.91, 0.90], lr_10=[0.50, 0.60]))
    assert choice.value == (1,) and choice.mean == pytest.approx(0.905) and choice.edges == ()
    assert choose(grid(lr_0_1=[2.0, 2.1], lr_1=[1.0, 0.5]), lower_is_better=True).value == (1,)


def test_equal_means_go_to_the_smaller_value_whatever_the_order_and_the_rounding():
    first, second = [0.137, 0.582, 0.867], [0.088, 0.582, 0.916]
    assert math.fsum(first) < math.fsum(second)  # by rounding alone
    for results in (grid(lr_1=first, lr_2=second, lr_3=second), grid(lr_3=second, lr_2=first, lr_1=second)):
        assert choose(results).value == (1,)


def test_of_two_keys_ties_go_to_the_smaller_value_of_the_first():
    results = {(2.0, 1.0): {0: 0.9}, (1.0, 3.0): {0: 0.9}, (1.0, 2.0): {0: 0.9}, (2.0, 3.0): {0: 0.8}}
    assert choose(results).value == (1.0, 2.0)


def test_a_diverged_run_makes_its_value_the_worst():
    results = grid(lr_0_1=[0.2, 0.2], lr_1=[0.9, 0.9], lr_10=[0.95, 0.95])
    results[10.0,][1] = None
    choice = choose(results)
    assert choice.value == (1,) and choice.larger == (math.inf,) and choice.smaller == (pytest.approx(0.7),)
    assert (10,) not in choice.near + choice.perhaps
    for value in results:
        results[value][0] = None
    assert choose(results) == tuning.Choice()


def test_values_near_the_best_follow_from_the_means_or_the_paired_interval():
    results = grid(
        lr_0_1=[0.93, 0.95, 0.94], lr_1=[0.92, 0.95, 0.91], lr_10=[0.85, 0.86, 0.87], lr_100=[0.93, 0.94, 0.93]
    )
    choice = choose(results)
    assert choice.value == (0.1,) and choice.near == ((0.1,), (100,)) and choice.perhaps == ((1,),)
    assert difference(results[0.1,], results[1.0,]).low < 0.01 < difference(results[0.1,], results[10.0,]).low
    exactly = choose(grid(lr_1=[0.9], lr_2=[0.89]))
    assert exactly.near == ((1,), (2,))  # one point worse, but for rounding


def test_the_steps_from_the_best_say_how_flat_the_optimum_is():
    choice = choose(grid(lr_1=[0.90], lr_2=[0.95], lr_3=[0.94]))
    assert choice.smaller == (pytest.approx(0.05),) and choice.larger == (pytest.approx(0.01),)
    assert all(map(math.isnan, choose(grid(lr_1=[0.95], lr_2=[0.90])).smaller))


def test_a_choice_at_an_end_of_the_grid_is_named_with_a_value_outside():
    assert choose(grid(lr_0_1=[0.1], lr_0_3=[0.2], lr_1=[0.3])).edges == (Edge(0, "largest", 3.0),)
    assert choose(grid(lr_0_1=[0.3], lr_0_3=[0.2], lr_1=[0.1])).edges == (Edge(0, "smallest", 0.03),)
    two_keys = {(lr, decay): {0: 0.9 - lr - abs(decay - 2)} for lr in (0.1, 0.2) for decay in (1.0, 2.0, 3.0)}
    assert choose(two_keys).edges == (Edge(0, "smallest", 0.05),)
    one_value_of_the_second = {(lr, 1.0): {0: -abs(lr - 2)} for lr in (1.0, 2.0, 3.0)}
    assert choose(one_value_of_the_second).edges == ()


@pytest.mark.parametrize(
    ("values", "end", "outside"),
    [
        ([0.001, 0.01], "smallest", 0.0001),
        ([16, 32, 64], "largest", 128),
        ([0.8, 0.9, 0.95], "largest", 1.0),
        ([0.0, 0.1], "smallest", -0.1),
        ([-2.0, -1.0], "smallest", -3.0),
    ],
)
def test_the_value_outside_goes_on_as_the_grid_does(values, end, outside):
    assert beyond(values, end) == outside


@pytest.mark.parametrize("results", [{}, {(1.0,): {}}, {(1.0,): {0: 0.5}, (2.0,): {1: 0.5}}])
def test_the_rule_needs_the_same_seeds_at_each_value(results):
    with pytest.raises(ValueError, match="same seeds"):
        choose(results)


def test_the_examples_are_true():
    assert doctest.testmod(tuning).failed == 0
