"""The engines: each gives the bytes of the eager one, alone, together and resumed, or gives up and says so."""

import json

import pytest
import torch
from conftest import REPOSITORY

from bnbench.config.load import load_config
from bnbench.data import datasets
from bnbench.data.splits import Pixels, normalize
from bnbench.errors import ConfigError
from bnbench.launch.engines import engine_of, refuse_engine, units
from bnbench.launch.run_one import Job, attempt
from bnbench.runs.format import EpochRow
from bnbench.training import experiment
from bnbench.training.engines import engine_maker
from bnbench.training.engines.traced import Traced
from bnbench.training.experiment import Loaded

BYTES = ("metrics.csv", "mistakes.csv", "model.pt")
SHIPPED = sorted(path for path in (REPOSITORY / "configs").rglob("*.yaml") if path.parent.name in ("configs", "norms"))
SMALL = [
    "data.dataset=mnist5k",
    "data.train_limit=544",
    "data.valid_limit=100",
    "train.epochs=2",
    "device=cpu",
]  # the last batch: 32
# vmap computes these by other sums. The stacked engine sees it in its first step.
NOT_STACKED = {"mlp_bn_builtin", "mlp_weight", "mlp_scaled_weight_standardization"}


@pytest.fixture(scope="module")
def data():
    dataset, sha256 = datasets.load("mnist5k", datasets.data_dir(None))
    return Loaded("mnist5k", sha256, normalize(dataset, Pixels()))


@pytest.fixture
def train(data, tmp_path):
    """train("folder", config path, seeds, engine) gives the recordings and what was said."""

    def trained(out, path, seeds, engine, *overrides):
        configs = [load_config(path, [*SMALL, *overrides, f"seeds={seed}"], name=path.stem) for seed in seeds]
        said = []
        maker = engine_maker(engine, said.append)
        reports = [said.append] * len(configs)
        runs = experiment.train_together(configs, data, tmp_path / out, reports=reports, engine=maker)
        return runs, [what for what in said if isinstance(what, str)]

    return trained


def contents(recording):
    assert recording.error is None, recording.error
    return {name: (recording.folder / name).read_bytes() for name in BYTES}


def engine_in(recording):
    return json.loads((recording.folder / "run.json").read_text())["engine"]


TRACED = [path for path in SHIPPED if not path.stem.endswith("noisy_batch")]
MLPS = [path for path in TRACED if path.stem.startswith("mlp")]
SAMPLE = {"mlp_bn", "mlp_layer", "mlp_batch_renorm", "cnn_bn_custom", "cnn_instance"}


def slow_but(sample, paths):
    return [pytest.param(path, id=path.stem, marks=[] if path.stem in sample else pytest.mark.slow) for path in paths]


@pytest.mark.parametrize("path", slow_but(SAMPLE, TRACED))
def test_a_traced_run_has_the_bytes_of_an_eager_one(train, path):
    (eager,), _ = train("eager", path, [0], "eager")
    (traced,), said = train("traced", path, [0], "traced")
    assert contents(traced) == contents(eager)
    assert said == [] and engine_in(traced) == {"name": "traced", "networks": 1}


@pytest.mark.parametrize("size", [2, pytest.param(5, marks=pytest.mark.slow), pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", slow_but({"mlp_bn", "mlp_weight"}, MLPS))
def test_stacked_runs_have_the_bytes_of_runs_alone(train, path, size):
    stacked, said = train("stacked", path, range(size), "stacked")
    alone = [train("eager", path, [seed], "eager")[0][0] for seed in range(size)]
    assert [contents(run) for run in stacked] == [contents(run) for run in alone]
    if path.stem in NOT_STACKED:
        assert said == [
            "trains by the traced engine, not the stacked one: it does not give the same bits on this machine"
        ]
    else:
        assert said == [] and engine_in(stacked[0]) == {"name": "stacked", "networks": size}


@pytest.mark.parametrize("optimizer", ["{type: sgd, lr: 0.1, momentum: 0.9, weight_decay: 0.01}", "{type: adam}"])
def test_optimizers_with_a_state(train, optimizer):
    path, override = REPOSITORY / "configs" / "mlp_bn.yaml", f"train.optimizer={optimizer}"
    engine = "traced" if "adam" in optimizer else "stacked"
    fast, said = train("fast", path, [0, 1], engine, override)
    slow, _ = train("eager", path, [0, 1], "eager", override)
    assert [contents(run) for run in fast] == [contents(run) for run in slow] and said == []


@pytest.mark.parametrize(
    "overrides",
    [
        ["model={type: mlp, hidden: [8, 8], residual: true, skip_init: true}"],
        ["train.only=norm"],
        ["train.schedule={type: cosine, warmup_steps: 3}"],
        ["train.optimizer={type: sgd, lr: 0.1, weight_decay: 0.1, weight_decay_on: hidden_weights}"],
    ],
    ids=lambda overrides: overrides[0].partition("=")[0],
)
def test_a_stack_keeps_the_options_of_training(train, overrides):
    path = REPOSITORY / "configs" / "mlp_bn.yaml"
    fast, said = train("fast", path, [0, 1], "stacked", *overrides)
    slow, _ = train("eager", path, [0, 1], "eager", *overrides)
    assert [contents(run) for run in fast] == [contents(run) for run in slow] and said == []


def test_a_stack_resumes_in_another_grouping(train, monkeypatch):
    path = REPOSITORY / "configs" / "mlp_bn.yaml"
    momentum = "train.optimizer.momentum=0.9"  # a state that the checkpoint must hold
    real = experiment.Recording.add

    def killed(self, event, network):
        real(self, event, network)
        if isinstance(event, EpochRow) and self.config.seed == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(experiment.Recording, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        train("broken", path, range(4), "stacked", momentum)
    monkeypatch.setattr(experiment.Recording, "add", real)
    first, _ = train("broken", path, [0], "eager", momentum)
    rest, _ = train("broken", path, [3, 1, 2], "stacked", momentum)
    whole, _ = train("whole", path, range(4), "eager", momentum)
    resumed = {run.config.seed: contents(run) for run in (*first, *rest)}
    assert [run.rows[0].epoch for run in rest] == [1] * 3 and all(len(run.rows) == 2 for run in rest)
    assert [resumed[seed] for seed in range(4)] == [contents(run) for run in whole]


def test_a_run_that_diverges_leaves_the_stack(train, monkeypatch):
    path = REPOSITORY / "configs" / "mlp_bn.yaml"
    real = experiment.build_model
    numbers = iter(range(3))

    def exploding(config):
        model = real(config)
        if next(numbers) == 1:
            with torch.no_grad():
                model.get_submodule("classifier").weight.mul_(1e6)
        return model

    alone, _ = train("alone", path, [0, 2], "eager")
    monkeypatch.setattr(experiment, "build_model", exploding)
    (first, diverged, last), said = train("stacked", path, [0, 1, 2], "stacked")
    assert (first.status, diverged.status, last.status) == ("complete", "diverged", "complete") and said == []
    assert [contents(first), contents(last)] == [contents(run) for run in alone]


def test_an_engine_with_other_bits_gives_up_and_says_so(train, monkeypatch):
    path = REPOSITORY / "configs" / "mlp_bn.yaml"
    real = Traced.update

    def wrong(self):
        real(self)
        with torch.no_grad():
            next(iter(self._networks[0].model.parameters())).add_(1e-6)

    monkeypatch.setattr(Traced, "update", wrong)
    (run,), said = train("wrong", path, [0], "traced")
    (eager,), _ = train("eager", path, [0], "eager")
    assert said == ["trains by the eager engine, not the traced one: it does not give the same bits on this machine"]
    assert contents(run) == contents(eager) and engine_in(run)["name"] == "eager"


def test_a_step_that_cannot_be_traced_is_made_by_eager(train, monkeypatch):
    path = REPOSITORY / "configs" / "mlp_bn.yaml"
    real = experiment.build_model

    def reading(config):
        model = real(config)
        model.register_forward_hook(lambda module, inputs, logits: logits * float(logits.sum() != 7))
        return model

    monkeypatch.setattr(experiment, "build_model", reading)
    (run,), (said,) = train("read", path, [0], "traced")
    assert said.startswith("trains by the eager engine, not the traced one: its step cannot be traced (")
    assert engine_in(run)["name"] == "eager"


def job(number, seed, *overrides, engine="auto", out=None, force=False):
    config = load_config(REPOSITORY / "configs" / "mlp_bn.yaml", ["device=cpu", *overrides, f"seeds={seed}"])
    return Job(number, config, out, force, "a test", engine=engine)


def sizes(jobs, *arguments):
    work = units(jobs, *arguments)
    assert [one for unit in work for one in unit] == list(jobs)
    return [len(unit) for unit in work]


def test_the_runs_of_an_arm_are_stacked(tmp_path):
    ten = [job(seed, seed, out=tmp_path) for seed in range(10)]
    assert sizes(ten, 1) == [10]
    assert sizes(ten, 2) == [5, 5]  # both processes get some
    assert sizes(ten, 4) == [2, 3, 3, 2]
    assert sizes(ten, 1, "auto", 4) == [3, 4, 3]
    assert sizes(ten, 1, "traced") == sizes(ten, 1, "eager") == [1] * 10
    others = [job(10 + seed, seed, "train.optimizer.lr=0.2", out=tmp_path) for seed in range(3)]
    assert sizes([*ten[:4], *others], 1) == [4, 3]  # another arm is another stack
    assert sizes([job(seed, seed, "model={type: cnn}", out=tmp_path) for seed in range(3)], 1) == [1] * 3


def test_short_runs_are_not_stacked_unless_asked(tmp_path):
    short = [job(seed, seed, "train.epochs=1", "data.train_limit=6400", out=tmp_path) for seed in range(4)]
    assert sizes(short, 1) == [1] * 4 and sizes(short, 1, "stacked") == [4]
    assert engine_of(short[0].config, "auto", 1) == "eager"


def test_a_trace_is_used_where_it_pays():
    config = job(0, 0).config
    assert engine_of(config, "auto", 1) == "traced"
    assert engine_of(config, "auto", 5) == "stacked"
    assert engine_of(config, "eager", 1) == "eager"
    assert engine_of(job(0, 0, "model={type: cnn}", "train.epochs=5").config, "auto", 1) == "traced"
    assert engine_of(job(0, 0, "model={type: cnn}", "train.epochs=3").config, "auto", 1) == "eager"
    assert engine_of(config.model_copy(update={"device": "cuda"}), "auto", 1) == "eager"


@pytest.mark.parametrize(
    ("override", "engine", "why"),
    [
        ("model={type: cnn}", "stacked", "its model is not an MLP"),
        ("train.optimizer={type: adam}", "stacked", "its optimizer is adam, not sgd"),
        ("device=cuda", "traced", "it trains on cuda"),
        ("norm={type: noisy_batch}", "traced", "noisy_batch draws new random numbers in each step"),
    ],
)
def test_an_engine_that_a_config_cannot_use_is_refused(override, engine, why):
    config = load_config(REPOSITORY / "configs" / "mlp_bn.yaml", [override])
    with pytest.raises(ConfigError, match=f"--engine {engine} cannot train it: {why}"):
        refuse_engine([config], engine, None)


def test_a_stack_that_an_engine_does_not_make_is_refused(bnbench, tiny):
    result = bnbench("run", tiny, "--engine", "traced", "--stack", "4", "--dry-run")
    assert result.exit_code == 2 and "--engine traced makes none" in result.stderr


def test_a_stack_without_memory_is_halved(data, tmp_path, monkeypatch):
    real = experiment.train_together
    asked = []

    def hungry(configs, *arguments, engine, **options):
        asked.append(len(configs))

        def make(networks):
            if len(networks) > 2:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
            return engine(networks)

        return real(configs, *arguments, engine=make, **options)

    monkeypatch.setattr(experiment, "train_together", hungry)
    jobs = [job(seed, seed, *SMALL, engine="stacked", out=tmp_path) for seed in range(4)]
    outcomes = dict(attempt(jobs, data, lambda number, event: None))
    assert asked == [4, 2, 2]
    assert [outcomes[number].status for number in range(4)] == ["complete"] * 4


def test_checkpoints_that_differ_are_resumed_each_alone(data, tmp_path, monkeypatch):
    jobs = [job(seed, seed, *SMALL, engine="stacked", out=tmp_path) for seed in range(2)]
    real = experiment.Recording.look
    monkeypatch.setattr(experiment, "StartsDiffer", experiment.StartsDiffer)

    def look(self, shorter=None):
        real(self, shorter)
        if self.config.seed == 1 and not looked:
            looked.append(self)
            self.rows = [None]  # as if its checkpoint held an epoch

    looked = []
    monkeypatch.setattr(experiment.Recording, "look", look)
    outcomes = dict(attempt(jobs, data, lambda number, event: None))
    assert looked and [outcomes[number].status for number in range(2)] == ["complete"] * 2


def test_stacks_in_worker_processes(bnbench, tiny, tmp_path):
    arguments = ["run", tiny, "--seeds", "0..3", "--device", "cpu"]
    assert bnbench(*arguments, "--jobs", "1", "--engine", "eager", "--out", "alone").exit_code == 0
    result = bnbench(*arguments, "--jobs", "2", "--engine", "stacked", "--stack", "2", "--out", "stacked")
    assert result.exit_code == 0, result.stderr
    for seed in range(4):
        alone, stacked = (tmp_path / out / "tiny" / f"seed-{seed}" for out in ("alone", "stacked"))
        assert all((alone / name).read_bytes() == (stacked / name).read_bytes() for name in BYTES)
        assert json.loads((stacked / "run.json").read_text())["engine"] == {"name": "stacked", "networks": 2}


@pytest.mark.parametrize("engine", ["traced", "stacked"])
def test_a_schedule_reaches_the_engine(train, engine):
    path, schedule = REPOSITORY / "configs" / "mlp_bn.yaml", "train.schedule={type: cosine, warmup_steps: 4}"
    fast, said = train("fast", path, [0, 1], engine, schedule)
    slow, _ = train("eager", path, [0, 1], "eager", schedule)
    assert [contents(run) for run in fast] == [contents(run) for run in slow] and said == []
