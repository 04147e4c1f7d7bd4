"""`bnbench show` and `bnbench diff`: one thing in full, two things side by side; nothing in them can do harm."""

import json

import numpy as np
import pytest
import torch
import yaml
from handmade import change, edit, make_config, make_run
from scipy import stats

from bnbench.config.load import load_config

NONE = [0.9000, 0.9020, 0.8970, 0.9010, 0.8990]
BATCH = [0.9110, 0.9100, 0.9085, 0.9125, 0.9095]


@pytest.fixture
def arms(tmp_path):
    for seed, (a, b) in enumerate(zip(NONE, BATCH, strict=True)):
        where = {"torch": "2.15.0", "processor": "X"}
        make_run(tmp_path / "r", "plain", seed, [a - 0.1, a], config=make_config(), provenance=where)
        newer = {**where, "torch": "2.16.0"}
        make_run(tmp_path / "r", "bn", seed, [b - 0.1, b], config=make_config("batch", momentum=0.2), provenance=newer)
    return tmp_path / "r"


def test_a_config_is_shown_with_every_default_and_is_a_config(bnbench, tiny, tmp_path):
    result = bnbench("show", tiny)
    assert result.exit_code == 0 and yaml.safe_load(result.stdout)["norm"]["running_var"] == "unbiased"
    (tmp_path / "shown.yaml").write_text(result.stdout)
    assert load_config(tmp_path / "shown.yaml") == load_config(tiny)
    result = bnbench("show", tiny, "--set", "norm.momentum=0.3", "--format", "json")
    assert json.loads(result.stdout)["norm"]["momentum"] == 0.3


def test_a_wrong_config_is_refused_as_run_does(bnbench, tiny):
    result = bnbench("show", tiny, "--set", "norm.momentun=0.3")
    assert result.exit_code == 2 and "did you mean momentum?" in result.stderr
    result = bnbench("show", "nowhere.yaml")
    assert result.exit_code == 2 and "nowhere.yaml: no such file" in result.stderr


def test_a_run_is_shown_with_its_norm_layers(bnbench, tiny, tmp_path):
    bnbench("run", tiny)
    folder = tmp_path / "results/tiny/seed-0"
    weights = torch.load(folder / "model.pt", weights_only=True)
    out = bnbench("show", folder).stdout
    assert "tiny, seed 0: complete after 2 of 2 epochs" in out and "momentum: 0.1" in out
    for symbol, name in (("γ (weight)", "weight"), ("β (bias)", "bias"), ("running_mean", "running_mean")):
        first = ", ".join(f"{value:.4g}" for value in weights[f"norm1.{name}"].tolist())
        assert f"{symbol}: {first}; min" in out
    assert "num_batches_tracked: 8" in out
    assert "linear1" not in out
    order = [out.index(word) for word in ("validation, last epoch", "γ (weight)", "\nconfig\n", "config's SHA-256")]
    assert order == sorted(order)  # the checksums are last
    about = json.loads((folder / "run.json").read_text())
    for value in (about["digest"], about["dataset"]["sha256"], about["provenance"]["torch"], about["started"]):
        assert value in out
    shown = json.loads(bnbench("show", folder, "--format", "json").stdout, parse_constant=pytest.fail)
    assert shown["norms"]["norm1"]["running_var"] == pytest.approx(weights["norm1.running_var"].tolist())
    assert len(shown["epochs"]) == 2 and shown["config"]["name"] == "tiny"


def test_of_many_values_the_first_ten_are_shown(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--set", "model.hidden=[30]", "--name", "wide")
    folder = tmp_path / "results/wide/seed-0"
    mean = torch.load(folder / "model.pt", weights_only=True)["norm1.running_mean"]
    out = bnbench("show", folder).stdout
    assert f"running_mean: {', '.join(f'{value:.4g}' for value in mean[:10].tolist())}, … 30 in all; min" in out


@pytest.mark.parametrize("norm", ["weight", "layer", "none"])
def test_whatever_the_norm(bnbench, tiny, tmp_path, norm):
    assert bnbench("run", tiny, "--set", f"norm={{type: {norm}}}", "--name", norm).exit_code == 0
    result = bnbench("show", tmp_path / "results" / norm / "seed-0")
    assert result.exit_code == 0
    assert ("\ng: " in result.stdout) is (norm == "weight") and ("γ (weight)" in result.stdout) is (norm == "layer")


def test_a_run_without_weights_is_shown_and_said(bnbench, arms):
    result = bnbench("show", arms / "bn/seed-0")
    assert result.exit_code == 0 and "bn, seed 0: complete" in result.stdout
    assert "model.pt: is missing" in result.stderr and "bnbench run" in result.stderr


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04", b"\x80\x04cposix\nsystem\n(X\x04\x00\x00\x00exittR.", b"{}"])
def test_weights_that_are_none_run_nothing(bnbench, arms, contents):
    (arms / "bn/seed-0/model.pt").write_bytes(contents)
    result = bnbench("show", arms / "bn/seed-0")
    assert result.exit_code == 0 and "model.pt: " in result.stderr and "Traceback" not in result.stderr


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_weights_run_no_code(bnbench, arms, tmp_path):
    torch.save({"norm1.weight": Touch(tmp_path / "ran")}, arms / "bn/seed-0/model.pt")
    result = bnbench("show", arms / "bn/seed-0")
    assert "model.pt: does not hold the weights" in result.stderr and not (tmp_path / "ran").exists()


def test_weights_of_other_kinds_are_refused(bnbench, arms):
    many = torch.zeros(1).expand(20_000_000)  # of a few bytes
    for value in ([1, 2], {"norm1.weight": "x"}, {3: 4}, {"norm1.weight": many}, {"norm1.bias": torch.ones(2) * 1j}):
        torch.save(value, arms / "bn/seed-0/model.pt")
        result = bnbench("show", arms / "bn/seed-0")
        assert result.exit_code == 0 and "model.pt: does not hold the weights" in result.stderr


def test_an_arm_is_shown_with_a_line_for_each_seed(bnbench, arms):
    shown = bnbench("show", arms / "bn")
    assert shown.exit_code == 0 and shown.stderr.endswith("seed-0/mistakes.csv: is missing\n")
    assert "bn, 5 seeds" in shown.stdout and "momentum: 0.2" in shown.stdout
    rows = [line.split() for line in shown.stdout.split("\n") if line.strip()[:1].isdigit()]
    assert [(row[0], row[1], row[2], row[6]) for row in rows] == [
        (str(seed), "complete", "2/2", f"{100 * value:.2f}") for seed, value in enumerate(BATCH)
    ]
    value = json.loads(bnbench("show", arms / "bn", "--format", "json").stdout)
    assert [one["run"]["seed"] for one in value["runs"]] == [0, 1, 2, 3, 4]
    assert value["runs"][4]["epochs"][1]["valid_accuracy"] == BATCH[4] and value["config"]["norm"]["momentum"] == 0.2


def test_what_is_no_run_is_refused(bnbench, arms):
    result = bnbench("show", arms)
    assert result.exit_code == 3 and f"holds the runs of several arms; name an arm's folder, as in {arms}/bn" in (
        result.stderr
    )
    (arms / "empty").mkdir()
    assert "empty: holds no run; bnbench run makes one" in bnbench("show", arms / "empty").stderr
    for path, instead in (("bn/seed-9", "bn/seed-"), ("b", "bn"), ("other", "")):
        result = bnbench("show", arms / path)
        meant = f"did you mean {arms / instead}" if instead else f"{arms} has bn, empty, plain"
        assert result.exit_code == 3 and f"{path}: no such folder; {meant}" in result.stderr
    result = bnbench("show", arms / "bn/seed-0", "--set", "a=1")
    assert result.exit_code == 2 and "--set is for configs" in result.stderr
    (arms / "bn/seed-0/config.yaml").unlink()
    result = bnbench("show", arms / "bn/seed-0")
    assert result.exit_code == 3 and "config.yaml: is missing" in result.stderr


HOSTILE = "\x1b[2Jevil\u202e[red]<script>\n=cmd()"


def test_what_a_run_says_of_itself_is_inert(bnbench, arms):
    edit(arms / "bn/seed-0", provenance={"torch": HOSTILE, HOSTILE: {"a": [1] * 10_000}}, started=HOSTILE)
    for command in (["show", arms / "bn/seed-0"], ["diff", arms / "bn/seed-0", arms / "plain/seed-0"]):
        result = bnbench(*command)
        assert result.exit_code == 0
        assert "\\x1b[2Jevil\\u202e[red]<script>\\n=cmd()" in result.stdout
        assert "\x1b" not in result.stdout and "\u202e" not in result.stdout and "1, 1, 1]" not in result.stdout
        assert len(max(result.stdout.split("\n"), key=len)) < 1_000
        assert json.loads(bnbench(*command, "--format", "json").stdout)


def test_two_arms_differ_in_config_environment_and_metrics(bnbench, arms):
    result = bnbench("diff", arms / "plain", arms / "bn")
    lines = [line.split() for line in result.stdout.split("\n")]
    assert ["A", "plain", "(5", "seeds)"] in lines and ["B", "bn", "(5", "seeds)"] in lines
    assert ["norm.type", '"none"', '"batch"'] in lines and ["norm.momentum", "–", "0.2"] in lines
    assert ["torch", "2.15.0", "2.16.0"] in lines and "processor" not in result.stdout
    interval = stats.ttest_rel(BATCH, NONE).confidence_interval()
    gap = 100 * (np.mean(BATCH) - np.mean(NONE))
    assert f"{gap:+.2f}? [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]" in result.stdout
    assert "Seeds 0..4: metrics differ, first in epoch 1." in result.stdout
    value = json.loads(bnbench("diff", arms / "plain", arms / "bn", "--format", "json").stdout)
    assert value["config"]["norm.type"] == ['"none"', '"batch"']
    assert value["metrics"]["valid_accuracy"]["difference"]["low"] == pytest.approx(interval.low)


@pytest.mark.parametrize("width", [40, 80])
def test_nothing_of_a_difference_is_cut(bnbench, arms, monkeypatch, width):
    from rich.console import Console

    from bnbench import console

    monkeypatch.setattr(console, "stdout", lambda: Console(width=width, markup=False, highlight=False))
    out = bnbench("diff", arms / "plain", arms / "bn").stdout
    assert max(map(len, out.split("\n"))) <= width and "norm.track_running_stats" in out
    assert "B - A" in out and ("B - A: +1.05? [" in out) is (width == 40)


def test_two_runs_of_one_config_say_from_where_they_differ(bnbench, arms, tmp_path):
    for seed in (0, 1):
        make_run(
            tmp_path / "again", "bn", seed, [BATCH[seed] - 0.1, BATCH[seed]], config=make_config("batch", momentum=0.2)
        )
    result = bnbench("diff", arms / "bn", tmp_path / "again")
    assert "config: the same" in result.stdout
    assert "Seeds 0..1: the same metrics, to the last digit, in every epoch." in result.stdout
    change(tmp_path / "again/bn/seed-1/metrics.csv", repr(BATCH[1] - 0.1), repr(BATCH[1] - 0.2))
    change(tmp_path / "again/bn/seed-0/metrics.csv", "2,0.5,", "2,0.51,")
    about = json.loads((tmp_path / "again/bn/seed-0/run.json").read_text())
    edit(tmp_path / "again/bn/seed-0", final={**about["final"], "train_loss": 0.51})
    result = bnbench("diff", arms / "bn", tmp_path / "again")
    assert "Seeds 0..1: metrics differ, first in epochs 1 to 2." in result.stdout
    single = bnbench("diff", arms / "bn/seed-0", tmp_path / "again/bn/seed-0")
    assert "Seed 0: metrics differ, first in epoch 2." in single.stdout and "±" not in single.stdout


def test_what_may_not_be_compared_is_not_subtracted(bnbench, arms, tmp_path):
    make_run(tmp_path / "other", "bn", 0, [0.9] * 3, dataset="mnist5k", config=make_config("batch"))
    result = bnbench("diff", arms / "bn", tmp_path / "other")
    assert "No difference is taken: the two do not share dataset, epochs." in result.stdout
    last = next(line for line in result.stdout.split("\n") if line.startswith("valid %"))
    assert last.split()[-1] == "–"


def test_sides_that_are_not_one_arm(bnbench, arms):
    result = bnbench("diff", arms, arms / "bn")
    assert result.exit_code == 2 and "holds 2 arms (bn, plain" in result.stderr
    result = bnbench("diff", arms / "bn", arms / "nothing")
    assert result.exit_code == 3 and "no such folder" in result.stderr
