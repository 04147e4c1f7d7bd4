"""`bnbench run`: what is written, when it is written anew, and that nothing is ever lost."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

from bnbench import experiment, writer
from bnbench.errors import RunError
from bnbench.results import METRICS, TIMING, read_run

FILES = ["config.yaml", "metrics.csv", "model.pt", "run.json", "timing.csv"]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_directory(bnbench, tiny, tmp_path):
    result = bnbench("run", tiny, "--seeds", "3")
    assert result.exit_code == 0, result.stderr
    folder = tmp_path / "results" / "tiny" / "seed-3"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    metrics = (folder / "metrics.csv").read_text().split("\n")
    assert metrics[0] == ",".join(METRICS) == "epoch,train_loss,train_accuracy,valid_loss,valid_accuracy"
    assert [line.split(",")[0] for line in metrics[1:]] == ["1", "2", ""]
    assert (folder / "timing.csv").read_text().startswith(",".join(TIMING) + "\n1,")
    about = json.loads((folder / "run.json").read_text())
    assert about["status"] == "complete" and about["schema_version"] == 1 and about["smoke"] is False
    assert about["dataset"]["name"] == "mnist5k" and len(about["dataset"]["sha256"]) == 64
    assert about["split"] == {"train_images": 200, "valid_images": 100, "valid_from": "test"}
    assert about["parameters"] == 784 * 8 + 8 + 16 + 8 * 10 + 10
    assert about["final"]["valid_accuracy"] == float(metrics[2].split(",")[4])
    assert about["provenance"]["torch"] == torch.__version__.partition("+")[0]
    assert about["started"] <= about["ended"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["seeds"] == [3] and config["norm"]["momentum"] == 0.1 and config["device"] == "cpu"
    weights = torch.load(folder / "model.pt", weights_only=True)
    assert "norm1.running_mean" in weights and weights["linear1.weight"].shape == (8, 784)
    assert "tiny seed 3: valid accuracy" in result.stdout and "results/tiny/seed-3" in result.stdout
    assert "epoch 2/2" in result.stderr and "epoch" not in result.stdout.replace("after epoch", "").replace(
        ", epoch", ""
    )


def test_the_same_bytes_again(bnbench, tiny, tmp_path):
    for out in ("a", "b"):
        assert bnbench("run", tiny, "--seeds", "0..1", "--out", out, "--quiet").exit_code == 0
    for seed in ("seed-0", "seed-1"):
        a, b = (contents(tmp_path / out / "tiny" / seed) for out in ("a", "b"))
        for name in ("metrics.csv", "config.yaml", "model.pt"):
            assert a[name] == b[name], name
    assert a["metrics.csv"] != contents(tmp_path / "a" / "tiny" / "seed-0")["metrics.csv"]


def test_the_same_bytes_in_another_process_whatever_the_environment(tiny, tmp_path, data_folder):
    for out, threads, hash_seed in (("a", "1", "0"), ("b", "4", "1")):
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "PYTHONHASHSEED": hash_seed,
            "BNBENCH_DATA": str(data_folder),
        }
        command = [sys.executable, "-m", "bnbench", "run", str(tiny), "--out", str(tmp_path / out), "--quiet"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    assert (tmp_path / "a/tiny/seed-0/metrics.csv").read_bytes() == (
        tmp_path / "b/tiny/seed-0/metrics.csv"
    ).read_bytes()


def test_a_complete_run_is_not_trained_again(bnbench, tiny, tmp_path):
    bnbench("run", tiny)
    before = contents(tmp_path / "results/tiny/seed-0")
    result = bnbench("run", tiny)
    assert result.exit_code == 0
    assert "already complete" in result.stdout
    assert contents(tmp_path / "results/tiny/seed-0") == before
    assert "already complete" not in bnbench("run", tiny, "--force").stdout
    assert json.loads(contents(tmp_path / "results/tiny/seed-0")["run.json"])["status"] == "complete"


def test_more_seeds_train_only_the_new_ones(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--seeds", "0")
    result = bnbench("run", tiny, "--seeds", "0..2")
    assert result.stdout.count("already complete") == 1
    assert sorted(path.name for path in (tmp_path / "results/tiny").iterdir()) == ["seed-0", "seed-1", "seed-2"]


def test_another_config_in_the_same_place_is_refused(bnbench, tiny, tmp_path):
    bnbench("run", tiny)
    before = contents(tmp_path / "results/tiny/seed-0")
    result = bnbench(
        "run", tiny, "--set", "train.epochs=1", "--set", "norm.eps=0.1", "--name", "tiny", "--seeds", "0..1"
    )
    assert result.exit_code == 3
    assert "results/tiny/seed-0 holds a run of another config" in result.stderr
    assert "norm.eps is 1e-05 there, 0.1 here; train.epochs is 2 there, 1 here" in result.stderr
    assert contents(tmp_path / "results/tiny/seed-0") == before
    assert not (tmp_path / "results/tiny/seed-1").exists()  # nothing is trained before all places are known to be free
    result = bnbench("run", tiny, "--set", "train.epochs=1", "--name", "tiny", "--force")
    assert result.exit_code == 0
    assert (tmp_path / "results/tiny/seed-0/metrics.csv").read_text().count("\n") == 2


def test_something_else_in_the_place_is_refused(bnbench, tiny, tmp_path):
    folder = tmp_path / "results/tiny/seed-0"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{")
    result = bnbench("run", tiny)
    assert result.exit_code == 3 and "not a readable run" in result.stderr
    assert (folder / "run.json").read_text() == "{"


def test_overrides_stand_side_by_side(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--set", "train.epochs=1")
    bnbench("run", tiny, "--set", "train.epochs=1", "--set", "norm.eps=1e-3")
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert names == ["tiny,train.epochs=1", "tiny,train.epochs=1,norm.eps=1e-3"]


def test_a_resolved_config_runs_to_the_same_bytes(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--set", "norm.eps=1e-3", "--seeds", "4")
    first = tmp_path / "results/tiny,norm.eps=1e-3/seed-4"
    result = bnbench("run", first / "config.yaml", "--out", "again")
    assert result.exit_code == 0, result.stderr
    second = tmp_path / "again/tiny,norm.eps=1e-3/seed-4"
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()


def test_smoke_runs_are_labelled(bnbench, tiny, tmp_path):
    assert bnbench("run", tiny, "--smoke").exit_code == 0
    run = read_run(tmp_path / "results/tiny,smoke/seed-0")
    assert run.smoke and run.dataset == "mnist5k" and run.train_images == 512 and run.epochs == 1


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/nothing"])
def test_an_unwritable_place_is_found_out_before_training(bnbench, tiny, tmp_path, monkeypatch, out):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(experiment, "train", None)
    result = bnbench("run", tiny, "--out", out)
    assert result.exit_code == 3
    assert f"{out} cannot be written: " in result.stderr and "Choose another --out" in result.stderr


def test_a_full_disk_ends_in_a_sentence_and_other_runs_stay(bnbench, tiny, tmp_path, monkeypatch):
    bnbench("run", tiny, "--seeds", "0")
    before = contents(tmp_path / "results/tiny/seed-0")
    real = writer.write_atomic

    def fill(path, data):
        if path.name == "metrics.csv" and data.count(b"\n") == 2:  # after the first epoch
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(writer, "write_atomic", fill)
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 3
    assert "seed-1/metrics.csv cannot be written: No space left on device" in result.stderr
    assert contents(tmp_path / "results/tiny/seed-0") == before
    monkeypatch.setattr(writer, "write_atomic", real)
    assert bnbench("run", tiny, "--seeds", "0..1").exit_code == 0
    assert read_run(tmp_path / "results/tiny/seed-1").status == "complete"


def test_a_run_that_fails_does_not_stop_the_others(bnbench, tiny, tmp_path, monkeypatch):
    real = experiment.build_optimizer
    calls = []

    def fail_once(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return real(*arguments)

    monkeypatch.setattr(experiment, "build_optimizer", fail_once)
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 3
    assert "tiny seed 0 failed: DefaultCPUAllocator: not enough memory" in result.stderr
    assert "tiny seed 1: valid accuracy" in result.stdout
    assert json.loads((tmp_path / "results/tiny/seed-0/run.json").read_text())["status"] == "failed"
    assert bnbench("run", tiny, "--seeds", "0..1").exit_code == 0  # and the same command mends it


def test_divergence_is_a_result(bnbench, tiny, tmp_path):
    result = bnbench("run", tiny, "--set", "train.optimizer.lr=1e6", "--set", "norm={type: none}", "--name", "wild")
    assert result.exit_code == 0, result.stderr
    assert "wild seed 0: diverged in epoch 1" in result.stdout
    run = read_run(tmp_path / "results/wild/seed-0")
    assert run.status == "diverged" and len(run.rows) == 1
    json.loads((tmp_path / "results/wild/seed-0/run.json").read_text(), parse_constant=pytest.fail)  # strict JSON


def test_without_mnist_it_falls_back_loudly(bnbench, tiny, tmp_path):
    result = bnbench("run", tiny, "--set", "data.dataset=mnist", "--name", "t")
    assert result.exit_code == 0
    assert "WARNING" in result.stderr and "mnist5k" in result.stderr and "--no-fallback" in result.stderr
    run = read_run(tmp_path / "results/t,data.dataset=mnist5k/seed-0")
    assert run.dataset == "mnist5k" and run.name == "t,data.dataset=mnist5k"


def test_the_warning_is_loud_even_when_quiet(bnbench, tiny):
    assert "WARNING" in bnbench("run", tiny, "--set", "data.dataset=mnist", "--quiet").stderr


@pytest.mark.parametrize("option", [["--no-fallback"], ["--set", "data.fallback=error"]])
def test_no_fallback_refuses(bnbench, tiny, tmp_path, option):
    result = bnbench("run", tiny, "--set", "data.dataset=mnist", *option)
    assert result.exit_code == 4
    assert "bnbench data fetch mnist" in result.stderr
    assert not list((tmp_path / "results").rglob("*.json"))


def test_a_fallback_that_does_not_fit_is_said(bnbench, tiny):
    result = bnbench(
        "run", tiny, "--set", "data.dataset=mnist", "--set", "data.train_limit=null", "--set", "data.batch_size=5000"
    )
    assert result.exit_code == 2
    assert "does not fit mnist5k" in result.stderr and "5000 is more than the 4000 training images" in result.stderr


def test_a_device_that_is_not_here(bnbench, tiny, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = bnbench("run", tiny, "--device", "cuda")
    assert result.exit_code == 2 and "no usable CUDA device; use --device cpu" in result.stderr


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_a_signal_ends_it_cleanly(tiny, tmp_path, data_folder, number, code, name):
    command = [sys.executable, "-m", "bnbench", "run", str(tiny), "--out", str(tmp_path / "r"), "--seeds", "0..1"]
    command += ["--set", "train.epochs=10000", "--name", "long"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "BNBENCH_DATA": str(data_folder)}
    ) as process:
        lines = []
        for line in process.stderr:  # wait until it trains
            lines.append(line)
            if "epoch 3/" in line:
                break
        sent = time.monotonic()
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(10) == code
        assert time.monotonic() - sent < 2
    assert f"stopped by {name}" in rest and "the same command" in rest and "Traceback" not in rest
    about = json.loads((tmp_path / "r/long/seed-0/run.json").read_text())
    assert about["status"] == "interrupted" and about["final"]["epoch"] >= 3
    assert sorted(path.name for path in (tmp_path / "r/long").iterdir()) == ["seed-0"]
    assert not list((tmp_path / "r").rglob("*.tmp"))


def test_an_interrupted_run_is_trained_again(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--out", "whole")
    bnbench("run", tiny)
    folder = tmp_path / "results/tiny/seed-0"
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "status": "interrupted"}))
    (folder / ".metrics.csv.123.tmp").write_text("left by a kill")
    result = bnbench("run", tiny)
    assert result.exit_code == 0 and "already" not in result.stdout
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert (folder / "metrics.csv").read_bytes() == (tmp_path / "whole/tiny/seed-0/metrics.csv").read_bytes()


def test_status_complete_is_written_last(tiny, tmp_path, monkeypatch, bnbench):
    """A kill at any write leaves a run that does not read as complete."""
    real, written = writer.write_atomic, []

    def record(path, data):
        real(path, data)
        written.append((path.name, b'"status": "complete"' in data))

    monkeypatch.setattr(writer, "write_atomic", record)
    bnbench("run", tiny)
    assert written[0] == ("run.json", False)  # and says "running" before anything is trained
    assert written[-1] == ("run.json", True)
    assert [complete for _, complete in written].count(True) == 1


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    writer.write_atomic(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        writer.write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["f"]


def test_run_error_names_the_path(tiny, tmp_path):
    from bnbench.configfile import load_config

    (tmp_path / "x").write_text("")
    with pytest.raises(RunError, match=r"x/tiny/seed-0 cannot be written: Not a directory"):
        writer.RunWriter(tmp_path / "x/tiny/seed-0", load_config(tiny), {}).start()
