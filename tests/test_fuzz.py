"""200 configs and their mutations, as benchmarks/fuzz.py makes them: accepted, or refused with a place."""

import sys

import pytest
from conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import fuzz

from bnbench.config import load, strict_yaml


def test_every_case_is_accepted_or_refused_with_its_place():
    before = fuzz.peak_mb()
    counts = fuzz.fuzz(200, seed=0)
    assert counts["accepted"] >= 20 and counts["refused"] >= 70, counts
    assert fuzz.peak_mb() - before < fuzz.MEGABYTES


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (strict_yaml, "refuse_lookalikes", lambda text: 1 / 0),
        (load, "explain", lambda *_, **__: "is wrong\nsomewhere"),
    ],
    ids=["a traceback", "a line without a place"],
)
def test_the_fuzz_finds_a_broken_promise(monkeypatch, tmp_path, module, name, broken):
    monkeypatch.setattr(module, name, broken)
    with pytest.raises((ZeroDivisionError, AssertionError)):
        fuzz.check(fuzz.Case(b"model: {type: mlp}\nx: 1\n"), tmp_path)


def test_a_value_of_several_lines_makes_no_message_of_several_lines(tmp_path):
    assert fuzz.check(fuzz.Case(b"lr: 0.1,0.2\n\n  x\n"), tmp_path) == "refused"  # the fuzz has found it
