"""`bnbench run`: the files of a run, when they are replaced, and that no failure loses results."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import yaml
from handmade import edit, make_run

from bnbench.errors import ResultsError, RunError
from bnbench.runs import write as writer
from bnbench.runs.format import METRICS, TIMING, read_mistakes, read_run
from bnbench.training import experiment
from bnbench.training import loop as train

FILES = ["config.yaml", "continue.pt", "metrics.csv", "mistakes.csv", "model.pt", "run.json", "timing.csv"]


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
    assert about["split"] == {"train_images": 200, "valid_images": 100, "valid_from": "test", "held_out": 0}
    assert about["test"] is None
    assert about["parameters"] == 784 * 8 + 8 + 16 + 8 * 10 + 10
    assert about["final"]["valid_accuracy"] == float(metrics[2].split(",")[4])
    assert about["provenance"]["torch"] == version("torch")
    assert about["started"] <= about["ended"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert about["config"] == config
    assert config["seeds"] == [3] and config["norm"]["momentum"] == 0.1 and config["device"] == "cpu"
    weights = torch.load(folder / "model.pt", weights_only=True)
    assert "norm1.running_mean" in weights and weights["linear1.weight"].shape == (8, 784)
    assert "tiny seed 3: valid accuracy" in result.stdout and "results/tiny/seed-3" in result.stdout
    assert "epoch 2/2" in result.stderr and "epoch" not in result.stdout.replace("after epoch", "").replace(
        ", epoch", ""
    )


def test_mistakes_are_those_of_the_final_network(bnbench, tiny, tmp_path, mnist5k):
    from bnbench.config.load import load_config
    from bnbench.training.experiment import build_model

    bnbench("run", tiny)
    run = read_run(tmp_path / "results/tiny/seed-0")
    model = build_model(load_config(tiny)).eval()
    model.load_state_dict(torch.load(run.path / "model.pt", weights_only=True))
    predicted = model(mnist5k.test_images[:100].unsqueeze(1) / 127.5 - 1).argmax(1)
    expected = [
        f"{i},{label},{digit}"
        for i, (label, digit) in enumerate(zip(mnist5k.test_labels[:100].tolist(), predicted.tolist(), strict=True))
        if label != digit
    ]
    assert (run.path / "mistakes.csv").read_text().split("\n") == ["image,label,predicted", *expected, ""]
    assert read_mistakes(run) == [int(row.split(",")[0]) for row in expected]
    assert run.test_accuracy == run.rows[-1].valid_accuracy == pytest.approx(1 - len(expected) / 100)


def test_with_images_held_out_the_test_set_is_read_once_at_the_end(bnbench, tiny, tmp_path, monkeypatch):
    judged = []
    evaluate = train.evaluate
    for module in (train, experiment):
        monkeypatch.setattr(
            module, "evaluate", lambda model, split, *step: judged.append(len(split)) or evaluate(model, split, *step)
        )
    result = bnbench("run", tiny, "--set", "data.valid=150", "--set", "data.valid_limit=null")
    assert result.exit_code == 0, result.stderr
    assert judged == [150, 150, 1_000]
    run = read_run(next((tmp_path / "results").glob("*/seed-0")))
    about = json.loads((run.path / "run.json").read_text())
    assert about["split"] == {"train_images": 200, "valid_images": 150, "valid_from": "train", "held_out": 150}
    assert about["test"]["images"] == 1_000 and about["test"]["accuracy"] == run.test_accuracy
    assert f"test accuracy {100 * run.test_accuracy:.2f} %" in result.stdout
    assert len(read_mistakes(run)) == round(1_000 * (1 - run.test_accuracy))


def test_with_data_test_false_nothing_reads_the_test_images_and_the_folder_says_so(bnbench, tiny, monkeypatch):
    judged = []
    evaluate = train.evaluate
    for module in (train, experiment):
        monkeypatch.setattr(
            module, "evaluate", lambda model, split, *step: judged.append(len(split)) or evaluate(model, split, *step)
        )
    unread = ("--set", "data.valid=150", "--set", "data.valid_limit=null", "--set", "data.test=false")
    result = bnbench("run", tiny, *unread)
    assert result.exit_code == 0, result.stderr
    assert judged == [150, 150]  # as often as there are epochs
    run = read_run(Path("results/tiny,data.test=false,data.valid=150,data.valid_limit=null/seed-0"))
    about = json.loads((run.path / "run.json").read_text())
    assert about["test"] is None and about["split"]["test_images"] == 0 and not run.tested
    assert about["config"]["data"]["test"] is False and "test: false" in (run.path / "config.yaml").read_text()
    assert not (run.path / "mistakes.csv").exists() and "test accuracy" not in result.stdout
    assert "not read, because of data.test: false" in bnbench("show", run.path).stdout
    for metric in ("valid_accuracy", "test_accuracy"):
        compared = bnbench("compare", "results", "--metric", metric)
        assert compared.exit_code == 0 and "mistakes.csv" not in compared.stderr


def test_a_run_that_should_have_read_the_test_images_and_did_not_is_damaged(tmp_path):
    run = make_run(tmp_path, "a", 0, [0.9], test=0.8)
    edit(run, test=None)
    with pytest.raises(ResultsError, match="test metrics belong to"):
        read_run(run)
    split = {"train_images": 9, "valid_images": 9, "held_out": 9, "test_images": 0}
    edit(run, split=split)
    assert read_run(run).test is None
    edit(run, test={"images": 9, "loss": 0.5, "accuracy": 0.9})
    with pytest.raises(ResultsError, match=r"data\.test"):
        read_run(run)


def test_the_same_bytes_again(bnbench, tiny, tmp_path):
    for out in ("a", "b"):
        assert bnbench("run", tiny, "--seeds", "0..1", "--out", out, "--quiet").exit_code == 0
    for seed in ("seed-0", "seed-1"):
        a, b = (contents(tmp_path / out / "tiny" / seed) for out in ("a", "b"))
        for name in ("metrics.csv", "mistakes.csv", "config.yaml", "model.pt"):
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


def test_a_run_of_another_seed_is_not_this_run(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--seeds", "1")
    shutil.copytree(tmp_path / "results/tiny/seed-1", tmp_path / "results/tiny/seed-5")
    result = bnbench("run", tiny, "--seeds", "5")
    assert result.exit_code == 3 and "seed is 1 there, 5 here" in result.stderr


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
    assert not (tmp_path / "results/tiny/seed-1").exists()  # every folder is checked before training starts
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
    bnbench("run", tiny, "--set", "norm.eps=0.001", "--set", "train.epochs=1")  # the same arm, spelt otherwise
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert names == ["tiny,norm.eps=0.001,train.epochs=1", "tiny,train.epochs=1"]


def test_a_resolved_config_runs_to_the_same_bytes(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--set", "norm.eps=1e-3", "--seeds", "4")
    first = tmp_path / "results/tiny,norm.eps=0.001/seed-4"
    result = bnbench("run", first / "config.yaml", "--out", "again")
    assert result.exit_code == 0, result.stderr
    second = tmp_path / "again/tiny,norm.eps=0.001/seed-4"
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()


def test_smoke_runs_are_labelled(bnbench, tiny, tmp_path):
    """The label stays under another name, and when the resolved config is run."""
    assert bnbench("run", tiny, "--smoke").exit_code == 0
    assert bnbench("run", tiny, "--smoke", "--name", "other").exit_code == 0
    assert bnbench("run", tmp_path / "results/tiny,smoke/seed-0/config.yaml", "--out", "again").exit_code == 0
    for folder in ("results/tiny,smoke", "results/other,smoke", "again/tiny,smoke"):
        run = read_run(tmp_path / folder / "seed-0")
        assert run.smoke and run.dataset == "mnist5k" and run.train_images == 512 and run.epochs == 1


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/nothing"])
def test_an_unwritable_place_is_found_out_before_training(bnbench, tiny, tmp_path, monkeypatch, out):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(experiment, "train", None)
    result = bnbench("run", tiny, "--out", out)
    assert result.exit_code == 3
    assert f"{out} cannot be written: " in result.stderr and "hoose another --out" in result.stderr


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
    assert result.stderr.count("tiny seed 0 failed: DefaultCPUAllocator: not enough memory") == 1
    assert (
        "1 of 2 runs failed:\nbnbench:   tiny seed 0: DefaultCPUAllocator: not enough memory\n"
        "bnbench: Run the same command again to finish the rest\n" in result.stderr
    )
    assert "tiny seed 1: valid accuracy" in result.stdout
    assert json.loads((tmp_path / "results/tiny/seed-0/run.json").read_text())["status"] == "failed"
    assert bnbench("run", tiny, "--seeds", "0..1").exit_code == 0  # the same command trains it again


def test_divergence_is_a_result(bnbench, tiny, tmp_path):
    result = bnbench("run", tiny, "--set", "train.optimizer.lr=1e6", "--set", "norm={type: none}", "--name", "wild")
    assert result.exit_code == 0, result.stderr
    assert "wild seed 0: diverged in epoch 1" in result.stdout
    run = read_run(tmp_path / "results/wild/seed-0")
    assert run.status == "diverged" and len(run.rows) == 1
    json.loads((tmp_path / "results/wild/seed-0/run.json").read_text(), parse_constant=pytest.fail)  # strict JSON


def test_a_last_step_that_explodes_is_divergence(bnbench, tiny, tmp_path):
    """With one batch in an epoch, its loss is fine; only validation shows the effect of its step."""
    options = ["--set", "data.batch_size=200", "--set", "train.epochs=1", "--set", "train.optimizer.lr=1e6"]
    bnbench("run", tiny, *options, "--name", "last")
    run = read_run(tmp_path / "results/last/seed-0")
    assert run.rows[0].train_loss < 10 and run.rows[0].valid_loss > 1e3 and run.status == "diverged"


def test_a_complete_run_that_was_damaged_is_refused_up_front(bnbench, tiny, tmp_path):
    bnbench("run", tiny)
    metrics = tmp_path / "results/tiny/seed-0/metrics.csv"
    metrics.write_text(metrics.read_text()[:-3])
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 3 and "metrics.csv: is cut off in its last line" in result.stderr
    assert "--force" in result.stderr and not (tmp_path / "results/tiny/seed-1").exists()


def test_a_run_from_before_a_key_existed_is_still_this_run(bnbench, tiny, tmp_path):
    bnbench("run", tiny)
    path = tmp_path / "results/tiny/seed-0/config.yaml"
    config = yaml.safe_load(path.read_text())
    del config["norm"]["affine"], config["threads"]
    path.write_text(yaml.safe_dump(config))
    assert "already complete" in bnbench("run", tiny).stdout


def test_without_mnist_it_falls_back_loudly(bnbench, tiny, tmp_path):
    result = bnbench("run", tiny, "--set", "data.dataset=mnist", "--name", "t")
    assert result.exit_code == 0
    assert "WARNING" in result.stderr and "mnist5k" in result.stderr and "--no-fallback" in result.stderr
    run = read_run(tmp_path / "results/t,data.dataset=mnist5k/seed-0")
    assert run.dataset == "mnist5k" and run.name == "t,data.dataset=mnist5k"


def test_the_warning_is_loud_even_when_quiet(bnbench, tiny):
    assert "WARNING" in bnbench("run", tiny, "--set", "data.dataset=mnist", "--quiet").stderr


def test_a_fallback_holds_out_what_mnist5k_can_spare_and_says_so(bnbench, tiny, tmp_path):
    overrides = ("--set", "data={dataset: mnist, valid: 5000, batch_size: 50, train_limit: 3500}", "--name", "held")
    result = bnbench("run", tiny, *overrides, "--set", "train.epochs=1")
    assert result.exit_code == 0 and "1,000 of the training images are held out." in result.stderr
    run = read_run(tmp_path / "results/held,data.dataset=mnist5k/seed-0")
    assert (run.train_images, run.valid_images, run.held_out, run.test_images) == (3_000, 1_000, 1_000, 1_000)


@pytest.mark.parametrize("option", [["--no-fallback"], ["--set", "data.fallback=error"]])
def test_no_fallback_refuses(bnbench, tiny, tmp_path, option):
    result = bnbench("run", tiny, "--set", "data.dataset=mnist", *option)
    assert result.exit_code == 4
    assert "bnbench data fetch mnist" in result.stderr
    assert not list((tmp_path / "results").rglob("*.json"))


def test_a_fallback_that_does_not_fit_is_said(bnbench, tiny, tmp_path):
    result = bnbench(
        "run", tiny, "--set", "data.dataset=mnist", "--set", "data.train_limit=null", "--set", "data.batch_size=5000"
    )
    assert result.exit_code == 2
    assert "does not fit mnist5k" in result.stderr and "5,000 is more than the 4,000 training images" in result.stderr
    assert not (tmp_path / "results").exists()


def test_a_device_that_is_not_here(bnbench, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = bnbench("run", tiny, "--device", "cuda")
    assert result.exit_code == 2 and "no usable CUDA device; use --device cpu" in result.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGINT, 130, "Ctrl-C"), pytest.param(signal.SIGTERM, 143, "SIGTERM", marks=pytest.mark.slow)],
)
def test_a_signal_ends_it_cleanly(tiny, tmp_path, data_folder, number, code, name):
    command = [sys.executable, "-m", "bnbench", "run", str(tiny), "--out", str(tmp_path / "r"), "--seeds", "0..1"]
    command += ["--set", "train.epochs=10000", "--name", "long", "--engine", "eager"]  # one run after the other
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "BNBENCH_DATA": str(data_folder)}
    ) as process:
        lines = []
        for line in process.stderr:  # wait until it trains
            lines.append(line)
            if "epoch 3/" in line:
                break
        for _ in range(3):  # repeated signals change nothing
            process.send_signal(number)
            time.sleep(0.01)
        rest = process.stderr.read()
        assert process.wait(30) == code
    assert f"stopped by {name}" in rest and "the same command" in rest and "Traceback" not in rest
    about = json.loads((tmp_path / "r/long/seed-0/run.json").read_text())
    assert about["status"] == "interrupted" and about["ended"]
    assert int(re.search(r"saved: long seed 0 after epoch (\d+) of 10000", rest)[1]) >= 3
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
    """After a kill at any write, the status is not "complete"."""
    real, written = writer.write_atomic, []

    def record(path, data):
        real(path, data)
        written.append((path.name, b'"status": "complete"' in data))

    monkeypatch.setattr(writer, "write_atomic", record)
    bnbench("run", tiny)
    assert [name for name, _ in written[:4]] == ["config.yaml", "metrics.csv", "timing.csv", "run.json"]
    assert written[-1] == ("run.json", True)
    assert [complete for _, complete in written].count(True) == 1


@pytest.mark.parametrize("force", [False, True])
def test_a_kill_at_any_change_of_a_file_loses_nothing(bnbench, tiny, tmp_path, monkeypatch, force):
    """Stop before the k-th write or removal, for every k. The same command then writes the same bytes."""
    arguments = ["run", tiny, "--set", "train.epochs=1"]
    bnbench(*arguments, "--out", "whole")
    whole = contents(tmp_path / "whole/tiny,train.epochs=1/seed-0")["metrics.csv"]
    folder = tmp_path / "results/tiny,train.epochs=1/seed-0"
    real_write, real_unlink = writer.write_atomic, Path.unlink

    class Kill(BaseException):
        pass

    for k in range(40):
        if force:
            bnbench(*arguments)  # so that --force has a run to replace
        left = [k]

        def step(path, left=left):
            if path.parent == Path("results/tiny,train.epochs=1/seed-0"):
                left[0] -= 1
                if left[0] < 0:
                    raise Kill

        monkeypatch.setattr(writer, "write_atomic", lambda path, data, step=step: (step(path), real_write(path, data)))
        monkeypatch.setattr(Path, "unlink", lambda path, step=step, **kw: (step(path), real_unlink(path, **kw))[1])
        try:
            result = bnbench(*arguments, *(["--force"] if force else []))
        except Kill:
            result = None
        monkeypatch.setattr(writer, "write_atomic", real_write)
        monkeypatch.setattr(Path, "unlink", real_unlink)
        if result is not None:
            assert result.exit_code == 0
            break
        if force and k == 0:
            continue  # nothing has changed yet: the old run is complete
        whole_already = (folder / "run.json").exists() and read_run(folder).status == "complete"  # then it is
        assert bnbench("compare", "results").exit_code == (0 if whole_already else 3)
        again = bnbench(*arguments)
        assert again.exit_code == 0 and ("already" in again.stdout) is whole_already, (k, again.stderr)
        assert contents(folder)["metrics.csv"] == whole and sorted(contents(folder)) == FILES
        if not force:
            shutil.rmtree(tmp_path / "results")
    assert 10 < k < 39  # it stopped at many places, and the last attempt finished


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    writer.write_atomic(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        writer.write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["f"]


def test_run_error_names_the_path(tiny, tmp_path):
    from bnbench.config.load import load_config

    (tmp_path / "x").write_text("")
    with pytest.raises(RunError, match=r"x/tiny/seed-0 cannot be written: Not a directory"):
        writer.RunWriter(tmp_path / "x/tiny/seed-0", load_config(tiny), {}).start()
