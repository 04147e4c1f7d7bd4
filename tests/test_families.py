"""Which arms are tested together, which are not tested, and which count once. By hand, without runs."""

import numpy as np
import pytest

from bnbench.analysis.families import Candidate, corrected
from bnbench.analysis.intervals import Judged, difference
from bnbench.analysis.maxt import max_t
from bnbench.analysis.statistics import holm

RNG = np.random.default_rng(0)
BASELINE = Judged(dict(enumerate(0.9 + RNG.normal(0, 0.001, 10))))
NOISE = RNG.normal(0, 0.001, (6, 10))


def arm(label, values, digest=None, first=0, wrong=None):
    judged = Judged(dict(enumerate(map(float, values), start=first)), wrong, 100 if wrong else 0)
    return Candidate(label, digest or label, judged, difference(judged, BASELINE))


def gained(place, gain, n=10):
    return np.array(list(BASELINE.values.values())[:n]) + gain + NOISE[place][:n]


def gaps(one):
    return {seed: value - BASELINE.values[seed] for seed, value in one.judged.values.items()}


def test_paired_arms_are_one_family():
    arms = [arm("a", gained(0, 0.001)), arm("b", gained(1, 0.0005)), arm("c", gained(2, 0.0, n=8))]
    found = corrected(arms, BASELINE)
    assert [one.p for one in found] == pytest.approx(max_t(list(map(gaps, arms))))
    assert {(one.correction, one.comparisons, one.why) for one in found} == {("max-T", 3, None)}


def test_too_few_pairs_and_no_differences_leave_the_family():
    alone = corrected([arm("a", gained(0, 0.001))], BASELINE)
    others = [
        arm("few", gained(1, 0.01, n=5)),
        arm("one", gained(1, 0.01, n=1)),
        arm("equal", BASELINE.values.values()),
    ]
    found = corrected([arm("a", gained(0, 0.001)), *others], BASELINE)
    assert found[0] == alone[0] and found[0].comparisons == 1
    assert [one.why for one in found[1:]] == ["too few seeds", "too few seeds", "identical"]
    assert [one.p for one in found[1:]] == [None] * 3


def test_unpaired_arms_are_a_family_of_their_own():
    unpaired = [arm("x", gained(1, 0.002), first=50), arm("y", gained(2, 0.001), first=70)]
    still = arm("z", [0.9] * 3, first=90)
    found = corrected([arm("a", gained(0, 0.001)), *unpaired, still], BASELINE)
    assert found[0].comparisons == 1 and found[0].correction == "max-T"
    welch = [one.difference.p for one in [*unpaired, still]]
    assert [one.p for one in found[1:]] == holm(welch) and found[1].comparisons == len(welch)
    assert {one.correction for one in found[1:]} == {"Holm"}


def test_unpaired_arms_without_a_p():
    still = Judged(dict.fromkeys(range(3), 0.9))
    one, many = Judged({50: 0.91}), Judged({50: 0.91, 51: 0.91})
    arms = [
        Candidate("one", "one", one, difference(one, still)),
        Candidate("many", "many", many, difference(many, still)),
    ]
    assert [of.why for of in corrected(arms, still)] == ["too few seeds", "no spread"]


def test_a_config_under_two_names_counts_once():
    arms = [arm("bn", gained(0, 0.001), "same"), arm("ln", gained(1, 0.0005))]
    before = corrected(arms, BASELINE)
    copies = [*arms, arm("copy", gained(0, 0.001), "same"), arm("part", gained(0, 0.001, n=7), "same")]
    found = corrected(copies, BASELINE)
    assert found[:2] == before and (found[2].p, found[2].alias_of) == (before[0].p, "bn")
    assert (found[3].p, found[3].why, found[3].alias_of) == (None, "alias", "bn")  # fewer seeds: not tested again
    assert found[0].comparisons == 2


def test_the_copy_with_the_most_seeds_is_tested():
    found = corrected([arm("part", gained(0, 0.001, n=7), "same"), arm("whole", gained(0, 0.001), "same")], BASELINE)
    assert found[1].p is not None and (found[0].p, found[0].alias_of) == (None, "whole")


def test_unpaired_copies_count_once():
    values = gained(0, 0.002)
    found = corrected([arm("x", values, "same", first=50), arm("y", values, "same", first=50)], BASELINE)
    assert found[0].comparisons == 1 and found[0].p == found[1].p and found[1].alias_of == "x"


@pytest.mark.parametrize("wrong", ["values", "mistakes"])
def test_one_config_with_two_results_is_two_comparisons(wrong):
    same = {seed: np.arange(3) for seed in range(10)}
    other = same if wrong == "values" else {**same, 4: np.array([0, 1, 7])}
    values = gained(0, 0.001)
    arms = [arm("here", values, "same", wrong=same)]
    arms.append(arm("there", gained(1, 0.001) if wrong == "values" else values, "same", wrong=other))
    found = corrected(arms, BASELINE)
    assert [one.alias_of for one in found] == [None, None] and [one.twin for one in found] == ["there", "here"]
    assert found[0].comparisons == 2
