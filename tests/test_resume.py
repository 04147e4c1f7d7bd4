"""An interrupted run resumes after its last finished epoch and ends with the bytes of an uninterrupted run."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY

from bnbench.config.load import load_config
from bnbench.data.splits import Pixels, normalize
from bnbench.launch import run_one as attempt
from bnbench.runs import kept
from bnbench.runs.format import EpochRow, read_run
from bnbench.training import checkpoint, experiment
from bnbench.training.events import Notice

SAME = ("config.yaml", "metrics.csv", "mistakes.csv", "model.pt")
SHIPPED = sorted(path for path in (REPOSITORY / "configs").rglob("*.yaml") if path.parent.name in ("configs", "norms"))
TINY = ["data.dataset=mnist5k", "data.train_limit=200", "data.valid_limit=100", "train.epochs=3", "device=cpu"]


class Kill(BaseException):
    """Like SIGKILL, no code of bnbench handles it."""


@pytest.fixture(scope="module")
def data(data_folder):
    from bnbench.data import datasets

    dataset, sha256 = datasets.load("mnist5k", data_folder)
    return lambda dtype: experiment.Loaded("mnist5k", sha256, normalize(dataset, Pixels(dtype)))


def run(config, data, out, *, kill_after=None):
    """Train, or die after the report of epoch `kill_after`. Return the outcome and the events, in order."""
    told = []

    def report(number, event):
        told.append(event)
        if isinstance(event, EpochRow) and event.epoch == kill_after:
            raise Kill

    outcome = None
    try:
        ((_, outcome),) = attempt.attempt([attempt.Job(0, config, out, False, "a test")], data(config.dtype), report)
    except Kill:
        assert kill_after
    return outcome, told


def whole_and_resumed(config, data, tmp_path, after=1):
    run(config, data, tmp_path / "whole")
    run(config, data, tmp_path / "killed", kill_after=after)
    outcome, told = run(config, data, tmp_path / "killed")
    assert outcome.status in ("complete", "diverged")
    assert [event.epoch for event in told if isinstance(event, EpochRow)] == list(
        range(after + 1, len(read_run(outcome.folder).rows) + 1)
    )
    return outcome.folder.parent.parent.parent / "whole" / config.name / "seed-0", outcome.folder


def same(a, b):
    return [name for name in SAME if (a / name).exists() and (a / name).read_bytes() != (b / name).read_bytes()]


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_every_shipped_arm_resumes_to_the_same_bytes(path, data, tmp_path):
    whole, resumed = whole_and_resumed(load_config(path, TINY), data, tmp_path)
    assert same(whole, resumed) == []
    assert sorted(p.name for p in resumed.iterdir()) == sorted(p.name for p in whole.iterdir())


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.optimizer={type: adam, weight_decay: 0.01}"],
        ["train.optimizer={type: sgd, lr: 0.1, momentum: 0.9, weight_decay: 0.001}"],
        ["dtype=float64", "train.optimizer={type: adam}"],
        ["norm={type: batch, eval_statistics: precise}"],
        ["norm={type: batch_renorm}", "train.epochs=4"],
        ["norm={type: weight, init: data}"],
        ["data.valid=100"],
        ["threads=2"],
        ["train.schedule={type: step, epochs: [2], warmup_steps: 5}", "train.epochs=4"],
        ["train.schedule={type: cosine}", "train.epochs=4", "train.optimizer={type: adam}"],
        ["data.order=by_class", "data.drop_last=true", "data.train_limit=210"],
    ],
    ids=lambda overrides: overrides[0],
)
@pytest.mark.parametrize("after", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_every_kind_of_state_is_kept(overrides, after, data, tmp_path):
    config = load_config(REPOSITORY / "configs/mlp_bn.yaml", [*TINY, *overrides])
    whole, resumed = whole_and_resumed(config, data, tmp_path, after)
    assert same(whole, resumed) == []


def test_a_resumed_run_records_it(data, tiny, tmp_path):
    config = load_config(tiny, ["train.epochs=3"])
    whole, resumed = whole_and_resumed(config, data, tmp_path, after=2)
    about, other = (json.loads((folder / "run.json").read_text()) for folder in (resumed, whole))
    assert about.pop("resumed_after") == [2] and "resumed_after" not in other
    for key in ("started", "ended"):
        assert about.pop(key) and other.pop(key)
    assert about == other
    assert [row.train_seconds > 0 for row in read_run(resumed).rows] == [True] * 3  # the timing is kept too


def test_a_run_that_diverged_before_it_was_killed_has_diverged(data, tiny, tmp_path):
    config = load_config(tiny, ["train.optimizer.lr=1e6", "norm={type: none}"])
    run(config, data, tmp_path, kill_after=1)
    outcome, told = run(config, data, tmp_path)
    assert outcome.status == "diverged" and len(read_run(outcome.folder).rows) == 1
    assert not any(isinstance(event, EpochRow) for event in told)


def damage(kind, path):
    contents = path.read_bytes()
    if kind == "cut off":
        path.write_bytes(contents[:-100])
    elif kind == "a flipped bit":
        path.write_bytes(contents[:5000] + bytes([contents[5000] ^ 1]) + contents[5001:])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "not a line of JSON, with the right checksum":
        payload = b"garbage"
        path.write_bytes(hashlib.sha256(payload).digest() + payload)
    elif kind == "not a state, with the right checksum":
        there = kept.read(path.parent)
        path.write_bytes(kept.pack(there.origin, there.rows, b"garbage"))
    elif kind == "code, with the right checksum":

        class Evil:
            def __reduce__(self):
                return os.mkdir, (str(path.parent / "evil"),)

        buffer = io.BytesIO()
        torch.save(Evil(), buffer)
        there = kept.read(path.parent)
        path.write_bytes(kept.pack(there.origin, there.rows, buffer.getvalue()))


KINDS = [
    *("cut off", "a flipped bit", "empty", "not a line of JSON, with the right checksum"),
    *("not a state, with the right checksum", "code, with the right checksum"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_checkpoint_is_named_and_the_run_starts_over(kind, data, tiny, tmp_path):
    config = load_config(tiny)
    run(config, data, tmp_path / "whole")
    run(config, data, tmp_path / "killed", kill_after=1)
    folder = tmp_path / "killed/tiny/seed-0"
    damage(kind, folder / "checkpoint")
    outcome, told = run(config, data, tmp_path / "killed")
    (notice,) = [event for event in told if isinstance(event, Notice)]
    assert notice.text == f"{folder / 'checkpoint'} is damaged, so the run starts again"
    assert outcome.status == "complete" and same(tmp_path / "whole/tiny/seed-0", folder) == []
    assert not (folder / "evil").exists()


@pytest.mark.parametrize("damage", ["cut off", "other text", "missing"])
@pytest.mark.parametrize("table", ["metrics.csv", "timing.csv"])
def test_damaged_tables_beside_a_good_checkpoint_cost_no_epoch(damage, table, data, bnbench, tiny, tmp_path):
    run(load_config(tiny), data, tmp_path / "whole")
    run(load_config(tiny), data, tmp_path / "results", kill_after=1)
    path = tmp_path / "results/tiny/seed-0" / table
    if damage == "missing":
        path.unlink()
    else:
        path.write_text(path.read_text()[:-4] if damage == "cut off" else "lunch at noon\n")
    assert "tiny seed 0: resumes after epoch 1 of 2" in bnbench("run", tiny, "--dry-run").stdout
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 0 and result.stdout.count("valid accuracy") == 2, result.stderr
    said = " ".join(result.stderr.split())
    assert f"seed-0/{table}" in said and "the checkpoint has every epoch, so the run resumes from it" in said
    assert "tiny seed 0 resumes after epoch 1/2" in said
    assert same(tmp_path / "whole/tiny/seed-0", tmp_path / "results/tiny/seed-0") == []


def test_a_resumed_run_replaces_linked_files_and_what_they_point_to_stays(data, bnbench, tiny, tmp_path):
    run(load_config(tiny), data, tmp_path / "results", kill_after=1)
    folder, outside = tmp_path / "results/tiny/seed-0", tmp_path / "outside"
    shutil.move(folder, outside)
    folder.mkdir()
    for path in outside.iterdir():
        (folder / path.name).symlink_to(path)
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    result = bnbench("run", tiny)
    assert result.exit_code == 0 and "resumes after epoch 1/2" in result.stderr
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before
    assert not [path.name for path in folder.iterdir() if path.is_symlink()] and len(read_run(folder).rows) == 2


def test_damaged_tables_without_a_checkpoint_start_again(data, bnbench, tiny, tmp_path):
    run(load_config(tiny), data, tmp_path / "results", kill_after=1)
    folder = tmp_path / "results/tiny/seed-0"
    (folder / "checkpoint").unlink()
    (folder / "metrics.csv").write_text("lunch")
    assert "tiny seed 0: trains 2 epochs" in bnbench("run", tiny, "--dry-run").stdout
    assert bnbench("run", tiny).exit_code == 0 and len(read_run(folder).rows) == 2


def test_a_dry_run_names_the_epoch_at_which_the_run_resumes(data, bnbench, tiny, tmp_path, monkeypatch):
    """The checkpoint's, which is ahead of the tables after a kill; none, where the checkpoint cannot be used."""
    run(load_config(tiny), data, tmp_path / "results", kill_after=1)
    folder = tmp_path / "results/tiny/seed-0"
    for table in ("metrics.csv", "timing.csv"):
        (folder / table).write_text((folder / table).read_text().splitlines()[0] + "\n")
    dry = bnbench("run", tiny, "--dry-run")
    assert "resumes after epoch 1 of 2" in dry.stdout and "1 to resume" in dry.stderr
    with monkeypatch.context() as other:
        here = kept.provenance()
        other.setattr(kept, "provenance", lambda: {**here, "torch": "3.0"})
        assert "trains 2 epochs" in bnbench("run", tiny, "--dry-run").stdout
    damaged = (folder / "checkpoint").read_bytes()[:-1]
    (folder / "checkpoint").write_bytes(damaged)
    assert "trains 2 epochs" in bnbench("run", tiny, "--dry-run").stdout


def test_a_checkpoint_of_an_earlier_version_is_named(data, tiny, tmp_path):
    run(load_config(tiny), data, tmp_path, kill_after=1)
    earlier = checkpoint.to_bytes({"origin": {}, "rows": [], "model": {}, "optimizer": {}})
    (tmp_path / "tiny/seed-0/checkpoint").write_bytes(hashlib.sha256(earlier).digest() + earlier)
    outcome, told = run(load_config(tiny), data, tmp_path)
    (notice,) = [event for event in told if isinstance(event, Notice)]
    assert "was made by an earlier version of bnbench, so the run starts again" in notice.text
    assert outcome.status == "complete"


def test_what_a_checkpoint_keeps_is_exact(tmp_path):
    rows = (
        EpochRow(1, 0.1 + 0.2, 1 / 3, float("inf"), 0.5, 1e-6, 2.0),
        EpochRow(2, 1e-300, 0.0, -float("inf"), 1.0, 0.0, 0.0, diverged=True),
    )
    state = b"\n\x00 any bytes\n"
    (tmp_path / "checkpoint").write_bytes(kept.pack({"seed": "1"}, rows, state))
    assert kept.read(tmp_path) == kept.Kept({"seed": "1"}, rows, state)


def test_another_version_does_not_resume(data, tiny, tmp_path, monkeypatch):
    """A run that two versions of PyTorch trained would match the numbers of neither."""
    config = load_config(tiny)
    run(config, data, tmp_path, kill_after=1)
    provenance = kept.provenance()
    monkeypatch.setattr(kept, "provenance", lambda: {**provenance, "torch": "3.0"})
    outcome, told = run(config, data, tmp_path)
    (notice,) = [event for event in told if isinstance(event, Notice)]
    assert "was made with another torch, so the run starts again" in notice.text
    assert [event.epoch for event in told if isinstance(event, EpochRow)] == [1, 2]
    assert "resumed_after" not in json.loads((outcome.folder / "run.json").read_text())


def test_a_checkpoint_of_another_run_is_not_resumed(data, tiny, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        run(load_config(tiny, [f"seeds={seed}"]), data, tmp_path / name, kill_after=1)
    shutil.copy(tmp_path / "a/tiny/seed-0/checkpoint", tmp_path / "b/tiny/seed-1/checkpoint")
    _, told = run(load_config(tiny, ["seeds=1"]), data, tmp_path / "b")
    assert any(isinstance(event, Notice) and "another seed" in event.text for event in told)


def test_a_checkpoint_without_a_run_is_not_resumed(data, tiny, tmp_path):
    """A kill while --force removes the run that is there leaves such a folder."""
    config = load_config(tiny)
    run(config, data, tmp_path / "whole")
    run(config, data, tmp_path / "killed", kill_after=1)
    folder = tmp_path / "killed/tiny/seed-0"
    (folder / "run.json").unlink()
    outcome, told = run(config, data, tmp_path / "killed")
    assert outcome.status == "complete" and same(tmp_path / "whole/tiny/seed-0", folder) == []
    assert [event.epoch for event in told if isinstance(event, EpochRow)] == [1, 2]


def test_an_edited_run_still_resumes(data, tiny, tmp_path):
    config = load_config(tiny)
    run(config, data, tmp_path, kill_after=1)
    path = tmp_path / "tiny/seed-0/run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "resumed_after": 5, "started": None}))
    outcome, _ = run(config, data, tmp_path)
    assert outcome.status == "complete" and json.loads(path.read_text())["resumed_after"] == [1]


@pytest.mark.parametrize("key", ["dataset", "bnbench", "torch", "platform", "processor", "config"])
def test_all_that_the_numbers_depend_on_is_in_the_origin(key, data, tiny):
    origin = kept.origin(load_config(tiny), data("float32").sha256)
    packed = checkpoint.pack(origin, [], torch.nn.Linear(1, 1), torch.optim.SGD([torch.zeros(1)], lr=1.0))
    folder = tiny.parent
    (folder / "checkpoint").write_bytes(packed)
    assert checkpoint.read(folder, origin) is not None
    with pytest.raises(kept.Unusable, match=f"was made with another {key}"):
        checkpoint.read(folder, {**origin, key: "other"})


def test_the_checkpoint_is_written_before_what_is_made_of_it(bnbench, tiny, monkeypatch):
    from bnbench.runs import write as writer

    written, real = [], writer.write_atomic
    monkeypatch.setattr(writer, "write_atomic", lambda path, data: (written.append(path.name), real(path, data)))
    bnbench("run", tiny, "--set", "train.epochs=1")
    first = written.index("checkpoint")
    assert written[first : first + 3] == ["checkpoint", "metrics.csv", "timing.csv"]
    assert written[-1] == "run.json" and written.count("checkpoint") == 1


def test_everything_is_synced_before_it_is_renamed(bnbench, tiny, monkeypatch):
    """After a power cut, a file is old or new: its bytes are synced before it is renamed, then its folder is synced."""
    steps = []
    real = {"fsync": os.fsync, "replace": Path.replace}
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (steps.append(("sync", str(Path(f"/proc/self/fd/{fd}").readlink()))), real["fsync"](fd))[1],
    )
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (steps.append(("rename", str(self))), real["replace"](self, to))[1]
    )
    bnbench("run", tiny, "--out", tiny.parent / "results")
    folder = str(tiny.parent / "results/tiny/seed-0")
    mine = [(step, path) for step, path in steps if path.startswith(folder)]
    renames = [i for i, (step, _) in enumerate(mine) if step == "rename"]
    assert len(renames) > 10
    assert all(mine[i - 1] == ("sync", mine[i][1]) for i in renames)
    # The names last after every epoch, before the last run.json says "complete", and after it.
    names = ["folder" if path == folder else Path(path).name.split(".")[1] for step, path in mine if step == "sync"]
    epoch = ["checkpoint", "metrics", "timing", "folder"]
    assert names == [
        *("config", "metrics", "timing", "run", "folder"),
        *(epoch * 2),
        *("model", "continue", "mistakes", "folder", "run", "folder"),
    ]


def test_leftovers_of_a_kill_in_the_last_moment_are_swept_and_nothing_else_is_touched(bnbench, tiny, tmp_path):
    bnbench("run", tiny)
    folder = tmp_path / "results/tiny/seed-0"
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    for name in ("checkpoint", ".lock", ".run.json.99.tmp"):
        (folder / name).write_text("left")
    assert "already complete" in bnbench("run", tiny).stdout
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


def test_a_full_disk_in_the_middle_keeps_the_epochs_before_it(bnbench, tiny, tmp_path, monkeypatch):
    from bnbench.runs import write as writer

    real = writer.write_atomic

    def fill(path, contents):
        if path.name == "checkpoint" and (path.parent / "metrics.csv").read_text().count("\n") == 2:
            raise OSError(28, "No space left on device")
        real(path, contents)

    monkeypatch.setattr(writer, "write_atomic", fill)
    result = bnbench("run", tiny, "--set", "train.epochs=3", "--name", "tiny")
    assert result.exit_code == 3
    assert "seed-0/checkpoint cannot be written: No space left on device. Make room, or choose" in result.stderr
    monkeypatch.setattr(writer, "write_atomic", real)
    result = bnbench("run", tiny, "--set", "train.epochs=3", "--name", "tiny")
    assert result.exit_code == 0 and "tiny seed 0  resumes after epoch 1/3" in result.stderr


def test_a_folder_that_vanishes_is_named_and_other_runs_continue(bnbench, tiny, tmp_path, monkeypatch):
    real = experiment.train
    gone = []

    def vanish(*arguments, **options):
        for row in real(*arguments, **options):
            if not gone:
                gone.append(shutil.rmtree(tmp_path / "results/tiny/seed-0"))
            yield row

    monkeypatch.setattr(experiment, "train", vanish)
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 3
    assert "results/tiny/seed-0/checkpoint cannot be written: its folder has vanished." in result.stderr
    assert "tiny seed 1: valid accuracy" in result.stdout
    assert bnbench("run", tiny, "--seeds", "0..1").exit_code == 0


def test_a_read_only_folder_is_named(bnbench, tiny, tmp_path, monkeypatch):
    """The run's own folder. (An unwritable --out is found before training. Root may write anywhere.)"""
    real = Path.mkdir

    def refuse(path, *arguments, **options):
        if path.name == "seed-0":
            raise PermissionError(13, "Permission denied", str(path))
        real(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 3
    assert "results/tiny/seed-0 cannot be written: Permission denied. Choose another --out" in result.stderr
    assert "tiny seed 1: valid accuracy" in result.stdout


def test_a_checkpoint_that_cannot_be_read_is_said(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    assert checkpoint.read(tmp_path, {}) is None  # a folder is not a checkpoint
    with pytest.raises(kept.Unusable, match="is damaged"):
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "checkpoint").write_bytes(b"short")
        checkpoint.read(tmp_path / "x", {})


def test_unforeseen_failures_of_a_run_are_its_own(bnbench, tiny, tmp_path, monkeypatch):
    real = experiment._judge
    calls = []

    def fail_once(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("surprise")
        return real(*arguments)

    monkeypatch.setattr(experiment, "_judge", fail_once)
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 3 and "tiny seed 0: KeyError: 'surprise'" in result.stderr
    assert "tiny seed 1: valid accuracy" in result.stdout
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 0 and "tiny seed 0  resumes after epoch 2/2" in result.stderr


def test_kills_at_random_moments_lose_nothing():
    """A few kills; `python benchmarks/kills.py` does 200."""
    command = [sys.executable, "benchmarks/kills.py", "--kills", "4", "--with-workers", "1"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_commands_at_once_lose_nothing():
    """A few rounds; `python benchmarks/simultaneous.py` does 20."""
    command = [sys.executable, "benchmarks/simultaneous.py", "--rounds", "1"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
