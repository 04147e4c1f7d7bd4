"""The two networks: the tutorial's shapes, and starts that arms share bit for bit."""

import pytest
import torch
from torch import nn

from bnbench.config.experiment import Config
from bnbench.models.networks import ACTIVATIONS, parameter_count
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


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", [NONE, CUSTOM, BUILTIN], ids=str)
@pytest.mark.parametrize("model", [MLP, CNN], ids=str)
def test_every_activation_trains_with_every_norm(model, norm, activation):
    network = build_model(config({**model, "activation": activation}, norm))
    network(torch.randn(4, 1, 28, 28)).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
