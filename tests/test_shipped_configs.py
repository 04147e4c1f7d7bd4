"""Every config under configs/ loads, builds its model and takes a step; its header says what to expect."""

import json
import re
import statistics

import pytest
import torch
import torch.nn.functional as F
from conftest import REPOSITORY
from scipy import stats

from bnbench.config.load import load_config
from bnbench.norms import NORMS, WEIGHT_NORMS
from bnbench.runs.format import read_run
from bnbench.training.experiment import build_model
from bnbench.training.optimizers import build_optimizer

CONFIGS = sorted(path for path in (REPOSITORY / "configs").rglob("*.yaml") if path.parent.name != "studies")
NORM_CONFIGS = [path for path in CONFIGS if path.parent.name == "norms"]


def tracked_runs(path):
    """The tracked runs of a config, of the tutorial's arms or of the norms; none where it was shipped without."""
    folder = REPOSITORY / "results" / ("norms" if path in NORM_CONFIGS else "reference") / path.stem
    return sorted(folder.iterdir()) if folder.exists() else []


TRACKED = [path for path in CONFIGS if tracked_runs(path)]


TUTORIAL = {"mlp_bn", "mlp_no_bn", "cnn_bn", "cnn_no_bn", "mlp_bn_builtin", "cnn_bn_custom"}


def test_the_tutorials_experiments_are_there():
    assert {path.stem for path in CONFIGS} >= TUTORIAL


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_it_loads_builds_and_takes_a_step(path, mnist5k):
    config = load_config(path)
    model = build_model(config)
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = build_optimizer(config.train.optimizer, model)
    images = mnist5k.train_images[: config.data.batch_size].float().unsqueeze(1) / 127.5 - 1
    loss = F.cross_entropy(model(images), mnist5k.train_labels[: config.data.batch_size].long())
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    # The bias before a norm gets a gradient of zero but for rounding: the norm subtracts it again.
    assert all(not torch.equal(value, before[name]) for name, value in model.named_parameters() if "weight" in name)


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_its_header_gives_the_command_the_time_and_the_measured_result(path):
    """What a header promises is what the tracked runs gave; without such, it promises nothing."""
    text = " ".join(line for line in path.read_text().split("\n") if line.startswith("#"))
    assert f"bnbench run {path.relative_to(REPOSITORY)} " in text
    assert load_config(path).name == path.stem
    if path not in TRACKED:
        assert "expect" not in text
        return
    assert re.search(r"\d+ s on one core", text), text
    finals = [read_run(folder).rows[-1].valid_accuracy for folder in tracked_runs(path)]
    half = stats.t.ppf(0.975, len(finals) - 1) * stats.sem(finals)
    assert (
        f"expect {100 * statistics.mean(finals):.2f} ± {100 * half:.2f} % (95 % interval, {len(finals)} seeds)" in text
    )


@pytest.mark.parametrize("path", TRACKED, ids=[path.stem for path in TRACKED])
def test_the_reference_runs_are_of_this_very_config(path):
    digests = {json.loads((run / "run.json").read_text())["digest"] for run in tracked_runs(path)}
    assert digests == {load_config(path, ["device=cpu"]).digest()}


def test_the_configs_of_the_norms_differ_in_the_norm_alone():
    """In the MLP and the CNN, at three epochs; those that are tracked with eleven seeds and five."""
    for model, missing in (("mlp", {"instance", "filter_response"}), ("cnn", set())):
        paths = {path.stem.removeprefix(f"{model}_"): path for path in NORM_CONFIGS if path.stem.startswith(model)}
        configs = {norm: load_config(path) for norm, path in paths.items()}
        assert "none" in configs and configs.keys() <= {"none", *NORMS, *WEIGHT_NORMS, "partial_rms"} - missing
        assert all(config.norm.type == norm.removeprefix("partial_") for norm, config in configs.items())
        baseline = configs["none"].arm()
        for config in configs.values():
            network = {**baseline["model"], "activation": "none" if config.norm.activates else "relu"}
            assert {**config.arm(), "norm": None} == {**baseline, "norm": None, "model": network}
        assert baseline["train"]["epochs"] == 3
        tracked = [path for path in paths.values() if path in TRACKED]
        assert len(tracked) >= 16 - len(missing)
        for path in tracked:
            assert {read_run(run).seed for run in tracked_runs(path)} == set(range(11 if model == "mlp" else 5))


def test_the_tutorials_own_choices():
    mlp_bn, cnn_bn = (load_config(REPOSITORY / f"configs/{name}.yaml") for name in ("mlp_bn", "cnn_bn"))
    assert mlp_bn.norm.model_dump() == {
        "type": "batch",
        "implementation": "custom",
        "eps": 1e-5,
        "momentum": 0.9,
        "affine": True,
        "track_running_stats": True,
        "running_var": "biased",
        "running_var_init": "zeros",
        "weight_init": "normal",
        "bias_init": "normal",
        "placement": "before_activation",
        "eval_statistics": "running",
    }
    assert cnn_bn.norm.implementation == "builtin"
    for config, epochs in ((mlp_bn, 10), (cnn_bn, 5)):
        assert config.train.epochs == epochs and config.data.batch_size == 64
        assert config.train.optimizer.model_dump() == {"type": "sgd", "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}


def test_counterparts_differ_only_in_the_implementation():
    """All but one option: torch's batch norm has no biased running variance."""
    for first, second, differing in (
        ("mlp_bn", "mlp_bn_builtin", {"implementation", "running_var"}),
        ("cnn_bn", "cnn_bn_custom", {"implementation"}),
    ):
        a, b = (load_config(REPOSITORY / f"configs/{name}.yaml").arm() for name in (first, second))
        assert {key for key in a["norm"] if a["norm"][key] != b["norm"][key]} == differing
        assert {**a, "norm": None} == {**b, "norm": None}
