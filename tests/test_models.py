"""The two networks: the tutorial's shapes, and starts that arms share bit for bit."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from bnbench.config import models as configs
from bnbench.config.experiment import Config
from bnbench.models import networks
from bnbench.models.networks import ACTIVATIONS, hidden_layers, parameter_count
from bnbench.norms.weight import data_dependent_start, start_from_data
from bnbench.training.experiment import build_model

MLP = {"type": "mlp"}
CNN = {"type": "cnn"}
NONE = {"type": "none"}
CUSTOM = {"type": "batch", "weight_init": "normal", "bias_init": "normal"}
BUILTIN = {"type": "batch", "implementation": "builtin"}


def config(model, norm, seed=0):
    return Config.model_validate(
        {
            "name": "x",
            "model": model,
            "norm": norm,
            "train": {"epochs": 1, "optimizer": {"type": "adam"}},
            "seeds": seed,
        }
    )


@pytest.mark.parametrize(
    ("model", "norm", "parameters"),
    [
        (MLP, NONE, 784 * 100 + 100 + 100 * 10 + 10),
        (MLP, CUSTOM, 79_510 + 200),
        (CNN, NONE, (9 * 6 + 6) + (6 * 25 * 16 + 16) + (400 * 10 + 10)),
        (CNN, BUILTIN, 6_486 + 2 * (6 + 16)),
        ({"type": "cnn", "channels": [8, 4]}, NONE, (9 * 8 + 8) + (8 * 25 * 4 + 4) + (100 * 10 + 10)),
        ({"type": "mlp", "hidden": [30, 20]}, NONE, 784 * 30 + 30 + 30 * 20 + 20 + 20 * 10 + 10),
        ({"type": "mlp", "hidden": []}, NONE, 7_850),
    ],
)
def test_parameters_and_output(model, norm, parameters):
    network = build_model(config(model, norm))
    assert parameter_count(network) == parameters
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_the_tutorials_order_of_layers():
    kinds = [type(layer) for layer in build_model(config(CNN, BUILTIN))]
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d]
    assert kinds == [*block, *block, nn.Flatten, nn.Linear]
    kinds = [type(layer) for layer in build_model(config(MLP, BUILTIN))]
    assert kinds == [nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]


@pytest.mark.parametrize("model", [MLP, CNN, {"type": "mlp", "hidden": [20, 20, 20]}], ids=str)
def test_arms_share_the_start_of_their_shared_layers(model):
    states = [build_model(config(model, norm, seed=7)).state_dict() for norm in (NONE, CUSTOM, BUILTIN)]
    assert len(states[0]) >= 4
    for name, value in states[0].items():
        for other in states[1:]:
            assert torch.equal(value, other[name]), name


def test_custom_and_builtin_norms_start_alike():
    settings = {"weight_init": "normal", "bias_init": "normal"}
    custom, builtin = (
        build_model(config(CNN, {"type": "batch", "implementation": which, **settings})).state_dict()
        for which in ("custom", "builtin")
    )
    assert custom.keys() == builtin.keys()
    assert all(torch.equal(custom[name], builtin[name]) for name in custom)
    assert not torch.equal(custom["norm1.weight"], torch.ones(6))
    only_weight = build_model(config(CNN, {"type": "batch", "weight_init": "normal"})).state_dict()
    assert torch.equal(only_weight["norm2.weight"], custom["norm2.weight"])  # each layer has a stream of its own


def test_seeds_and_layers_differ():
    a, b = (
        build_model(config({"type": "mlp", "hidden": [100, 100, 100]}, CUSTOM, seed)).state_dict() for seed in (0, 1)
    )
    assert not torch.equal(a["linear1.weight"], b["linear1.weight"])
    assert not torch.equal(a["norm1.weight"], b["norm1.weight"])
    assert not torch.equal(a["norm1.weight"], a["norm2.weight"])
    assert not torch.equal(a["linear2.weight"], a["linear3.weight"])


def test_the_start_depends_on_no_global_generator():
    torch.manual_seed(1)
    first = build_model(config(MLP, CUSTOM)).state_dict()
    torch.manual_seed(2)
    second = build_model(config(MLP, CUSTOM)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_weights_start_as_pytorchs_do():
    """U(-1/√fan_in, 1/√fan_in), weight and bias, as nn.Linear's and nn.Conv2d's own start."""
    ours = build_model(config({"type": "mlp", "hidden": [5_000]}, NONE)).linear1
    torchs = nn.Linear(784, 5_000)
    for name in ("weight", "bias"):
        a, b = getattr(ours, name), getattr(torchs, name)
        assert a.abs().max() <= 1 / 28
        assert abs(a.std() / b.std() - 1) < 0.03
        assert abs(a.abs().max() / b.abs().max() - 1) < 0.01


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "none"])
@pytest.mark.parametrize("norm", [NONE, CUSTOM, BUILTIN], ids=str)
@pytest.mark.parametrize("model", [MLP, CNN], ids=str)
def test_every_activation_trains_with_every_norm(model, norm, activation):
    network = build_model(config({**model, "activation": activation}, norm))
    network(torch.randn(4, 1, 28, 28)).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


class ResidualConfig(configs.ModelConfig):
    """A toy residual network, as a newcomer would add it."""

    spatial = False

    width: int = 12
    blocks: int = 2
    bias: configs.Bias = True

    def features(self):
        return [self.width] * self.blocks


class Block(nn.Module):
    def __init__(self, width, norm, bias):
        super().__init__()
        self.linear, self.norm = nn.Linear(width, width, bias), norm(width, ())

    def forward(self, x):
        y = self.linear(x)
        return x + (y if self.norm is None else self.norm(y)).relu()


class Residual(nn.Module):
    """Its classifier is neither the last of its children nor in a Sequential."""

    def __init__(self, shape, classes, norm, *, width, blocks, bias, norm_last):
        super().__init__()
        self.classifier = nn.Linear(width, classes)
        self.first = nn.Linear(math.prod(shape), width)
        self.blocks = nn.ModuleList(Block(width, norm, bias) for _ in range(blocks))

    def forward(self, x):
        x = self.first(x.flatten(1))
        for block in self.blocks:
            x = block(x)
        return self.classifier(x)


@pytest.fixture
def residual(monkeypatch):
    monkeypatch.setitem(configs.MODELS, "residual", ResidualConfig)
    monkeypatch.setitem(networks.MODELS, "residual", Residual)


@pytest.mark.parametrize(
    ("norm", "parameters"),
    [("{type: batch}", 24 + 24), ("{type: layer}", 48), ("{type: weight}", 12 + 24), ("{type: none}", 0)],
)
def test_a_residual_network_trains_from_its_two_entries(bnbench, tiny, residual, norm, parameters):
    """Its config is read, written, read back and compared; its hidden layers are found by what the output is."""
    text = tiny.read_text().replace("{type: mlp, hidden: [8]}", "{type: residual}").replace("{type: batch}", norm)
    tiny.write_text(text)
    result = bnbench("run", tiny, "--smoke", "--set", "model.blocks=2")  # the default, so no part of the name
    assert result.exit_code == 0, result.stderr
    shown = bnbench("show", "results/tiny,smoke/seed-0").stdout
    assert "type: residual" in shown and "width: 12" in shown
    result = bnbench("compare", "results", "--format", "json")
    assert f'"parameters": {12 * 785 + 2 * 12 * 13 + 13 * 10 + parameters}' in result.stdout
    tiny.write_text(text.replace("{type: residual}", "{type: residual, blocks: two}"))
    assert "tiny.yaml:3: model.blocks: must be a whole number; got 'two'" in bnbench("run", tiny).stderr
    tiny.write_text(text.replace("{type: residual}", "{type: residual, hidden: [8]}"))
    error = bnbench("run", tiny).stderr
    assert "model.hidden: unknown key; the keys of type residual are type, width, blocks, bias" in error


def test_weight_norm_starts_from_data_in_a_network_with_branches(residual):
    """Every hidden layer's outputs have mean 0 and variance 1, on the path that the images take."""
    model = build_model(config({"type": "residual"}, {"type": "weight"}))
    images = torch.randn(300, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    outputs = []
    start_from_data(model, images)
    assert len(hidden_layers(model)) == 3 and model.classifier not in hidden_layers(model)
    for layer in hidden_layers(model):
        layer.register_forward_hook(lambda _, __, output: outputs.append(output))
    model(images)
    for output in outputs:
        torch.testing.assert_close(output.mean(0), torch.zeros(12), atol=1e-4, rtol=0)
        torch.testing.assert_close(output.var(0, correction=0), torch.ones(12), atol=1e-3, rtol=0)


@pytest.mark.parametrize("model", [MLP, CNN, {"type": "mlp", "hidden": [20, 20]}], ids=str)
def test_the_start_from_data_of_a_chain_is_layer_after_layer(model):
    images = torch.randn(50, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    by_hooks, by_hand = (build_model(config(model, {"type": "weight"})) for _ in range(2))
    start_from_data(by_hooks, images)
    x = images
    with torch.no_grad():
        for layer in by_hand:
            if parametrize.is_parametrized(layer, "weight"):
                data_dependent_start(layer, x)
            x = layer(x)
    assert all(torch.equal(a, b) for a, b in zip(by_hooks.parameters(), by_hand.parameters(), strict=True))
