"""The seams of training: an engine makes the steps, a probe measures inside them, a loop drives several runs."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from bnbench.config.load import load_config
from bnbench.data import datasets
from bnbench.data.splits import Pixels, normalize
from bnbench.errors import RunError
from bnbench.runs import write as writer
from bnbench.runs.format import read_run
from bnbench.training import experiment
from bnbench.training.engines.eager import Eager
from bnbench.training.events import Measurement
from bnbench.training.experiment import Loaded
from bnbench.training.network import Forward

BYTES = ("metrics.csv", "mistakes.csv", "model.pt")


@pytest.fixture
def data(data_folder):
    dataset, sha256 = datasets.load("mnist5k", data_folder)
    return Loaded("mnist5k", sha256, normalize(dataset, Pixels()))


@pytest.fixture
def train(data, tiny, tmp_path):
    """Train seeds of the tiny config together: train("folder", 0, 1, engine=...) gives recordings and events."""

    def together(out, *seeds, overrides=(), **options):
        configs = [load_config(tiny, [*overrides, f"seeds={seed}"]) for seed in seeds]
        told = [[] for _ in seeds]
        reports = [events.append for events in told]
        return experiment.train_together(configs, data, tmp_path / out, reports=reports, **options), told

    return together


def contents(recording):
    return {name: (recording.folder / name).read_bytes() for name in BYTES}


class ToyEngine:
    """The same step in other words: autograd.grad in place of backward, one forward pass after the other."""

    name = "toy"

    def __init__(self, networks):
        self.networks = networks

    def backward(self, batch):
        return [self._one(network, own) for network, own in zip(self.networks, batch.each(), strict=True)]

    def _one(self, network, batch):
        parameters = list(network.model.parameters())
        logits = network.model(batch.images)
        loss = F.cross_entropy(logits, batch.labels)
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        return Forward(logits.detach(), loss.detach())

    def update(self):
        for network in self.networks:
            network.optimizer.step()


class ToyProbe:
    """The norm of the gradient, and of each update."""

    def __init__(self):
        self.before = {}

    def after_backward(self, moment):
        parameters = list(moment.network.model.parameters())
        self.before[moment.network] = [parameter.detach().clone() for parameter in parameters]
        yield Measurement(moment.step, "gradient", self.norm([parameter.grad for parameter in parameters]))

    def after_update(self, moment):
        pairs = zip(moment.network.model.parameters(), self.before[moment.network], strict=True)
        yield Measurement(moment.step, "update", self.norm([after.detach() - before for after, before in pairs]))

    @staticmethod
    def norm(tensors):
        return torch.cat([tensor.flatten() for tensor in tensors]).norm().item()


def test_another_engine_makes_the_steps(train):
    (eager,), _ = train("eager", 3)
    (toy,), _ = train("toy", 3, engine=ToyEngine)
    assert toy.status == "complete" and contents(toy) == contents(eager)


def test_a_wrong_engine_shows(train):
    class NoUpdate(ToyEngine):
        def update(self):
            pass

    (eager,), _ = train("eager", 3)
    (wrong,), _ = train("wrong", 3, engine=NoUpdate)
    assert contents(wrong)["metrics.csv"] != contents(eager)["metrics.csv"]


def test_a_probe_measures_at_two_moments_and_changes_nothing(train):
    (plain,), _ = train("plain", 0)
    (probed,), (told,) = train("probed", 0, probes=[ToyProbe()])
    assert contents(probed) == contents(plain)
    measured = [event for event in told if isinstance(event, Measurement)]
    steps = 2 * 4  # two epochs of four batches
    assert [m.step for m in measured if m.name == "gradient"] == list(range(steps))  # step 0: before any update
    assert [m.step for m in measured if m.name == "update"] == list(range(1, steps + 1))
    for gradient, update in zip(measured[::2], measured[1::2], strict=True):
        assert update.value == pytest.approx(0.1 * gradient.value, rel=1e-4)  # plain SGD, lr 0.1


def test_a_resumed_run_counts_its_steps_from_the_start(train, monkeypatch):
    real = writer.RunWriter.add

    def killed(self, row, checkpoint):
        real(self, row, checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(writer.RunWriter, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        train("probed", 0)
    monkeypatch.setattr(writer.RunWriter, "add", real)
    (run,), (told,) = train("probed", 0, probes=[ToyProbe()])
    assert run.status == "complete"
    assert [m.step for m in told if isinstance(m, Measurement) and m.name == "gradient"] == [4, 5, 6, 7]


@pytest.mark.parametrize("engine", [Eager, ToyEngine])
def test_runs_that_train_together_have_the_bytes_of_runs_alone(train, engine):
    together, _ = train("together", 0, 1, 2, engine=engine)
    alone = [train("alone", seed)[0][0] for seed in (0, 1, 2)]
    assert [contents(run) for run in together] == [contents(run) for run in alone]


def test_a_run_that_diverges_leaves_the_others(train, monkeypatch):
    alone, _ = train("alone", 1)
    engines = []

    def noted(networks):
        engines.append(len(networks))
        return Eager(networks)

    real = experiment.build_optimizer
    rates = iter([1e30, None])

    def build(config, model):
        rate = next(rates)
        return real(config if rate is None else config.model_copy(update={"lr": rate}), model)

    monkeypatch.setattr(experiment, "build_optimizer", build)
    (diverged, other), _ = train("together", 0, 1, engine=noted)
    assert (diverged.status, other.status) == ("diverged", "complete")
    assert engines == [2, 1] and len(diverged.rows) == 1
    assert contents(other) == contents(alone[0])


def test_a_run_whose_folder_is_full_leaves_the_others(train, monkeypatch):
    alone, _ = train("alone", 1)
    real = writer.write_atomic

    def fill(path, data):
        if path.parent.name == "seed-0" and path.name == "metrics.csv" and data.count(b"\n") == 2:
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(writer, "write_atomic", fill)
    (failed, other), _ = train("together", 0, 1)
    assert isinstance(failed.error, RunError) and "No space left on device" in str(failed.error)
    assert other.error is None and contents(other) == contents(alone[0])


def test_an_engine_that_fails_fails_its_runs_and_keeps_their_epochs(train):
    class FailsInTheSecondEpoch(Eager):
        steps = 0

        def update(self):
            self.steps += 1
            if self.steps == 6:
                raise RuntimeError("no memory")
            super().update()

    runs, _ = train("broken", 0, 1, engine=FailsInTheSecondEpoch)
    assert [str(run.error) for run in runs] == ["no memory"] * 2
    assert [read_run(run.folder).status for run in runs] == ["failed"] * 2
    resumed, _ = train("broken", 0, 1)
    whole, _ = train("whole", 0, 1)
    assert [contents(run) for run in resumed] == [contents(run) for run in whole]


@pytest.mark.parametrize("override", ["data.batch_size=25", "dtype=float64", "train.epochs=3"])
def test_runs_that_cannot_train_together_are_refused(data, tiny, tmp_path, override):
    configs = [load_config(tiny), load_config(tiny, [override, "seeds=1"])]
    run = partial(experiment.train_together, configs, data, tmp_path, reports=[print, print])
    with pytest.raises(ValueError, match="runs that train together differ in data, batch size, epochs"):
        run()


def test_runs_that_resume_after_different_epochs_are_refused_before_anything_is_written(train, monkeypatch, tmp_path):
    real = writer.RunWriter.add

    def killed(self, row, checkpoint):
        real(self, row, checkpoint)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(writer.RunWriter, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            train("mixed", 0)

    def files():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    before = files()
    with pytest.raises(ValueError, match="do not resume after the same epoch"):
        train("mixed", 1, 0)
    assert files() == before and not (tmp_path / "mixed/tiny/seed-1").exists()
    runs, _ = train("mixed", 1, 0, force=True)
    assert [run.status for run in runs] == ["complete"] * 2
