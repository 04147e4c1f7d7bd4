"""One training, many evaluations: what each is, worked by hand; no byte of training changes; complete runs get them."""

import json
import math
import shutil

import pytest
import torch
from conftest import TINY
from torch import nn

from bnbench.config.experiment import Config
from bnbench.config.load import load_config
from bnbench.data import datasets
from bnbench.data.splits import Pixels, Split, Splits, normalize
from bnbench.launch import run_one
from bnbench.launch.engines import units
from bnbench.launch.execute import Places, execute
from bnbench.launch.plan import in_words, plan, with_shorter
from bnbench.launch.progress import Progress
from bnbench.norms import NORMS
from bnbench.norms.batch import over_batch
from bnbench.norms.evaluation import OwnStatistics, errors, keep_averages
from bnbench.runs.evaluations import read_evaluations
from bnbench.runs.format import EpochRow, read_run
from bnbench.training import experiment
from bnbench.training.build import build_model
from bnbench.training.evaluations import evaluations
from bnbench.training.events import Notice

ALL = "[running, precise, {batch: 1}, {batch: 30}, {momentum: 0.5}, {momentum: 0.02}]"
SAME = ("config.yaml", "metrics.csv", "mistakes.csv", "model.pt")
OVER_BATCH = {
    "batch": {},
    "l1_batch": {},
    "lp_batch": {"p": "inf"},
    "generalized_batch": {"pair": "median_mad"},
    "batch_renorm": {},  # in its warm-up
    "ghost_batch": {"virtual_batch_size": 25},
    "noisy_batch": {},
    "sync_batch": {},
    "mean_only_batch": {},
    "variance_only_batch": {},
    "evonorm_b0": {},
}


class Kill(BaseException):
    """Like SIGKILL, no code of bnbench handles it."""


# What each evaluation is.


def split(values, labels=None):
    """Images whose first pixel has these values; the others are 0."""
    images = torch.zeros(len(values), 1, 28, 28)
    images[:, 0, 0, 0] = torch.tensor(values, dtype=torch.float32)
    return Split(images, torch.tensor(labels or [0] * len(values)))


def test_each_evaluation_worked_by_hand():
    """One hidden unit h = 1st pixel, z = (h - μ)/σ, logits (max(z, 0), ½, 0, …): class 0 if z > ½, else 1."""
    settings = {
        "name": "hand",
        "data": {"batch_size": 2},
        "model": {"type": "mlp", "hidden": [1]},
        "norm": {"type": "batch", "eps": 1e-12},
        "train": {"epochs": 1, "optimizer": {"type": "sgd", "lr": 0.1}},
        "evaluations": ["running", "precise", {"batch": 1}, {"batch": 2}, {"momentum": 0.5}],
    }
    config = Config.model_validate(settings)
    model = build_model(config)
    keep_averages(model, config.averages)
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    state["linear1.weight"][0, 0] = state["norm1.weight"][0] = state["classifier.weight"][0, 0] = 1
    state["classifier.bias"][1] = 0.5
    state["norm1.running_mean"][0], state["norm1.running_var"][0] = 2, 1
    state["norm1.averages.0_5.running_mean"][0], state["norm1.averages.0_5.running_var"][0] = 6, 16
    # Training batches (0, 2) and (4, 6): the mean of their means is 3, that of their unbiased variances is 2.
    valid = split([1, 4, 7, 2, 3], [1, 0, 0, 0, 1])
    found = evaluations(config, state, Splits(split([0, 2, 4, 6]), valid, None))

    def expected(z):
        losses = []
        for value, label in zip(z, valid.labels.tolist(), strict=True):
            logits = [max(value, 0), 0.5] + [0] * 8
            losses.append(math.log(sum(map(math.exp, logits))) - logits[label])
        right = [(value > 0.5) == (label == 0) for value, label in zip(z, valid.labels.tolist(), strict=True)]
        return pytest.approx(sum(losses) / 5), sum(right) / 5

    root2 = math.sqrt(2)
    z = {
        "running": [-1, 2, 5, 0, 1],
        "precise": [-2 / root2, 1 / root2, 4 / root2, -1 / root2, 0],
        "batch=1": [0] * 5,  # no variance: β
        # (1, 4) and (7, 2, 3): the single image that is left over joins the batch before it
        "batch=2": [-1, 1, 3 / math.sqrt(14 / 3), -2 / math.sqrt(14 / 3), -1 / math.sqrt(14 / 3)],
        "momentum=0.5": [-1.25, -0.5, 0.25, -1, -0.75],
    }
    assert list(found) == list(z)
    for name, values in z.items():
        assert (found[name].loss, found[name].accuracy) == expected(values), name
        assert found[name].images == 5
    assert found["running"].mean_error == pytest.approx(1 / root2) and found["running"].var_error == pytest.approx(0.5)
    assert found["momentum=0.5"].mean_error == pytest.approx(3 / root2)
    assert found["momentum=0.5"].var_error == pytest.approx(7)
    for name in ("precise", "batch=1", "batch=2"):
        assert (found[name].mean_error, found[name].var_error) == (None, None)


def test_errors_are_over_all_channels_of_all_norms_but_constant_ones():
    def state(**buffers):
        return {name.replace("__", "."): torch.tensor(values) for name, values in buffers.items()}

    precise = state(
        norm1__running_mean=[0.0, 0.0, 5.0], norm1__running_var=[4.0, 1.0, 0.0], norm2__running_var=[2.0]
    )  # norm2 only divides
    own = state(norm1__running_mean=[2.0, 0.0, 9.0], norm1__running_var=[4.0, 3.0, 1.0], norm2__running_var=[3.0])
    mean, var = errors(own, precise)
    assert mean == pytest.approx(math.sqrt((1**2 + 0) / 2))
    assert var == pytest.approx(math.sqrt((0 + 2**2 + 0.5**2) / 3))
    assert errors({}, {}) == (None, None)
    constant = state(norm1__running_var=[0.0])
    assert errors(constant, constant) == (None, None)


@pytest.mark.parametrize(("norm", "implementation"), [(norm, kind) for norm in OVER_BATCH for kind in NORMS[norm]])
def test_own_statistics_are_those_of_the_batch(norm, implementation):
    torch.manual_seed(0)
    layer = NORMS[norm][implementation](3, **OVER_BATCH[norm])
    assert over_batch(nn.Sequential(layer)) == [layer]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(0.5, 1.5)
    x = torch.randn(20, 3)
    # Noise and ghosts are of training alone, and renorm corrects in training alone: their evaluation is batch norm's.
    plain = norm in ("noisy_batch", "ghost_batch", "batch_renorm")
    reference = NORMS["batch"]["custom"](3) if plain else layer
    reference.load_state_dict(layer.state_dict(), strict=False)
    own = OwnStatistics(layer.eval())
    torch.testing.assert_close(own(x), reference.train()(x))
    if norm not in ("variance_only_batch", "evonorm_b0"):
        torch.testing.assert_close(own(x[:1])[0], layer.bias)


# Training.


@pytest.fixture(scope="module")
def data(data_folder):
    dataset, sha256 = datasets.load("mnist5k", data_folder)
    return experiment.Loaded("mnist5k", sha256, normalize(dataset, Pixels()))


@pytest.fixture
def attempt(data, tmp_path):
    """Attempt a config as the command does; die after the report of epoch `kill_after`. Give outcomes and events."""

    def attempt(config, out, *, kill_after=None, engine="eager"):
        told = []

        def report(_, event):
            told.append(event)
            if isinstance(event, EpochRow) and event.epoch == kill_after:
                raise Kill

        runs = with_shorter(plan([config], tmp_path / out, force=False), tmp_path / out)
        jobs = [
            run_one.Job(
                number, run.config, tmp_path / out, False, "a test", run.shorter and run.shorter.path, engine=engine
            )
            for number, run in enumerate(runs)
        ]
        try:
            return [outcome for _, outcome in sorted(run_one.attempt(jobs, data, report))], told
        except Kill:
            return [], told

    return attempt


def make(tmp_path, *overrides, evaluations=ALL, name="tiny"):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.replace("name: tiny", f"name: {name}"))
    return load_config(path, [*overrides, f"evaluations={evaluations}"])


def norm_of(norm, implementation="custom"):
    options = "".join(f", {key}: {value}" for key, value in OVER_BATCH[norm].items())
    activation = "none" if norm == "evonorm_b0" else "relu"
    return [f"norm={{type: {norm}, implementation: {implementation}{options}}}", f"model.activation={activation}"]


def contents(folder, names=SAME):
    return {name: (folder / name).read_bytes() for name in names}


def of(outcome):
    assert outcome.status == "complete", outcome.reason
    return read_evaluations(read_run(outcome.folder))


def epochs(told):
    return [event.epoch for event in told if isinstance(event, EpochRow)]


@pytest.mark.parametrize(("norm", "implementation"), [*((norm, "custom") for norm in OVER_BATCH), ("batch", "builtin")])
def test_a_kept_average_is_that_of_a_training_of_its_own_and_changes_no_byte(attempt, tmp_path, norm, implementation):
    norm = norm_of(norm, implementation)
    ((asked,), _) = attempt(make(tmp_path, *norm), "asked")
    ((plain,), _) = attempt(make(tmp_path, *norm, evaluations="[]"), "plain")
    names = [name for name in SAME if name != "config.yaml"]  # it says what was asked for
    assert contents(asked.folder, names) == contents(plain.folder, names)
    assert not (plain.folder / "evaluations.csv").exists()
    other = make(tmp_path, *norm, "norm.momentum=0.5", evaluations="[running, precise]")
    ((alone,), _) = attempt(other, "alone")
    rows, alone = of(asked), of(alone)
    assert rows["momentum=0.5"] == alone["running"] and rows["precise"] == alone["precise"]
    assert len({row.loss for row in rows.values()}) == len(rows) == 6


@pytest.mark.parametrize("engine", ["traced", "stacked"])
def test_every_engine_keeps_the_averages(attempt, tmp_path, engine):
    eager, _ = attempt(make(tmp_path, "seeds=0..2"), "eager")
    fast, told = attempt(make(tmp_path, "seeds=0..2") if engine == "stacked" else make(tmp_path), engine, engine=engine)
    assert not [event for event in told if isinstance(event, Notice)]
    for a, b in zip(eager, fast, strict=engine == "stacked"):
        assert of(a) == of(b) and contents(a.folder) == contents(b.folder)
        assert json.loads((b.folder / "run.json").read_text())["engine"]["name"] == engine


def test_evaluations_are_those_of_validation(attempt, tmp_path):
    ((outcome,), _) = attempt(make(tmp_path, evaluations="[running, precise, {batch: 1000}]"), "a")
    rows = of(outcome)

    def last(*overrides):
        ((outcome,), _) = attempt(make(tmp_path, *overrides, evaluations="[]"), "b")
        row = read_run(outcome.folder).rows[-1]
        return row.valid_loss, row.valid_accuracy

    for name, overrides in {
        "running": [],
        "precise": ["norm.eval_statistics=precise"],
        "batch=1000": ["norm.eval_statistics=batch"],
    }.items():
        assert (rows[name].loss, rows[name].accuracy) == last(*overrides), name
        assert rows[name].images == 100


@pytest.mark.parametrize("norm", ["none", "layer", "weight"])
def test_without_statistics_of_a_batch_all_evaluations_are_one(attempt, tmp_path, norm):
    config = make(tmp_path, f"norm={{type: {norm}}}")
    ((outcome,), _) = attempt(config, "a")
    rows = of(outcome)
    assert len(rows) == 6 and set(rows.values()) == {rows["running"]}
    assert rows["running"].mean_error is None


def test_a_diverged_run_has_no_evaluations(attempt, tmp_path):
    config = make(tmp_path, "norm={type: none}", "train.optimizer.lr=100000")
    ((outcome,), _) = attempt(config, "a")
    assert outcome.status == "diverged" and not (outcome.folder / "evaluations.csv").exists()
    assert in_words(*plan([config], tmp_path / "a", force=False)).endswith(" seed 0: already diverged")


def test_an_interrupted_run_keeps_its_averages(attempt, tmp_path):
    config = make(tmp_path, "train.epochs=3")
    attempt(config, "killed", kill_after=2)
    ((resumed,), told) = attempt(config, "killed")
    assert epochs(told) == [3]
    ((whole,), _) = attempt(config, "whole")
    names = (*SAME, "evaluations.csv")
    assert contents(resumed.folder, names) == contents(whole.folder, names)


def test_a_run_that_was_interrupted_without_averages_starts_again(attempt, tmp_path):
    attempt(make(tmp_path, evaluations="[{batch: 4}, {momentum: 0.5}]"), "a", kill_after=1)
    ((outcome,), told) = attempt(make(tmp_path), "a")
    (notice,) = [event.text for event in told if isinstance(event, Notice)]
    assert "was made with another list of momenta in evaluations, so the run starts again" in notice
    assert epochs(told) == [1, 2] and len(of(outcome)) == 6


def test_averages_that_nobody_asks_for_any_more_cost_no_epoch(attempt, tmp_path):
    attempt(make(tmp_path), "a", kill_after=1)
    config = make(tmp_path, evaluations="[precise]")
    assert in_words(*plan([config], tmp_path / "a", force=False)) == "tiny seed 0: resumes after epoch 1 of 2"
    ((outcome,), told) = attempt(config, "a")
    assert epochs(told) == [2] and list(of(outcome)) == ["precise"]


def test_a_longer_run_starts_from_the_start_only_for_its_averages(attempt, tmp_path):
    attempt(make(tmp_path, name="short"), "a")
    longer = make(tmp_path, "train.epochs=3", evaluations="[precise, {batch: 4}]", name="longer")
    ((outcome,), told) = attempt(longer, "a")
    assert epochs(told) == [3] and list(of(outcome)) == ["precise", "batch=4"]
    averages = make(tmp_path, "train.epochs=3", name="averages")
    ((outcome,), told) = attempt(averages, "a")
    assert epochs(told) == [1, 2, 3] and len(of(outcome)) == 6
    assert not [event for event in told if isinstance(event, Notice)], "it is not tried"


# Complete runs.


@pytest.fixture
def complete(attempt, tmp_path):
    """A complete run without evaluations, and the bytes of its evaluations, had it been asked for them."""
    ((asked,), _) = attempt(make(tmp_path), "asked")
    ((outcome,), _) = attempt(make(tmp_path, evaluations="[]"), "results")
    return outcome.folder, (asked.folder / "evaluations.csv").read_bytes()


def everything(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_a_complete_run_is_evaluated_from_its_weights(bnbench, complete, tiny, tmp_path, monkeypatch):
    folder, asked = complete
    before = everything(tmp_path / "results")
    monkeypatch.setattr(experiment, "train_together", None)  # nothing is trained
    wanted = "evaluations=[running, precise, {batch: 1}, {batch: 30}]"
    dry = bnbench("run", tiny, "--set", wanted, "--dry-run")
    assert dry.stdout == "tiny seed 0: complete, to evaluate by running, precise, batch=1, batch=30\n"
    assert "1 runs: 0 complete, 1 to evaluate, 0 to resume, 0 to start" in dry.stderr
    assert everything(tmp_path / "results") == before
    result = bnbench("run", tiny, "--set", wanted)
    assert result.exit_code == 0, result.stderr
    lines = asked.decode().splitlines(keepends=True)
    assert (folder / "evaluations.csv").read_text() == "".join(line for line in lines if "momentum" not in line)
    after = everything(tmp_path / "results")
    assert after.pop(folder / "evaluations.csv") and after == before, "all other files stay as they are"
    assert "tiny seed 0: already complete" in bnbench("run", tiny, "--set", wanted, "--dry-run").stdout


@pytest.mark.parametrize("why", ["momentum", "missing", "damaged", "other"])
def test_a_complete_run_is_trained_again_where_its_weights_do_not_do(attempt, complete, tmp_path, why):
    folder, asked = complete
    weights = folder / "model.pt"
    if why == "missing":
        weights.unlink()
    elif why == "damaged":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif why == "other":
        state = torch.load(weights, weights_only=True)
        torch.save({name: value * 1.5 for name, value in state.items()}, weights)
    reason = {
        "momentum": "its moving averages exist only in training",
        "missing": "its model.pt is missing",
        "damaged": "its model.pt is damaged",
        "other": "its model.pt does not give its last validation loss",
    }[why]
    config = make(tmp_path, evaluations=ALL if why == "momentum" else "[precise, {batch: 30}]")
    before = everything(tmp_path / "results")
    line = in_words(*plan([config], tmp_path / "results", force=False))
    again = "trains 2 epochs again " if why in ("momentum", "missing") else ""
    assert line.startswith(f"tiny seed 0: complete, {again}to evaluate by ")
    ((outcome,), told) = attempt(config, "results")
    assert [event.text for event in told if isinstance(event, Notice)] == [
        f"{reason}, so it is trained again for its evaluations"
    ]
    assert epochs(told) == [1, 2] and outcome.trained
    rows = asked.decode().splitlines(keepends=True)
    kept = [row for row in rows if why == "momentum" or row.startswith(("evaluation", "precise", "batch=30"))]
    assert (folder / "evaluations.csv").read_text() == "".join(kept)
    after = everything(tmp_path / "results")
    assert after.pop(folder / "evaluations.csv") and after == before
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["tiny"]


def test_a_second_training_with_other_metrics_is_named_and_leaves_nothing(bnbench, complete, tiny, tmp_path):
    folder, _ = complete
    metrics = folder / "metrics.csv"
    text = metrics.read_text()
    first = text.split("\n")[1].split(",")[1]  # the training loss of epoch 1
    metrics.write_text(text.replace(first, "2.25"))
    before = everything(tmp_path / "results")
    result = bnbench("run", tiny, "--set", f"evaluations={ALL}")
    assert result.exit_code == 3 and "Traceback" not in result.stderr
    assert "was trained again for its evaluations, and its metrics are not the same here" in result.stderr
    assert everything(tmp_path / "results") == before


def test_a_second_training_resumes(attempt, complete, tmp_path):
    folder, asked = complete
    attempt(make(tmp_path), "results", kill_after=1)
    assert (tmp_path / "results/.again/tiny/seed-0/run.json").exists() and read_run(folder).status == "complete"
    ((outcome,), told) = attempt(make(tmp_path), "results")
    assert epochs(told) == [2] and (outcome.folder / "evaluations.csv").read_bytes() == asked
    assert not (tmp_path / "results/.again").exists()


def test_some_runs_of_a_stack_are_only_evaluated(attempt, tmp_path):
    few, many = "[precise]", "[precise, {batch: 4}]"
    attempt(make(tmp_path, "seeds=0..1", evaluations=few), "a")
    shutil.rmtree(tmp_path / "a/tiny/seed-1")
    outcomes, told = attempt(make(tmp_path, "seeds=0..2", evaluations=many), "a", engine="stacked")
    assert [outcome.trained for outcome in outcomes] == [False, True, True] and epochs(told) == [1, 1, 2, 2]
    whole, _ = attempt(make(tmp_path, "seeds=0..2", evaluations=many), "whole")
    assert list(map(of, outcomes)) == list(map(of, whole))


def test_a_linked_folder_of_second_trainings_is_refused(attempt, complete, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results/.again").symlink_to(tmp_path / "elsewhere")
    ((outcome,), _) = attempt(make(tmp_path), "results")
    assert outcome.status == "failed" and ".again is a link" in outcome.reason
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_run_that_another_command_completes_without_evaluations_is_evaluated(complete, tmp_path, data):
    """`claim` finds it complete, which the plan of the command did not know."""
    folder, _ = complete
    job = run_one.Job(0, make(tmp_path, evaluations="[precise]"), tmp_path / "results", False, "a test")
    ((_, outcome),) = run_one.attempt([job], data, lambda *_: None)
    assert (outcome.status, outcome.trained) == ("complete", False) and list(of(outcome)) == ["precise"]
    assert folder == outcome.folder


@pytest.mark.slow  # worker processes import torch
def test_workers_evaluate_complete_runs(bnbench, tiny, tmp_path):
    arguments = ("run", tiny, "--seeds", "0..2", "--jobs", 2, "--engine", "eager")
    assert bnbench(*arguments).exit_code == 0
    assert bnbench(*arguments, "--set", f"evaluations={ALL}").exit_code == 0
    assert bnbench(*arguments, "--set", f"evaluations={ALL}", "--out", "fresh").exit_code == 0
    for seed in range(3):
        names = ("metrics.csv", "evaluations.csv")
        a, b = (contents(tmp_path / out / f"tiny/seed-{seed}", names) for out in ("results", "fresh"))
        assert a == b


def test_runs_of_one_arm_with_other_averages_do_not_train_together(tmp_path):
    configs = make(tmp_path), make(tmp_path, evaluations="[{momentum: 0.5}]", name="b"), make(tmp_path, name="c")
    jobs = [run_one.Job(number, config, tmp_path / "a", False, "a test") for number, config in enumerate(configs)]
    assert [len(together) for together in units(jobs, 1, "stacked")] == [1, 1, 1]
    assert [len(together) for together in units([jobs[0], jobs[2]], 1, "stacked")] == [2]


def test_a_run_that_another_command_held_is_evaluated_when_it_is_free(complete, tmp_path, data_folder):
    folder, _ = complete
    asked = []

    def place(jobs, prepared, report):
        asked.append([job.folder for job in jobs])
        for job in jobs:
            yield job.number, run_one.Outcome(job.config, job.folder, "held" if len(asked) == 1 else "complete", False)

    config, out = make(tmp_path, evaluations="[precise]"), tmp_path / "results"
    with Progress(quiet=True) as progress:
        execute([config], out, data_folder, force=False, places=Places(), progress=progress, place=place)
    assert asked == [[folder], [folder]]


def test_the_end_of_a_shorter_run_has_no_averages(attempt, tmp_path, data):
    ((short,), _) = attempt(make(tmp_path, name="short"), "a")
    longer, told = make(tmp_path, "train.epochs=3", name="longer"), []
    job = run_one.Job(0, longer, tmp_path / "a", False, "a test", shorter=short.folder)
    ((_, outcome),) = run_one.attempt([job], data, lambda _, event: told.append(event))
    (notice,) = [event.text for event in told if isinstance(event, Notice)]
    assert "was made with another list of momenta in evaluations, so the run starts at the first epoch" in notice
    assert epochs(told) == [1, 2, 3] and len(of(outcome)) == 6
