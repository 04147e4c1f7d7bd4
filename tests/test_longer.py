"""A complete run is trained longer: the longer run has the bytes of one from the start, the shorter stays as it is."""

import hashlib
import json
import shutil

import pytest
import torch
from conftest import REPOSITORY

from bnbench.config.load import load_config
from bnbench.data import datasets
from bnbench.data.splits import Pixels, normalize
from bnbench.launch import run_one
from bnbench.launch.plan import plan, with_shorter
from bnbench.runs import kept
from bnbench.runs.format import EpochRow, read_run
from bnbench.training import checkpoint, experiment
from bnbench.training.events import Notice, Started

SAME = ("config.yaml", "metrics.csv", "mistakes.csv", "model.pt")
LIMITS = ["data.dataset=mnist5k", "data.train_limit=200", "data.valid_limit=100", "device=cpu"]
KINDS = [
    [],
    ["train.optimizer={type: adam, weight_decay: 0.01}"],
    ["train.optimizer={type: sgd, lr: 0.1, momentum: 0.9}", "dtype=float64"],
    ["norm={type: batch, eval_statistics: precise}"],
    ["norm={type: batch_renorm, warmup_steps: 3, r_max_steps: 8, d_max_steps: 8}"],
    ["norm={type: weight, init: data}"],
    ["norm={type: noisy_batch}"],
    ["data.valid=100", "data.scale=standardized"],
    ["model={type: mlp, hidden: [8, 8], residual: true, skip_init: true}", "train.only=norm"],
]


class Kill(BaseException):
    """Like SIGKILL, no code of bnbench handles it."""


@pytest.fixture
def train(data_folder, tmp_path):
    """Train one config as the command does; die after the report of epoch `kill_after`. Return outcome and events."""
    dataset, sha256 = datasets.load("mnist5k", data_folder)

    def train(config, out, *, kill_after=None):
        told = []

        def report(_, event):
            told.append(event)
            if isinstance(event, EpochRow) and event.epoch == kill_after:
                raise Kill

        (run,) = with_shorter(plan([config], tmp_path / out, force=False), tmp_path / out)
        shorter = run.shorter and run.shorter.path
        data = experiment.Loaded("mnist5k", sha256, normalize(dataset, Pixels.of(config)))
        try:
            job = run_one.Job(0, config, tmp_path / out, False, "a test", shorter=shorter)
            ((_, outcome),) = run_one.attempt([job], data, report)
            return outcome, told
        except Kill:
            return None, told

    return train


def make(epochs, overrides=()):
    overrides = [*LIMITS, *overrides, f"train.epochs={epochs}"]
    name = f"arm-{hashlib.sha256(str(overrides).encode()).hexdigest()[:8]}"
    return load_config(REPOSITORY / "configs/mlp_bn.yaml", overrides, name=name)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def differing(a, b):
    return [name for name in SAME if (a / name).read_bytes() != (b / name).read_bytes()]


def epochs(told):
    return [event.epoch for event in told if isinstance(event, EpochRow)]


@pytest.mark.parametrize("overrides", KINDS, ids=lambda overrides: overrides[0] if overrides else "as it is")
def test_a_continued_run_has_the_bytes_of_a_fresh_one(train, overrides):
    short, _ = train(make(2, overrides), "results")
    before = contents(short.folder)
    long, told = train(make(4, overrides), "results")
    assert epochs(told) == [3, 4] and told[0] == Started(2, str(short.folder))
    fresh, told = train(make(4, overrides), "fresh")
    assert epochs(told) == [1, 2, 3, 4]
    assert differing(long.folder, fresh.folder) == []
    assert contents(short.folder) == before
    about = json.loads((long.folder / "run.json").read_text())
    assert about["continued_from"] == {"run": f"{short.config.name}/seed-0", "epochs": 2}
    _, told = train(make(5, overrides), "results")  # the longest is continued, and it was continued itself
    assert epochs(told) == [5]


@pytest.mark.parametrize("kill_after", [3, 4])
def test_a_kill_at_any_epoch_loses_nothing(train, kill_after):
    train(make(2), "results")
    train(make(4), "results", kill_after=kill_after)
    long, told = train(make(4), "results")
    assert epochs(told) == list(range(kill_after + 1, 5))
    fresh, _ = train(make(4), "fresh")
    assert differing(long.folder, fresh.folder) == []
    assert "continued_from" in json.loads((long.folder / "run.json").read_text())


@pytest.mark.parametrize("last", ["config.yaml", "metrics.csv", "timing.csv", "run.json", "checkpoint"])
def test_a_kill_between_two_files_loses_nothing(train, last, monkeypatch):
    from bnbench.runs import write as writer

    train(make(2), "results")
    real = writer.write_atomic

    def die(path, data):
        real(path, data)
        if path.name == last:
            raise Kill

    monkeypatch.setattr(writer, "write_atomic", die)
    train(make(4), "results")
    monkeypatch.setattr(writer, "write_atomic", real)
    long, told = train(make(4), "results")
    assert epochs(told) == ([4] if last == "checkpoint" else [3, 4])
    assert differing(long.folder, train(make(4), "fresh")[0].folder) == []


def notices(told):
    return [event.text for event in told if isinstance(event, Notice)]


@pytest.mark.parametrize("missing", ["continue.pt", "model.pt"])
def test_where_a_file_is_missing_it_trains_from_the_start_and_says_so(train, missing):
    short, _ = train(make(2), "results")
    (short.folder / missing).unlink()
    _, told = train(make(3), "results")
    assert notices(told) == [
        f"{short.folder / 'continue.pt'} is missing, or model.pt is, so the run starts at the first epoch"
    ]
    assert epochs(told) == [1, 2, 3]


def test_of_another_origin_it_trains_from_the_start_and_says_so(train, monkeypatch):
    train(make(2), "results")
    there = kept.provenance()
    monkeypatch.setattr(kept, "provenance", lambda: {**there, "torch": "3.0"})
    _, told = train(make(3), "results")
    assert "was made with another torch, so the run starts at the first epoch" in notices(told)[0]
    assert epochs(told) == [1, 2, 3]


def test_files_that_do_not_belong_together_are_not_continued(train):
    short, _ = train(make(2), "results")
    other, _ = train(make(2, ["seeds=1"]), "results")
    shutil.copy(other.folder / "model.pt", short.folder / "model.pt")
    _, told = train(make(3), "results")
    assert "does not belong to model.pt" in notices(told)[0] and epochs(told) == [1, 2, 3]
    for content in (b"", b"x" * 100):
        (other.folder / "continue.pt").write_bytes(content)
        with pytest.raises(kept.Unusable, match="is damaged"):
            checkpoint.read_end(other.folder, {})


@pytest.mark.parametrize(
    "overrides",
    [["train.optimizer.lr=0.2"], ["norm.momentum=0.5"], ["seeds=1"], ["train.schedule={type: cosine}"]],
    ids=lambda overrides: overrides[0],
)
def test_a_run_of_another_arm_or_seed_or_with_a_schedule_is_not_continued(train, overrides):
    train(make(2), "results")
    _, told = train(make(3, overrides), "results")
    assert epochs(told) == [1, 2, 3] and notices(told) == []
    train(make(2, overrides), "results")
    _, told = train(make(4, overrides), "results")
    assert epochs(told) == ([1, 2, 3, 4] if "schedule" in overrides[0] else [4])
    assert notices(told) == []


def test_a_diverged_or_a_longer_run_is_not_continued(train):
    diverging = ["train.optimizer.lr=1e6", "norm={type: none}"]
    train(make(2, diverging), "results")
    outcome, told = train(make(3, diverging), "results")
    assert outcome.status == "diverged" and epochs(told) == [1]
    assert not list(outcome.folder.glob("continue.pt"))
    train(make(3), "results")
    _, told = train(make(2), "results")
    assert epochs(told) == [1, 2]


def test_what_is_kept_is_small(train):
    plain, _ = train(make(2), "results")
    weights = (plain.folder / "model.pt").stat().st_size
    assert (plain.folder / "continue.pt").stat().st_size < 4_000 < weights
    adam, _ = train(make(2, ["train.optimizer={type: adam}"]), "results")
    assert (adam.folder / "continue.pt").stat().st_size < 2.1 * weights
    state = torch.load(plain.folder / "model.pt", weights_only=True)
    assert state and read_run(plain.folder).status == "complete"


def test_the_command_says_what_it_continues_and_what_it_would(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--seeds", "0..1")
    longer = ("--set", "train.epochs=3", "--seeds", "0..2")
    dry = bnbench("run", tiny, *longer, "--dry-run")
    assert dry.stdout.splitlines() == [
        "tiny,train.epochs=3 seed 0: continues results/tiny/seed-0 after epoch 2 of 3",
        "tiny,train.epochs=3 seed 1: continues results/tiny/seed-1 after epoch 2 of 3",
        "tiny,train.epochs=3 seed 2: trains 3 epochs",
    ]
    assert "3 runs: 0 complete, 2 to continue, 0 to resume, 1 to start" in dry.stderr
    result = bnbench("run", tiny, *longer)
    assert result.exit_code == 0
    assert "tiny,train.epochs=3 seed 1  continues results/tiny/seed-1 after epoch 2/3" in result.stderr
    (tmp_path / "results/tiny/seed-0/continue.pt").unlink()
    dry = bnbench("run", tiny, "--set", "train.epochs=5", "--name", "x", "--dry-run")
    assert "continues results/tiny,train.epochs=3/seed-0 after epoch 3 of 5" in dry.stdout
    result = bnbench("run", tiny, *longer, "--force")
    assert "continues" not in result.stderr


def test_runs_that_train_together_are_continued_together(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--seeds", "0..1")
    longer = ("--set", "train.epochs=3", "--seeds", "0..1", "--name", "long")
    result = bnbench("run", tiny, *longer, "--engine", "stacked")
    assert result.stderr.count("continues results/tiny/seed-") == 2
    bnbench("run", tiny, *longer, "--engine", "eager", "--out", "fresh")
    for seed in ("seed-0", "seed-1"):
        assert differing(tmp_path / "results/long" / seed, tmp_path / "fresh/long" / seed) == []
