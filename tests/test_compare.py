"""`bnbench compare`: every number against an independent computation, and no bad folder hides a good one."""

import csv
import io
import json
import os
import shutil
import statistics
import subprocess
import sys

import pytest
from handmade import change, edit, make_config, make_run

from bnbench.runs.format import METRICS, TIMING

ACCURACIES = {"a": {0: [0.90, 0.95, 0.94], 1: [0.91, 0.93, 0.96]}, "b": {0: [0.80, 0.97, 0.92]}}


@pytest.fixture
def results(tmp_path):
    for name, seeds in ACCURACIES.items():
        for seed, accuracies in seeds.items():
            make_run(tmp_path / "r", name, seed, accuracies)
    return tmp_path / "r"


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_every_number_of_the_table(bnbench, results):
    rows = {row["arm"]: row for row in rows_of(bnbench("compare", results, "--format", "csv").stdout)}
    finals, bests = [0.94, 0.96], [0.95, 0.96]
    a, b = rows["a"], rows["b"]
    assert a["seeds"] == "2" and a["diverged"] == "0" and a["parameters"] == "79510"
    assert float(a["final_valid_accuracy"]) == pytest.approx(statistics.mean(finals), abs=1e-15)
    assert float(a["final_valid_accuracy_sd"]) == pytest.approx(statistics.stdev(finals), abs=1e-15)
    assert float(a["best_valid_accuracy"]) == pytest.approx(statistics.mean(bests), abs=1e-15)
    assert float(a["best_valid_accuracy_sd"]) == pytest.approx(statistics.stdev(bests), abs=1e-15)
    assert float(a["epoch_seconds"]) == statistics.median([3, 4, 5, 4, 5, 6])
    assert float(b["final_valid_accuracy"]) == 0.92 and float(b["best_valid_accuracy"]) == 0.97
    assert b["final_valid_accuracy_sd"] == b["best_valid_accuracy_sd"] == ""  # one seed: blank, never 0
    assert (a["dataset"], a["train_images"], a["valid_images"], a["epochs"], a["smoke"]) == (
        "mnist",
        "60000",
        "10000",
        "3",
        "False",
    )


def test_json_is_strict_and_says_the_same(bnbench, results):
    value = json.loads(bnbench("compare", results, "--format", "json").stdout, parse_constant=pytest.fail)
    (group,) = value["groups"]
    assert value["schema_version"] == 2
    assert group["dataset"] == "mnist" and group["epochs"] == 3 and group["smoke"] is False
    a, b = group["arms"]
    assert a["final_valid_accuracy"] == pytest.approx(0.95, abs=1e-15) and a["seeds"] == 2
    assert b["final_valid_accuracy_sd"] is None


def test_the_table_for_people(bnbench, results):
    lines = bnbench("compare", results).stdout.split("\n")
    assert lines[0] == "mnist, 60,000 training and 10,000 test images, 3 epochs"
    a = next(line for line in lines if line.startswith("a "))
    assert a.split() == ["a", "2", "95.00", "[82.29,", "100.00]*", "95.50", "[89.15,", "100.00]*", "4.50", "79,510"]
    b = next(line for line in lines if line.startswith("b "))
    assert b.split() == ["b", "1", "92.00", "97.00", "4.00", "79,510"]  # one seed: no ±


def test_an_interval_of_an_accuracy_is_cut_at_100_percent_and_marked(bnbench, results):
    result = bnbench("compare", results)
    assert "95.00 [82.29, 100.00]*" in result.stdout and "*: the interval is cut" in result.stdout
    row = rows_of(bnbench("compare", results, "--format", "csv").stdout)[0]
    assert float(row["final_valid_accuracy_high"]) == 1.0 and row["final_valid_accuracy_clipped"] == "True"
    assert float(row["final_valid_accuracy_low"]) == pytest.approx(0.95 - 0.1270620)
    epochs = rows_of(bnbench("compare", results, "--per-epoch", "--format", "csv").stdout)
    assert float(epochs[4]["valid_accuracy_high"]) == 1.0 and epochs[0]["valid_accuracy_clipped"] == "False"
    losses = rows_of(bnbench("compare", results, "--metric", "train_loss", "--format", "csv").stdout)[0]
    assert losses["final_train_loss_clipped"] == "False"
    for seed in (0, 1):
        make_run(results, "c", seed, [0.90, 0.95 + seed / 1000, 0.95 + seed / 1000])
    assert "*: the interval is cut" not in bnbench("compare", results / "c").stdout


def test_wins_are_the_pairs_in_which_an_arm_is_better(bnbench, tmp_path):
    for seed, (a, b) in enumerate([(0.90, 0.91), (0.92, 0.92), (0.93, 0.96), (0.94, 0.91)]):
        make_run(tmp_path / "r", "a", seed, [0.5, a])
        make_run(tmp_path / "r", "b", seed, [0.5, b], digest="b")
    make_run(tmp_path / "r", "b", 9, [0.5, 0.99], digest="b")  # has no pair
    question = ("compare", tmp_path / "r", "--baseline", "a")
    b = json.loads(bnbench(*question, "--format", "json").stdout)["groups"][0]["arms"][1]
    assert b["wins"] == 2 and b["pairs"] == 4  # the tie is no win
    assert "2/4" in bnbench(*question).stdout
    path = tmp_path / "r/b/seed-0"  # a lower loss wins
    change(path / "metrics.csv", ",1.0,0.91", ",0.9,0.91")
    edit(path, final={**json.loads((path / "run.json").read_text())["final"], "valid_loss": 0.9})
    losses = json.loads(bnbench(*question, "--metric", "valid_loss", "--format", "json").stdout)
    assert losses["groups"][0]["arms"][1]["wins"] == 1 and losses["groups"][0]["arms"][0]["wins"] is None


def test_markdown(bnbench, results):
    lines = bnbench("compare", results, "--format", "markdown").stdout.split("\n")
    assert "| arm | seeds | final valid % | best valid % | s/epoch | params |" in lines
    assert "| a | 2 | 95.00 [82.29, 100.00]* | 95.50 [89.15, 100.00]* | 4.50 | 79,510 |" in lines


@pytest.mark.parametrize("width", [40, 60, 70, 80, 200])
def test_nothing_is_cut_at_any_width(bnbench, results, width, monkeypatch):
    make_run(results, "an-arm,with.a.very.long=name", 0, [0.5] * 3)
    from rich.console import Console

    from bnbench import console

    monkeypatch.setattr(console, "stdout", lambda: Console(width=width, markup=False, highlight=False))
    out = bnbench("compare", results).stdout
    assert "95.00 [82.29, 100.00]*" in out and max(map(len, out.split("\n"))) <= width
    assert ("79,510" in out) is (width >= 80)
    left_out = "for want of room: seeds, best, seconds, parameters. To choose: --columns seeds,best,…"
    assert (left_out in " ".join(out.split())) is (width == 40)
    out = bnbench("compare", results, "--columns", "value,best,seconds,parameters").stdout
    assert "95.00 [82.29, 100.00]*" in out and "79,510" in out and "…" not in out and "want of room" not in out
    assert max(map(len, out.split("\n"))) <= width


def test_per_epoch_puts_the_arms_side_by_side(bnbench, results):
    rows = rows_of(bnbench("compare", results, "--per-epoch", "--format", "csv").stdout)
    assert [(row["epoch"], row["arm"]) for row in rows] == [(e, arm) for e in "123" for arm in "ab"]
    assert float(rows[0]["valid_accuracy"]) == pytest.approx(0.905) and rows[0]["seeds"] == "2"
    assert float(rows[0]["valid_accuracy_sd"]) == pytest.approx(statistics.stdev([0.90, 0.91]))
    assert float(rows[4]["train_loss"]) == pytest.approx(1 / 3) and float(rows[4]["seconds"]) == 6.0
    assert rows[1]["valid_accuracy_sd"] == ""
    lines = bnbench("compare", results, "--per-epoch").stdout.split("\n")
    assert lines[1].split() == ["a", "b"]
    assert lines[2].split() == ["train", "train", "valid", "valid"] * 2
    assert lines[3].split() == ["epoch", *["loss", "%", "loss", "%", "±"] * 2]  # one number a column
    assert lines[5].split() == [
        "1",
        "1.0000",
        "89.50",
        "2.0000",
        "90.50",
        "6.35",
        "1.0000",
        "79.00",
        "2.0000",
        "80.00",
    ]


def test_what_must_not_be_compared_stands_apart(bnbench, results):
    make_run(results, "other-data", 0, [0.5] * 3, dataset="mnist5k")
    make_run(results, "longer", 0, [0.5] * 4)
    make_run(results, "smoke", 0, [0.5] * 3, smoke=True)
    edit(make_run(results, "other-mnist", 0, [0.5] * 3), dataset={"name": "mnist", "sha256": "1" * 64})
    groups = json.loads(bnbench("compare", results, "--format", "json").stdout)["groups"]
    shown = [[arm["arm"] for arm in group["arms"]] for group in groups]
    assert shown == [["longer"], ["a", "b"], ["other-mnist"], ["other-data"], ["smoke"]]
    assert "smoke runs: mnist" in bnbench("compare", results).stdout


def test_runs_of_different_lengths_are_compared_at_one_epoch(bnbench, tmp_path):
    for seed in range(3):
        short = {**make_config("none"), "train": {"epochs": 2, "optimizer": {"type": "sgd", "lr": 0.1}}}
        make_run(tmp_path / "r", "short", seed, [0.5, 0.6 + seed / 100], config=short)
        make_run(tmp_path / "r", "long", seed, [0.5, 0.7 + seed / 50, 0.9], config=make_config("batch"))
    make_run(tmp_path / "r", "other-data", 0, [0.5] * 3, dataset="mnist5k")
    question = ("compare", tmp_path / "r", "--at", "2")
    mixed, other = json.loads(bnbench(*question, "--format", "json").stdout)["groups"]
    assert [arm["arm"] for arm in mixed["arms"]] == ["short", "long"] and mixed["epochs"] == mixed["at"] == 2
    assert mixed["arms"][1]["baseline"] == "short"
    assert mixed["arms"][1]["difference"] == pytest.approx(0.11) and mixed["arms"][1]["wins"] == 3
    assert other["epochs"] == 3 and [arm["arm"] for arm in other["arms"]] == ["other-data"]
    out = bnbench(*question).stdout
    assert "after epoch 2 of runs of different lengths" in out
    assert "best_valid_accuracy" not in mixed["arms"][0]  # the best of two epochs and the best of three are not alike
    result = bnbench("compare", tmp_path / "r", "--at", "3")
    assert "different lengths" not in result.stdout and "--at 3 is beyond its last epoch" in result.stderr
    assert len(json.loads(bnbench("compare", tmp_path / "r", "--format", "json").stdout)["groups"]) == 3
    assert bnbench("report", tmp_path / "r", "--at", "2").exit_code == 0


def test_arms_of_one_name_and_two_configs_are_two_rows(bnbench, tmp_path):
    make_run(tmp_path / "r/x", "a", 0, [0.5], digest="d1")
    make_run(tmp_path / "r/y", "a", 0, [0.6], digest="d2")
    rows = rows_of(bnbench("compare", tmp_path / "r", "--format", "csv").stdout)
    shown = [(row["arm"], row["digest"], row["seeds"], row["final_valid_accuracy"]) for row in rows]
    assert shown == [("a", "d1", "1", "0.5"), ("a", "d2", "1", "0.6")]
    table = bnbench("compare", tmp_path / "r").stdout
    assert "a#d1" in table and "a#d2" in table


def test_the_same_run_twice_counts_once_and_is_named(bnbench, tmp_path):
    make_run(tmp_path / "r/x", "a", 0, [0.5])
    make_run(tmp_path / "r/y", "a", 0, [0.6])
    result = bnbench("compare", tmp_path / "r", tmp_path / "r/x", "--format", "csv")
    assert rows_of(result.stdout)[0]["seeds"] == "1"
    assert result.stderr.count("two runs of a seed 0 differ: ") == 1
    assert "r/x/a/seed-0 counts, " in result.stderr and "r/y/a/seed-0 is left out" in result.stderr
    make_run(tmp_path / "r/z", "a", 0, [0.5])
    assert "two runs of a seed 0 are the same to the last digit: " in bnbench("compare", tmp_path / "r").stderr


def test_diverged_and_unfinished_runs_are_in_no_mean_and_named(bnbench, results):
    make_run(results, "a", 2, [0.1], status="diverged", epochs=3)
    make_run(results, "a", 3, [0.1], status="interrupted", epochs=3)
    make_run(results, "c", 0, [0.1], status="diverged", epochs=3, digest="c")
    result = bnbench("compare", results, "--format", "csv")
    rows = {row["arm"]: row for row in rows_of(result.stdout)}
    assert float(rows["a"]["final_valid_accuracy"]) == pytest.approx(0.95) and rows["a"]["diverged"] == "1"
    assert rows["c"]["seeds"] == "0" and rows["c"]["diverged"] == "1" and rows["c"]["final_valid_accuracy"] == ""
    assert "not finished (interrupted)" in result.stderr and "a/seed-3" in result.stderr
    assert "diverged after epoch 1" in result.stderr and "a/seed-2" in result.stderr
    table = bnbench("compare", results).stdout
    assert "2 + 1 diverged" in table and "0 + 1 diverged" in table


DAMAGE = {
    "run.json is not JSON": lambda path: (path / "run.json").write_text("{"),
    "run.json is a list": lambda path: (path / "run.json").write_text("[]"),
    "run.json is deep": lambda path: (path / "run.json").write_text("[" * 100_000),
    "run.json is binary": lambda path: (path / "run.json").write_bytes(b"\xff\xfe"),
    "run.json is empty": lambda path: (path / "run.json").write_text("{}"),
    "newer schema": lambda path: edit(path, schema_version=2),
    "name with markup": lambda path: edit(path, name="[red]x[/nope]"),
    "name with escapes": lambda path: edit(path, name="x\x1b[2J"),
    "name that is a formula": lambda path: edit(path, name="=cmd()"),
    "seed is text": lambda path: edit(path, seed="0"),
    "seed is true": lambda path: edit(path, seed=True),
    "a checksum with escapes": lambda path: edit(path, digest="\x1b[2J"),
    "a name without end": lambda path: edit(path, name="a" * 1_000_000),
    "parameters without end": lambda path: edit(path, parameters=10**300),
    "a negative seed": lambda path: edit(path, seed=-1),
    "NaN for a number": lambda path: edit(path, parameters=float("nan")),
    "test metrics without images held out": lambda path: edit(path, test={"images": 1, "loss": 0.1, "accuracy": 0.5}),
    "impossible test metrics": lambda path: edit(path, test={"images": 1, "loss": 0.1, "accuracy": 1.5}),
    "nested deep": lambda path: edit(path, provenance={"a": json.loads("[" * 90 + "]" * 90)}),
    "a test loss without end": lambda path: edit(
        path,
        split={"train_images": 9, "valid_images": 9, "held_out": 9},
        test={"images": 1, "loss": 1e308, "accuracy": 0.5},
    ),
    "no images": lambda path: edit(path, split={"train_images": 9, "valid_images": 0}),
    "images without end": lambda path: edit(path, split={"train_images": 9, "valid_images": 10**15}),
    "a schema version that is true": lambda path: edit(path, schema_version=True),
    "20 MB": lambda path: edit(path, padding="x" * 20_000_000),
    "UTF-16": lambda path: (path / "metrics.csv").write_text((path / "metrics.csv").read_text(), encoding="utf-16"),
    "NaN for a loss": lambda path: change(path / "metrics.csv", "3,0.3333333333333333", "3,nan"),
    "unknown status": lambda path: edit(path, status="fine"),
    "no metrics": lambda path: (path / "metrics.csv").unlink(),
    "half a number": lambda path: change(path / "metrics.csv", "0.5\n", "0."),
    "another last row": lambda path: change(path / "metrics.csv", "0.5\n", "0.6\n"),
    "percent for fractions": lambda path: change(path / "metrics.csv", "0.5\n", "50.0\n"),
    "negative seconds": lambda path: change(path / "timing.csv", "0.5", "-0.5"),
    "run.json is a folder": lambda path: ((path / "run.json").unlink(), (path / "run.json").mkdir()),
    "timing too short": lambda path: (path / "timing.csv").write_text(",".join(TIMING) + "\n1,1,1\n"),
    "an epoch short": lambda path: edit(path, epochs=4),
    "a misnumbered epoch": lambda path: change(path / "metrics.csv", "\n1,1.0", "\n7,1.0"),
    "half a row": lambda path: (path / "metrics.csv").write_text(",".join(METRICS) + "\n1,0.5,0."),
    "too few rows": lambda path: (path / "metrics.csv").write_text(",".join(METRICS) + "\n1,0.5,0.5,0.5,0.5\n"),
    "other columns": lambda path: (path / "metrics.csv").write_text("epoch,loss\n1,0.5\n"),
    "words": lambda path: (path / "metrics.csv").write_text(",".join(METRICS) + "\n1,a,b,c,d\n"),
    "epochs out of order": lambda path: (path / "metrics.csv").write_text(
        ",".join(METRICS) + "\n2,1,1,1,1\n1,1,1,1,1\n3,1,1,1,1\n"
    ),
    "a million columns": lambda path: (path / "metrics.csv").write_text(",".join(METRICS) + "\n" + "1," * 1_000_000),
    "metrics is a folder": lambda path: ((path / "metrics.csv").unlink(), (path / "metrics.csv").mkdir()),
    "no timing": lambda path: (path / "timing.csv").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_an_unreadable_run_is_named_and_the_others_are_shown(bnbench, results, damage):
    bad = make_run(results, "bad", 0, [0.5] * 3)
    damage(bad)
    result = bnbench("compare", results, "--format", "csv")
    assert result.exit_code == 0
    assert [row["arm"] for row in rows_of(result.stdout)] == ["a", "b"]
    assert "left out, unreadable" in result.stderr and "bad/seed-0" in result.stderr
    assert "\x1b" not in result.stderr and len(result.stderr) < 800


@pytest.mark.parametrize("damage", [None, *DAMAGE.values()], ids=["no runs", *DAMAGE])
def test_nothing_to_show_is_exit_3(bnbench, tmp_path, damage):
    (tmp_path / "r").mkdir()
    if damage is not None:
        damage(make_run(tmp_path / "r", "bad", 0, [0.5] * 3))
    result = bnbench("compare", tmp_path / "r")
    assert result.exit_code == 3 and result.stdout == ""
    assert "no finished run to compare" in result.stderr
    result = bnbench("compare", tmp_path / "nowhere")
    assert result.exit_code == 3 and result.stderr.count("\n") == 1 and "nowhere: no such folder; " in result.stderr


def test_a_path_that_is_not_there_is_refused_with_what_is_meant(bnbench, results, tmp_path):
    arms = ", ".join(sorted(path.name for path in results.iterdir()))
    for path, instead in (
        (tmp_path / "nowhere", "run something first: bnbench run configs/mlp_bn.yaml"),
        (results / "aa", f"did you mean {results / 'a'}?"),
        (results / "typo", f"{results} has {arms}"),
        (results / "a/seed-0/run.json", "name a run's folder, or one above it"),
    ):
        result = bnbench("compare", results, path)
        assert result.exit_code == 3 and result.stdout == "", path
        assert result.stderr.startswith(f"bnbench: {path}: ") and result.stderr.endswith(f"; {instead}\n"), (
            result.stderr
        )
    (tmp_path / "empty").mkdir()
    result = bnbench("compare", results, tmp_path / "empty")
    assert result.exit_code == 0 and f"{tmp_path / 'empty'}: holds no run" in result.stderr


def test_a_hidden_folder_is_no_run(bnbench, results):
    before = bnbench("compare", results).stdout
    shutil.copytree(results / "a/seed-0", results / "a/.tmp-seed-0")
    shutil.copytree(results / "a", results / ".a")
    edit(results / "a/.tmp-seed-0", seed=7)
    after = bnbench("compare", results)
    assert after.stdout == before and ".tmp-seed-0" not in after.stderr and "/.a/" not in after.stderr


def test_a_loss_that_is_infinite_is_strict_json(bnbench, tmp_path):
    path = make_run(tmp_path / "r", "a", 0, [0.5])
    (path / "metrics.csv").write_text(",".join(METRICS) + "\n1,inf,0.49,2.0,0.5\n")
    edit(
        path,
        status="diverged",
        final={"epoch": 1, "train_loss": None, "train_accuracy": 0.49, "valid_loss": 2.0, "valid_accuracy": 0.5},
    )
    text = bnbench("compare", tmp_path / "r", "--format", "json").stdout
    (group,) = json.loads(text, parse_constant=pytest.fail)["groups"]
    assert group["arms"][0]["diverged"] == 1
    edit(path, status="complete")  # which no run with such a loss is
    result = bnbench("compare", tmp_path / "r")
    assert result.exit_code == 3 and "metrics.csv: has a loss that a complete run cannot" in result.stderr


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json"])
@pytest.mark.parametrize("per_epoch", [[], ["--per-epoch"]])
def test_where_every_run_diverged_it_is_said(bnbench, tmp_path, form, per_epoch):
    make_run(tmp_path / "r", "a", 0, [0.1], status="diverged", epochs=3)
    result = bnbench("compare", tmp_path / "r", "--format", form, *per_epoch)
    assert result.exit_code == 0 and "diverged after epoch 1" in result.stderr
    if form == "table":
        assert ("no epoch to show" if per_epoch else "0 + 1 diverged") in result.stdout


def test_a_locale_without_these_characters_is_no_traceback(results):
    command = [sys.executable, "-m", "bnbench", "compare", str(results)]
    result = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=True)
    assert b"\\xb1, [ ]: 95 %" in result.stdout


def test_loops_of_links_end(bnbench, results):
    (results / "a" / "loop").symlink_to(results)
    assert len(rows_of(bnbench("compare", results, "--format", "csv").stdout)) == 2


def test_a_single_run_can_be_named(bnbench, results):
    assert len(rows_of(bnbench("compare", results / "a" / "seed-1", "--format", "csv").stdout)) == 1


def test_compare_imports_no_torch_and_writes_nothing(results):
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    code = (
        "import sys; from bnbench.cli import app\n"
        f"try: app(['compare', {str(results)!r}])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('torch', 'torchvision', 'mlxtend')))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("[]\n") and "95.00 [82.29, 100.00]*" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before


def test_a_closed_pipe_is_no_traceback(results):
    command = f"{sys.executable} -m bnbench compare {results} --per-epoch --format csv | head -n 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("smoke,") and "Traceback" not in result.stderr
    for arguments in ("compare {results}", "verify rms --format json"):
        command = f"{sys.executable} -m bnbench {arguments.format(results=results)} | true; exit ${{PIPESTATUS[0]}}"
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert result.returncode == 141 and "Traceback" not in result.stderr  # 1 would be a failed check


def test_diverged_seeds_of_an_arm_share_a_note(bnbench, tmp_path):
    for seed, losses in ((0, [0.5]), (1, [0.5]), (2, [0.5, 0.5])):
        make_run(tmp_path / "r", "a", seed, losses)
        edit(tmp_path / "r/a" / f"seed-{seed}", status="diverged")
    make_run(tmp_path / "r", "b", 0, [0.5])
    said = [line for line in bnbench("compare", tmp_path / "r").stderr.splitlines() if "so not in any mean" in line]
    assert said == [
        f"diverged after epoch 1, so not in any mean: {tmp_path / 'r/a'}, seeds 0..1",
        f"diverged after epoch 2, so not in any mean: {tmp_path / 'r/a/seed-2'}",
    ]
