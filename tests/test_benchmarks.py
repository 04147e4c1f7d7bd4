"""Every benchmark says whether the machine was busy."""

import sys

import pytest
from conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import choosing
import idle
import numpy as np

BENCHMARKS = sorted(path for path in (REPOSITORY / "benchmarks").glob("*.py") if path.stem != "idle")


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_every_benchmark_watches_the_machine(path):
    assert "    idle.watch()\n" in path.read_text()


@pytest.mark.parametrize(
    ("load", "others", "busy"),
    [(0.1, 0.2, False), (2.0, 0.2, False), (0.1, 30.0, True), (0.1, None, False), (2.0, None, True)],
)
def test_a_busy_machine_is_a_warning(load, others, busy):
    assert ("WARNING" in idle.summary(load, load, others, 60.0)) == busy


def test_a_value_chosen_on_the_test_images_claims_falsely_and_one_chosen_by_tune_does_not():
    not_chosen, on_test, _, _, own = choosing.studies(150, np.random.default_rng(0)).values()
    assert on_test[0] > 0.06 and on_test[2] > 0.005  # the share of false claims, and how much better the arm looks
    for ahead, behind, difference in (not_chosen, own):
        assert ahead + behind <= 0.09 and abs(difference) < 0.003


def test_at_one_value_for_both_arms_a_difference_is_claimed_that_tune_does_not_claim():
    *_, equal, own = choosing.studies(100, np.random.default_rng(0), own_best=True).values()
    assert equal[1] > 0.5 and own[0] + own[1] <= 0.12
