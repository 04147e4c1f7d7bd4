"""The judge is judged: real spreads, promises that a broken rule breaks, and a page of all scenes. No torch."""

import json
import math
import re

import numpy as np
import pytest
from conftest import REPOSITORY
from rich.console import Console

from bnbench.analysis.arms import collect
from bnbench.report.judge import print_rows
from bnbench.studies import rules, simulate
from bnbench.studies.power import Power
from bnbench.studies.scenes import BAD_SEED, LOG_SPREADS, SPREADS, TAIL, plain, scenes

SCENES = list(scenes())
PAGE = json.loads((REPOSITORY / "docs/judge.json").read_text())


def runs_of(name):
    """The finished runs of a tracked arm, by seed."""
    folder = next(
        path for path in (REPOSITORY / "results/reference" / name, REPOSITORY / "results/norms" / name) if path.exists()
    )
    (arm,) = collect([folder]).arms()
    return {run.seed: run.rows for run in arm.complete}


def effects(pair, value):
    arm, baseline = map(runs_of, pair.split(" - "))
    return [value(arm[seed]) - value(baseline[seed]) for seed in sorted(arm.keys() & baseline.keys())]


def points(rows):
    return 100 * rows[-1].valid_accuracy


@pytest.mark.parametrize("name", SPREADS)
def test_the_spreads_are_those_of_the_tracked_runs(name):
    sd, pair = SPREADS[name]
    assert np.std(effects(pair, points), ddof=1) == pytest.approx(sd, abs=0.005)
    if name in LOG_SPREADS:
        losses = effects(pair, lambda rows: math.log(rows[0].train_loss))
        assert np.std(losses, ddof=1) == pytest.approx(LOG_SPREADS[name], abs=0.0005)


@pytest.mark.parametrize(("pair", "listed"), [("mlp_bn - mlp_no_bn", TAIL), ("mlp_partial_rms - mlp_batch", BAD_SEED)])
def test_the_listed_differences_are_those_of_the_tracked_runs(pair, listed):
    assert effects(pair, points) == pytest.approx(listed, abs=0.005)


def test_every_kind_is_simulated_with_ties_and_censored_missing_and_diverged_runs():
    assert {scene.kind for scene in SCENES} == {"superior", "equivalent", "ratio", "crossover", "exact"}
    for kind in ("superior", "equivalent"):
        text = " ".join(scene.situation for scene in SCENES if scene.kind == kind)
        assert all(word in text for word in ("ties", "lost", "diverge", "crossed", "real runs", "looks"))
    assert any("censored" in scene.situation for scene in SCENES)
    assert len({(scene.kind, scene.situation) for scene in SCENES}) == len(SCENES)


@pytest.mark.parametrize("scene", SCENES, ids=[f"{scene.kind}: {scene.situation}" for scene in SCENES])
def test_a_hundred_studies_of_each_scene_keep_the_promises(scene):
    row = simulate.play(scene, 20 if scene.slow else 100)
    assert row.kept and row == simulate.play(scene, row.studies)


SCENE = plain("superior", "a scene of this test", 0.3, 0.25)
TAILED = next(scene for scene in SCENES if scene.kind == "equivalent" and "far up" in scene.situation)


def test_a_rule_with_too_narrow_an_interval_breaks_a_promise(monkeypatch):
    assert simulate.play(SCENE, 500).kept
    monkeypatch.setattr(rules, "_half", lambda of, level, paired: of.se)
    assert not simulate.play(SCENE, 500).kept


def test_without_the_declared_spread_one_bad_seed_of_eleven_breaks_a_promise(monkeypatch):
    assert simulate.play(TAILED, 500).kept
    monkeypatch.setattr(rules, "_declared", lambda paired, level: 0.0)
    row = simulate.play(TAILED, 500)
    assert not row.kept and row.false_supported > 0.3


def test_a_rule_that_never_decides_breaks_the_promised_power(monkeypatch):
    monkeypatch.setattr(rules, "_half", lambda of, level, paired: math.inf)
    row = simulate.play(SCENE, 100)
    assert row.false_supported == 0 and not row.kept


ROWS = [
    simulate.Row("superior", "all is well", "8", 0.3, 1000, 0.01, 0.02, 0.83, 0.82, Power(0.8, 0.8), False),
    simulate.Row("exact", "nothing is promised", "10", 1.0, 250, 0.3, 0.0, 1.0, 0.6, None, True),
    simulate.Row("ratio", "too many errors", "5", 0.8, 1000, 0.10, 0.0, 0.9, 0.9, None, False),
]


@pytest.mark.parametrize("width", [150, 80, 50])
def test_the_table_shows_every_row_at_every_width(width):
    console = Console(width=width, record=True, color_system=None)
    print_rows(ROWS, "table", console)
    text = " ".join(console.export_text().split())
    for cell in ("superior", "exact", "10.0", "80 and 80", "NO", "limit", "1,000, or 250"):
        assert cell in text


def test_json_has_every_share_and_the_verdict_on_the_rules():
    console = Console(width=80, record=True, color_system=None)
    print_rows(ROWS, "json", console)
    data = json.loads(console.export_text())
    assert data["kept"] is False and [scene["kept"] for scene in data["scenes"]] == [True, True, False]
    assert data["scenes"][0]["promised"] == {"supported": 0.8, "contradicted": 0.8}
    assert data["scenes"][1]["promised"] is None and data["scenes"][1]["false_supported"] == 0.3


def test_the_command_prints_the_scenes_and_fails_if_a_promise_is_broken(bnbench, monkeypatch):
    monkeypatch.setattr(simulate, "QUICK", 40)
    monkeypatch.setattr(simulate, "scenes", lambda: SCENES[:3])
    found = bnbench("study", "--judge-the-judge", "--quick", "--format", "json")
    assert found.exit_code == 0, found.stderr
    assert [scene["studies"] for scene in json.loads(found.stdout)["scenes"]] == [40] * 3
    monkeypatch.setattr(rules, "_half", lambda of, level, paired: 0.0)
    broken = bnbench("study", "--judge-the-judge", "--quick")
    assert broken.exit_code == 1 and "promises are broken: superior: CNN" in broken.stderr
    assert "falsely supported" in broken.stdout


def test_the_command_takes_no_study_and_no_other_task(bnbench):
    refused = bnbench("study", "lp", "--judge-the-judge")
    assert refused.exit_code == 2 and "remove lp" in refused.stderr


def test_the_page_has_the_full_result_of_these_scenes():
    """If a scene changed: bnbench study --judge-the-judge --format json > docs/judge.json; python docs/generate.py."""
    listed = [(scene["kind"], scene["situation"], scene["n"], scene["delta"]) for scene in PAGE["scenes"]]
    assert listed == [(scene.kind, scene.situation, scene.n, scene.delta) for scene in SCENES]
    assert PAGE["kept"] and {scene["studies"] for scene in PAGE["scenes"]} == {
        simulate.STUDIES,
        simulate.STUDIES // simulate.SLOW,
    }


def test_the_page_agrees_with_a_few_studies():
    for scene, page in zip(SCENES, PAGE["scenes"], strict=True):
        if scene.situation.startswith("MLP"):
            row = simulate.play(scene, 400)
            assert row.supported == pytest.approx(page["supported"], abs=4 * row.error(0.8))
            assert row.false_supported == pytest.approx(page["false_supported"], abs=4 * row.error(0.04))


def test_the_page_names_the_number_of_studies():
    text = (REPOSITORY / "docs/judge.md").read_text()
    assert {int(n.replace(",", "")) for n in re.findall(r"# ([\d,]+) studies of each number", text)} == {
        simulate.STUDIES,
        simulate.QUICK,
    }
