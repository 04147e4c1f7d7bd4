"""A norm that is added at run time: configs name it, it trains, and those that do not know it still read its runs."""

import json
from pathlib import Path

import pytest
import torch
from pydantic import Field
from torch import nn

from bnbench.config import norms as options
from bnbench.config.base import key_error
from bnbench.config.norms.base import ActivationNormConfig
from bnbench.norms import NORMS


class ScaleConfig(ActivationNormConfig):
    power: float = Field(1.0, gt=0)
    affine: bool = True

    def refuse_features(self, features, spatial):
        if spatial:
            raise key_error("norm.type", "scale takes vectors")


class Scale(nn.Module):
    """Divides by the mean absolute value of an image's features. It takes no generator, since it draws nothing."""

    def __init__(self, num_features, spatial=(), *, power=1.0, affine=True):
        super().__init__()
        self.power = power
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None

    def forward(self, x):
        y = x / x.abs().mean(1, keepdim=True).pow(self.power)
        return y if self.weight is None else y * self.weight


@pytest.fixture
def own():
    """Registers the norm; calling it forgets the norm again, as in a process that never knew it."""
    options.register("scale", ScaleConfig)
    NORMS["scale"] = {"custom": Scale}

    def forget():
        options.NORMS.pop("scale", None)
        NORMS.pop("scale", None)

    yield forget
    forget()


def test_a_norm_registered_at_run_time_trains_and_is_compared(bnbench, tiny, own):
    result = bnbench("run", tiny, "--set", "norm={type: scale, power: 0.5}", "--set", "seeds=0..1", "--name", "mine")
    assert result.exit_code == 0, result.stderr
    assert bnbench("run", tiny, "--set", "norm={type: none}", "--set", "seeds=0..1", "--name", "none").exit_code == 0
    assert "mine" in bnbench("compare", "results").stdout


def test_where_it_is_not_known_its_runs_are_compared_under_the_digest_they_have(bnbench, tiny, own):
    """Against the very comparison that the process makes that knows it."""
    for name, norm in (("mine", "{type: scale, power: 0.5}"), ("none", "{type: none}")):
        arguments = ("--set", f"norm={norm}", "--seeds", "0..2", "--name", name)
        assert bnbench("run", tiny, *arguments).exit_code == 0
    commands = [
        ("compare", "results", "--format", "json"),
        ("compare", "results"),
        ("diff", "results/mine", "results/none"),
        ("show", "results/mine/seed-0"),
    ]
    known = [bnbench(*command) for command in commands]
    own()
    unknown = [bnbench(*command) for command in commands]
    for with_it, without in zip(known, unknown, strict=True):
        assert without.exit_code == 0, without.stderr
        assert (without.stdout, without.stderr) == (with_it.stdout, with_it.stderr)
    (group,) = json.loads(unknown[0].stdout)["groups"]
    digests = {arm["arm"]: arm["digest"] for arm in group["arms"]}
    (run,) = {json.loads(path.read_text())["digest"] for path in Path("results/mine").rglob("run.json")}
    assert digests["mine"] == run
    assert bnbench("report", "results").exit_code == 0
    assert "scale" in Path("report.html").read_text()
    again = bnbench("run", "results/mine/seed-0/config.yaml")
    assert again.exit_code == 2 and "norm.type: must be one of none, batch" in again.stderr
    other = bnbench("run", tiny, "--set", "norm={type: none}", "--name", "mine")
    assert other.exit_code == 3 and "norm.type is scale there, none here" in other.stderr


@pytest.mark.parametrize("value", [{"a": 1}, "x" * 201, "a\x1b[2J", float("inf")])
def test_what_no_config_holds_is_not_kept(bnbench, tiny, own, value):
    assert bnbench("run", tiny, "--set", "norm={type: scale}", "--name", "mine").exit_code == 0
    own()
    path = Path("results/mine/seed-0/run.json")
    about = json.loads(path.read_text())
    about["config"]["norm"]["power"] = value
    path.write_text(json.dumps(about))
    result = bnbench("compare", "results")
    assert result.exit_code == 0 and "mine: its settings are not known" in " ".join(
        result.stdout.split() + result.stderr.split()
    )


@pytest.mark.parametrize(
    ("norm", "problem"),
    [
        ("{type: scale, powr: 1.0}", "norm.powr: unknown key; did you mean power?"),
        ("{type: scale, x: 1}", "the keys of type scale are type, implementation, placement, power, affine"),
        ("{type: scale, power: 0.0}", "norm.power: must be greater than 0; got 0.0"),
        ("{type: scael}", "got 'scael'; did you mean scale? It must be one of none, batch"),
    ],
)
def test_its_options_are_checked_like_any(bnbench, tiny, own, norm, problem):
    result = bnbench("run", tiny, "--set", f"norm={norm}")
    assert result.exit_code == 2 and problem in result.stderr


def test_options_without_a_layer_are_a_sentence(bnbench, tiny, own):
    del NORMS["scale"]
    result = bnbench("run", tiny, "--set", "norm={type: scale}")
    assert result.exit_code == 3
    assert "scale has options but no builder; its entry is missing in bnbench/norms/" in result.stderr


def test_it_refuses_the_networks_that_it_cannot_normalize(bnbench, tiny, own):
    result = bnbench("run", tiny, "--set", "norm={type: scale}", "--set", "model={type: cnn}")
    assert result.exit_code == 2 and "norm.type: scale takes vectors" in result.stderr


def test_a_name_is_taken_once_and_spelled_like_a_key():
    for name in ("batch", "none", "Scale", "a-b", ""):
        with pytest.raises(ValueError, match=r"already|not a norm's name"):
            options.register(name, ScaleConfig)
