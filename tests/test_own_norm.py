"""A norm that is added at run time: configs name it, it trains, and those that do not know it still read its runs."""

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


@pytest.mark.parametrize(
    ("norm", "problem"),
    [
        ("{type: scale, powr: 1.0}", "norm.powr: unknown key; did you mean power?"),
        ("{type: scale, x: 1}", "the keys of type scale are type, implementation, placement, power, affine"),
        ("{type: scale, power: 0.0}", "norm.power: must be greater than 0; got 0.0"),
        ("{type: scael}", "variance_only_batch, scale; got 'scael'; did you mean scale?"),
    ],
)
def test_its_options_are_checked_like_any(bnbench, tiny, own, norm, problem):
    result = bnbench("run", tiny, "--set", f"norm={norm}")
    assert result.exit_code == 2 and problem in result.stderr


def test_it_refuses_the_networks_that_it_cannot_normalize(bnbench, tiny, own):
    result = bnbench("run", tiny, "--set", "norm={type: scale}", "--set", "model={type: cnn}")
    assert result.exit_code == 2 and "norm.type: scale takes vectors" in result.stderr


def test_a_name_is_taken_once_and_spelled_like_a_key():
    for name in ("batch", "none", "Scale", "a-b", ""):
        with pytest.raises(ValueError, match=r"already|not a norm's name"):
            options.register(name, ScaleConfig)
