"""`bnbench study`: trains what is missing, judges it, and gives the same bytes again, in one process or in several."""

import json
import shutil

import pytest
from conftest import REPOSITORY

STUDY = """\
question: Does it help?
source: Somebody 2018
minutes: 1
base:
  data: {dataset: mnist5k, batch_size: 50, train_limit: 200, valid_limit: 100}
  model: {type: mlp, hidden: [8]}
  train: {epochs: 2, optimizer: {type: sgd, lr: 0.1}}
arms:
  none: {norm: {type: none}}
  batch: {norm: {type: batch}}
grid: {train.optimizer.lr: [0.1, 0.5]}
seeds: 0..2
claims:
  loss:
    says: Batch norm has the smaller training loss.
    measure: {type: metric, metric: train_loss, epoch: 1}
    arms: [none, batch]
    kind: ratio
    delta: 1.05
    sd: 0.01
    sd_from: nowhere
  flat:
    says: Batch norm is flatter.
    measure: {type: flatness, key: train.optimizer.lr}
    arms: [none, batch]
    kind: superior
    delta: 1.0
    exploratory: true
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "configs/studies/mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(STUDY)
    return tmp_path / "results/studies/mine"


def bytes_of(folder):
    return {name: (folder / name).read_bytes() for name in ("study.yaml", "runs.csv", "verdicts.json", "figure.svg")}


def test_a_study_trains_what_is_missing_and_repeats_itself(bnbench, mine):
    done = bnbench("study", "mine", "-q")
    assert done.exit_code == 0, done.stderr
    assert "loss: " in done.stdout and "EXPLORATORY: NO VERDICT" in done.stdout
    first = bytes_of(mine)
    assert len(list(mine.glob("runs/*/seed-*/run.json"))) == 12
    again = bnbench("study", "mine", "--judge-only", "--format", "json")
    assert json.loads(again.stdout) == json.loads(first["verdicts.json"])
    shutil.rmtree(mine / "runs/none,train.optimizer.lr=0.1")
    dry = bnbench("study", "mine", "--dry-run")
    assert dry.stdout.count("trains 2 epochs") == 3 and "9 runs are there already" in dry.stderr
    listed = bnbench("study", "--list")
    assert "mine" in listed.stdout and "1 exploratory" in listed.stdout and "12 runs" in listed.stdout
    shutil.rmtree(mine)
    assert bnbench("study", "mine", "-q").exit_code == 0
    assert bytes_of(mine) == first


def test_missing_runs_are_too_early_and_no_runs_an_error(bnbench, mine):
    nothing = bnbench("study", "mine", "--judge-only")
    assert nothing.exit_code == 3 and "no finished run of this study" in nothing.stderr and not mine.exists()
    assert bnbench("study", "mine", "-q").exit_code == 0
    shutil.rmtree(mine / "runs/none,train.optimizer.lr=0.1")
    before = bytes_of(mine)
    early = bnbench("study", "mine", "--judge-only")
    assert early.stdout == "0 of 3 seeds: too early for a verdict\n" and bytes_of(mine) == before


def test_quick_says_that_it_gives_no_verdict(bnbench, mine):
    quick = bnbench("study", "mine", "--quick", "-q")
    assert quick.exit_code == 0, quick.stderr
    assert quick.stdout.endswith("quick: no verdict\n") and not (mine / "verdicts.json").exists()


def test_a_pilot_trains_other_seeds_and_shows_spreads_but_no_effects(bnbench, mine):
    path = mine.parents[2] / "configs/studies/mine.yaml"
    path.write_text(STUDY.replace("    sd: 0.01\n    sd_from: nowhere\n", ""))
    refused = bnbench("study", "mine")
    assert refused.exit_code == 2 and "bnbench study mine --pilot 10" in refused.stderr
    pilot = bnbench("study", "mine", "--pilot", 3, "-q")
    assert pilot.exit_code == 0, pilot.stderr
    assert "loss: sd 0." in pilot.stdout and "of the log, from 3 seeds" in pilot.stdout and "[" not in pilot.stdout
    assert {path.name for path in mine.glob("runs/*/*")} == {"seed-3", "seed-4", "seed-5"}
    assert not (mine / "verdicts.json").exists() and bnbench("study", "mine", "--pilot", 2).exit_code == 2


def test_new_writes_a_study_to_fill_in(bnbench, tmp_path):
    assert bnbench("study", "new", "my_study").exit_code == 0
    assert "my_study  refused: configs/studies/my_study.yaml:6: source: still has" in bnbench("study", "--list").stdout
    again = bnbench("study", "new", "my_study")
    assert again.exit_code == 2 and "exists" in again.stderr
    (tmp_path / "configs/studies/broken.yaml").write_text("question: 1\n")
    listed = bnbench("study", "--list")
    assert listed.exit_code == 0 and "broken  refused: configs/studies/broken.yaml:1: question" in listed.stdout
    both = bnbench("study", "my_study", "--quick", "--judge-only")
    assert both.exit_code == 2 and "--quick and --judge-only exclude each other" in both.stderr
    assert bnbench("study", "new", "My Study").exit_code == 2 and bnbench("study").exit_code == 2


def test_an_outcome_of_another_text_is_not_replaced(bnbench, mine):
    assert bnbench("study", "mine", "-q").exit_code == 0
    path = mine.parents[2] / "configs/studies/mine.yaml"
    path.write_text(STUDY.replace("1.05", "1.06"))
    refused = bnbench("study", "mine")
    assert refused.exit_code == 2 and "an edited study is a new study" in refused.stderr


def test_the_study_of_the_docs_is_valid(bnbench, tmp_path):
    page = (REPOSITORY / "docs/studies.md").read_text()
    path = tmp_path / "configs/studies/small.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    assert "20 runs" in bnbench("study", "--list").stdout


def test_the_report_shows_the_verdicts_and_runs_nothing_of_a_picture(bnbench, mine):
    assert bnbench("study", "mine", "-q").exit_code == 0
    picture = mine / "figure.svg"
    picture.write_text(picture.read_text().replace("</svg>", "<script>alert(1)</script></svg>"))
    assert bnbench("report", "results", "-o", "report.html").exit_code == 0
    page = (mine.parents[2] / "report.html").read_text()
    assert "<h2>Studies</h2>" in page and "exploratory: no verdict" in page and "Somebody 2018" in page
    assert "data:image/svg+xml;base64," in page and "<script" not in page
    verdicts = mine / "verdicts.json"
    verdicts.write_text(verdicts.read_text().replace("Somebody", "Nobody"))
    refused = bnbench("report", "results")
    assert refused.exit_code == 2 and "sha256: was edited by hand" in refused.stderr


def test_a_study_that_shares_runs_evaluates_them_and_trains_nothing(bnbench, mine):
    assert bnbench("study", "mine", "-q").exit_code == 0
    before = {path: path.read_bytes() for path in mine.glob("runs/*/*/run.json")}
    claims = """claims:
  by_four:
    says: Four images at a time are enough.
    measure: {type: evaluation, evaluation: batch=4, minus: running}
    arms: [batch]
    kind: equivalent
    exploratory: true
"""
    other = STUDY[: STUDY.index("claims:")].replace("minutes: 1", "minutes: 1\nshares: mine") + claims
    other = other.replace("{norm: {type: batch}}", "{norm: {type: batch}, evaluations: [running, {batch: 4}]}")
    (mine.parents[2] / "configs/studies/other.yaml").write_text(other)
    done = bnbench("study", "other", "-q")
    assert done.exit_code == 0 and "n 3" in done.stdout, done.stderr
    assert {path: path.read_bytes() for path in before} == before and not (mine.parent / "other/runs").exists()
    assert len(list(mine.glob("runs/*/*/evaluations.csv"))) == 6
