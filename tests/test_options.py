"""Options of training: their numbers, worked by hand, and their digests: a default changes nothing on disk."""

from itertools import product

import pytest
import torch
import yaml
from conftest import REPOSITORY
from pydantic import ValidationError
from torch import nn

from bnbench.config.base import EVERY_KEY, flat
from bnbench.config.experiment import Config
from bnbench.config.load import load_configs
from bnbench.config.strict_yaml import dump, parse
from bnbench.config.train import CosineConfig, StepConfig
from bnbench.data.datasets import Dataset
from bnbench.data.splits import Pixels, Split, batches, normalize
from bnbench.errors import ConfigError
from bnbench.launch.plan import Planned, warnings
from bnbench.models.networks import Residual, hidden_weights, parameter_count
from bnbench.randomness import generator
from bnbench.runs.format import read_run
from bnbench.training.build import build_model
from bnbench.training.engines.eager import Eager
from bnbench.training.loop import train
from bnbench.training.network import Network
from bnbench.training.optimizers import SGD, Adam, build_optimizer
from bnbench.training.schedule import factor, schedule

CPU = torch.device("cpu")
SGD_CONFIG = {"type": "sgd", "lr": 0.1}
NORMAL = {"type": "normal", "std": 0.05}
# Each key that was added after the first digests: a value that is not its default, and what the value needs.
LATER = {
    "data.drop_last": (True, {}),
    "data.scale": ("unit", {}),
    "data.binarize": (True, {}),
    "data.order": ("by_class", {}),
    "model.init": ({"type": "normal", "std": 0.05}, {}),
    "model.residual": (True, {}),
    "model.skip_init": (True, {"model.residual": True}),
    "train.only": ("norm", {}),
    "train.schedule": ({"type": "cosine"}, {}),
    "train.optimizer.weight_decay_on": ("hidden_weights", {"train.optimizer.weight_decay": 0.1}),
}


def make(**settings):
    """A config of the tiny kind; `a__b=1` sets a.b."""
    data = {
        "name": "x",
        "data": {"dataset": "mnist5k"},
        "model": {"type": "mlp", "hidden": [8, 8]},
        "norm": {"type": "batch"},
        "train": {"epochs": 3, "optimizer": dict(SGD_CONFIG)},
    }
    for key, value in settings.items():
        *above, last = key.replace("__", ".").split(".")
        part = data
        for name in above:
            part = part[name]
        part[last] = value
    return Config.model_validate(data)


def refused(**settings):
    with pytest.raises(ValidationError) as error:
        make(**settings)
    return str(error.value)


# Digests


@pytest.mark.parametrize("key", LATER)
def test_a_later_key_with_its_default_leaves_no_trace_on_disk(key):
    value, needs = LATER[key]
    plain, same, other = make(**needs), None, make(**needs, **{key: value})
    every = flat(plain.model_dump(mode="json", context=EVERY_KEY))
    assert key in every, "bnbench show prints it"
    same = make(**needs, **{key: every[key]})
    assert same.digest() == plain.digest() != other.digest()
    written = same.model_dump(mode="json")
    assert written == plain.model_dump(mode="json") and key not in flat(written)
    assert any(name == key or name.startswith(f"{key}.") for name in flat(other.model_dump(mode="json")))
    back = Config.model_validate(yaml.safe_load(yaml.safe_dump(other.model_dump(mode="json"))))
    assert back == other and back.digest() == other.digest()


def test_the_tracked_configs_keep_their_bytes():
    """config.yaml of a run that is trained today has the bytes of the tracked one; `valid` is newer than some."""
    paths = sorted((REPOSITORY / "results").glob("*/*/seed-0/config.yaml"))
    assert len(paths) > 30
    for path in paths:
        text = path.read_text()
        written = dump(Config.of_run(parse(text)[0]).model_dump(mode="json"))
        assert written in (text, text.replace("batch_size: 64, train", "batch_size: 64, valid: null, train")), path


# The last batch


def test_drop_last_leaves_out_other_images_in_each_epoch():
    """Of 10 images in batches of 4, two batches are left."""
    epochs = [list(batches(10, 4, 0, epoch, CPU, drop_last=True)) for epoch in (1, 2)]
    whole = [torch.cat(list(batches(10, 4, 0, epoch, CPU))) for epoch in (1, 2)]
    for order, everything in zip(epochs, whole, strict=True):
        assert [len(batch) for batch in order] == [4, 4]
        assert torch.equal(torch.cat(order), everything[:8])
    assert set(whole[0][8:].tolist()) != set(whole[1][8:].tolist())
    assert [len(batch) for batch in batches(9, 4, 0, 1, CPU, drop_last=True)] == [4, 4]  # the ninth joins no batch


@pytest.mark.parametrize(
    ("images", "size", "drop_last"),
    [case for case in product((1, 2, 7, 8, 9, 64, 65, 200), (1, 2, 8, 64), (False, True)) if case[1] <= case[0]],
)
def test_the_config_counts_the_batches_that_training_sees(images, size, drop_last):
    data = make(data__train_limit=images, data__batch_size=size, data__drop_last=drop_last, norm__type="none").data
    sizes = [len(batch) for batch in batches(images, size, 0, 1, CPU, drop_last=drop_last)]
    assert data.batches() == (len(sizes), sizes[-1])


@pytest.mark.parametrize(
    ("limit", "size", "tiny"),
    [
        (3_208, 64, True),  # 50 batches of 64, and 8 images
        (3_216, 64, False),  # a quarter of a batch
        (3_215, 64, True),
        (3_201, 64, False),  # a single image joins the last batch
        (4_000, 64, False),  # 32 images, as for the 60,000 images of MNIST
        (3_200, 64, False),
        (50, 50, False),
    ],
)
def test_a_tiny_last_batch_is_warned_about(limit, size, tiny, tmp_path):
    settings = {"data__train_limit": limit, "data__batch_size": size}
    runs = [Planned(make(**settings, name=name), tmp_path, None) for name in ("a", "b", "a")]
    told = warnings(runs)
    if tiny:
        (line,) = told
        last = limit % size
        assert line.startswith(f"WARNING: a and 1 other arm: the last of 51 batches of an epoch has {last} images")
        assert "data.drop_last: true" in line
    else:
        assert told == []
    assert warnings([Planned(make(**settings, data__drop_last=True), tmp_path, None)]) == []
    assert warnings([Planned(make(**settings), tmp_path, "complete")]) == []


def test_the_warning_is_shown_by_run_and_by_its_dry_run(bnbench, tiny):
    override = ("--set", "data.train_limit=205")
    for more in (("--dry-run",), ()):
        result = bnbench("run", tiny, *override, *more)
        assert result.exit_code == 0
        assert "the last of 5 batches of an epoch has 5 images, the others have 50" in result.stderr
        result = bnbench("run", tiny, *override, "--set", "data.drop_last=true", *more)
        assert "the last of" not in result.stderr


# Weight decay


def test_weight_decay_on_hidden_weights_leaves_gamma_alone():
    """By hand: with a gradient of 0, lr 0.1 and λ 0.5, a step multiplies what decays by 1 - 0.1 · 0.5 = 0.95."""
    decay = {"train__optimizer": {**SGD_CONFIG, "weight_decay": 0.5, "weight_decay_on": "hidden_weights"}}
    for model in ({"type": "mlp", "hidden": [8, 8]}, {"type": "cnn"}):
        config = make(model=model, **decay)
        network = build_model(config)
        before = {name: value.detach().clone() for name, value in network.named_parameters()}
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        build_optimizer(config.train.optimizer, network).step()
        decayed = {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}
        layers = ("linear1", "linear2") if model["type"] == "mlp" else ("conv1", "conv2")
        assert decayed == {f"{layer}.weight" for layer in layers}
        for name in decayed:
            torch.testing.assert_close(network.get_parameter(name), 0.95 * before[name])


@pytest.mark.parametrize(
    ("norm", "name"),
    [("weight", "original1"), ("scaled_weight_standardization", "original")],
)
def test_of_a_norm_of_weights_the_direction_decays_and_the_gain_does_not(norm, name):
    network = build_model(make(norm={"type": norm}))
    chosen = {id(parameter) for parameter in hidden_weights(network)}
    names = {key for key, parameter in network.named_parameters() if id(parameter) in chosen}
    assert names == {f"linear{layer}.parametrizations.weight.{name}" for layer in (1, 2)}


def test_adams_decay_is_limited_too():
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    for optimizer in (Adam([a, b], lr=0.1, weight_decay=0.5, decayed=[b]), SGD([a, b], lr=0.1)):
        a.grad, b.grad = torch.zeros(2), torch.zeros(2)
        optimizer.step()
    assert torch.equal(a, torch.ones(2)) and bool((b < 1).all())


def test_weight_decay_on_that_does_nothing_is_refused():
    assert "has no effect without weight_decay" in refused(train__optimizer__weight_decay_on="hidden_weights")
    decay = {**SGD_CONFIG, "weight_decay": 0.5, "weight_decay_on": "hidden_weights"}
    message = refused(model__hidden=[], norm={"type": "none"}, train__optimizer=decay)
    assert "no hidden layer with weights to decay" in message


# Zipped grids


def arms(tiny, grid, *overrides):
    tiny.write_text(tiny.read_text() + f"grid: {grid}\n")
    return load_configs([tiny], list(overrides))


def test_keys_that_are_written_together_vary_together(tiny):
    found = arms(tiny, "{'data.batch_size,train.optimizer.lr': [[64, 0.1], [16, 0.025]], norm.eps: [0.1, 0.2]}")
    seen = [(arm.data.batch_size, arm.train.optimizer.lr, arm.norm.eps) for arm in found]
    assert seen == [(64, 0.1, 0.1), (64, 0.1, 0.2), (16, 0.025, 0.1), (16, 0.025, 0.2)]
    assert found[2].name == "tiny,data.batch_size=16,norm.eps=0.1,train.optimizer.lr=0.025"


def test_an_option_fixes_one_of_the_keys(tiny):
    found = arms(
        tiny, "{'data.batch_size, train.optimizer.lr': [[50, 0.1], [25, 0.1], [25, 0.2]]}", "train.optimizer.lr=1"
    )
    assert [(arm.data.batch_size, arm.train.optimizer.lr) for arm in found] == [(50, 1), (25, 1)]


@pytest.mark.parametrize(
    ("grid", "problem"),
    [
        ("{'norm.eps,norm.momentum': [0.1, 0.2]}", "must be a list of lists with 2 values, one for each key; got 0.1"),
        ("{'norm.eps,norm.momentum': [[0.1, 0.2, 0.3]]}", "must be a list of lists with 2 values, one for each key"),
        ("{'norm.eps,seeds': [[0.1, 1]]}", "cannot vary in a grid; name them by seeds: 0..9"),
        ("{'norm.eps,norm.eps': [[0.1, 1]]}", "names norm.eps a second time in the grid"),
        ("{'norm.eps,norm.momentum': [[0.1, 1]], norm.eps: [0.1]}", "norm.eps': names norm.eps a second time"),
        ("{'norm.eps,': [[0.1, 1]]}", "is not a dotted key, as in train.optimizer.lr"),
        ("{'norm.eps,norm.momentum': [[0.1, 1], [0.1, 1]]}", "names a value twice"),
        ("{'norm.eps,norm.momentum': [[-1, 0.1]]}", "norm.eps: must be greater than or equal to"),
    ],
)  # fmt: skip
def test_mistakes_in_a_zipped_grid_are_named(tiny, grid, problem):
    with pytest.raises(ConfigError) as error:
        arms(tiny, grid)
    assert problem in str(error.value) and f"{tiny}:7: grid: " in str(error.value)


# The initial weights


def test_he_glorot_and_normal_by_hand():
    """784-400-8-10: he has the deviations √(2/784) and √(2/400); glorot has the bound √(6/(784 + 400))."""
    wide = {"type": "mlp", "hidden": [400, 8]}
    he, glorot, normal = (build_model(make(model={**wide, "init": init})) for init in ("he", "glorot", NORMAL))
    assert he.linear1.weight.std().item() == pytest.approx(0.05051, rel=0.01)
    assert he.linear2.weight.std().item() == pytest.approx(0.07071, rel=0.05)  # √(2/400)
    assert glorot.linear1.weight.abs().max().item() == pytest.approx(0.07119, rel=0.001)  # √(6/1184)
    assert glorot.linear1.weight.std().item() == pytest.approx(0.07119 / 3**0.5, rel=0.01)
    assert normal.linear1.weight.std().item() == pytest.approx(0.05, rel=0.01)
    for network in (he, glorot, normal):
        assert all(not layer.bias.any() for layer in (network.linear1, network.linear2, network.classifier))


def test_the_fans_of_a_convolution_by_hand():
    """16 → 6 channels, 5×5: fan_in 6 · 25 = 150, fan_out 16 · 25 = 400; √(6/550) = 0.10445 and √(2/150) = 0.11547."""
    he, glorot = (build_model(make(model={"type": "cnn", "init": init})) for init in ("he", "glorot"))
    assert glorot.conv2.weight.abs().max().item() == pytest.approx(0.10445, rel=0.001)
    assert he.conv2.weight.std().item() == pytest.approx(0.11547, rel=0.05)


def test_the_default_start_is_pinned():
    """Every run on disk has it."""
    weight = build_model(make(model={"type": "mlp", "hidden": [8]})).linear1.weight
    again = torch.empty(8, 784).uniform_(-1 / 28, 1 / 28, generator=generator(0, "weights", 0))
    assert torch.equal(weight, again)


@pytest.mark.parametrize(
    ("init", "problem"),
    [
        ("hee", "got 'hee'; did you mean he? It must be one of default, he, glorot, {type: normal, ...}"),
        ("{type: normal}", "model.init.std: is required and missing"),
        ("{type: normal, std: 0}", "model.init.std: must be greater than 0"),
        ("{type: normal, sdt: 1}", "model.init.sdt: unknown key; the keys of type normal are type, std"),
        ("{type: uniform}", "model.init.type: must be normal; got 'uniform'"),
        ("3", "model.init: must be a mapping"),
    ],
)
def test_mistakes_in_init_are_named(tiny, init, problem):
    with pytest.raises(ConfigError) as error:
        load_configs([tiny], [f"model.init={init}"])
    assert problem in str(error.value)


# Pixels


def dataset():
    """Two training images: one black, one white in its upper half; the test image is grey (128) and dark grey (127)."""
    train = torch.zeros(2, 28, 28, dtype=torch.uint8)
    train[1, :14] = 255
    test = torch.full((1, 28, 28), 128, dtype=torch.uint8)
    test[0, :14] = 127
    labels = torch.tensor([3, 5], dtype=torch.uint8)
    return Dataset(train, labels, test, labels[:1])


@pytest.mark.parametrize(
    ("scale", "black", "white"),
    [
        ("symmetric", -1, 1),
        ("unit", 0, 1),
        ("centred", -0.25, 0.75),  # a quarter of all pixels is white
        ("standardized", -(3**-0.5), 3**0.5),  # the variance is 1/4 · 3/4, the deviation √3/4
    ],
)
def test_each_scale_by_hand(scale, black, white):
    images = normalize(dataset(), Pixels("float64", scale))
    assert images.train.images[0, 0, 0, 0].item() == pytest.approx(black)
    assert images.train.images[1, 0, 0, 0].item() == pytest.approx(white)
    grey = 128 / 255
    assert images.test.images[0, 0, 27, 0].item() == pytest.approx(black + grey * (white - black))
    binary = normalize(dataset(), Pixels("float64", scale, binarize=True))
    assert torch.equal(binary.train.images, images.train.images)
    assert binary.test.images[0, 0, (0, 27), 0].tolist() == pytest.approx([black, white])


def test_the_mean_and_deviation_are_those_of_all_training_pixels(mnist5k):
    images = normalize(mnist5k, Pixels("float64", "standardized")).train.images
    assert images.mean().item() == pytest.approx(0, abs=1e-12)
    assert images.std(correction=0).item() == pytest.approx(1)


def test_runs_of_two_scales_train_in_one_command(bnbench, tiny):
    """In worker processes, each scale has its own images."""
    grid = "grid={data.scale: [symmetric, unit], data.binarize: [false, true]}"
    for jobs, out in ((1, "one"), (2, "two")):
        result = bnbench("run", tiny, "--set", grid, "--set", "train.epochs=1", "--jobs", jobs, "--out", out)
        assert result.exit_code == 0, result.stderr
    curves = {path.parent.parent.name: path.read_bytes() for path in (tiny.parent / "one").rglob("metrics.csv")}
    assert len(curves) == len(set(curves.values())) == 4
    for path in (tiny.parent / "two").rglob("metrics.csv"):
        assert path.read_bytes() == curves[path.parent.parent.name]


# The order of the images


def test_by_class_each_class_comes_after_the_one_before_in_a_shuffled_order():
    labels = torch.tensor([1, 0, 1, 0, 1, 0])
    orders = [torch.cat(list(batches(6, 2, 0, epoch, CPU, by=labels))).tolist() for epoch in range(1, 9)]
    for order in orders:
        assert set(order[:3]) == {1, 3, 5} and set(order[3:]) == {0, 2, 4}
    assert len(set(map(tuple, orders))) > 4
    shuffled = torch.cat(list(batches(6, 2, 0, 1, CPU))).tolist()
    assert orders[0] == [i for i in shuffled if i % 2] + [i for i in shuffled if i % 2 == 0]


def test_a_run_by_class_trains_in_that_order(bnbench, tiny):
    for order in ("shuffled", "by_class"):
        result = bnbench("run", tiny, "--set", f"data.order={order}", "--name", order)
        assert result.exit_code == 0, result.stderr
    finals = [read_run(tiny.parent / f"results/{order}/seed-0").rows[-1] for order in ("shuffled", "by_class")]
    assert finals[1].valid_accuracy < finals[0].valid_accuracy  # the last class that it saw is all that it knows


# What is trained


def changed(config):
    """The names of the parameters that training for an epoch changes."""
    network = build_model(config)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimizer = build_optimizer(config.train.optimizer, network)
    images = torch.randn(50, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    split = Split(images, torch.arange(50) % 10)
    rows = list(train([Network(network, optimizer, 0)], split, split, epochs=1, batch_size=25))
    assert len(rows) == 1
    return {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}, network


def test_train_only_the_norms_or_the_head_by_hand():
    norms, network = changed(make(train__only="norm"))
    assert norms == {"norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"}
    assert parameter_count(network) == 4 * 8
    head, network = changed(make(train__only="head"))
    assert head == {"classifier.weight", "classifier.bias"} and parameter_count(network) == 8 * 10 + 10
    gains, network = changed(make(train__only="norm", norm={"type": "weight"}))
    assert gains == {f"linear{layer}.parametrizations.weight.original0" for layer in (1, 2)}
    assert parameter_count(network) == 2 * 8


def test_a_norm_with_more_than_gamma_and_beta_is_trained_without_them():
    norms, _ = changed(make(train__only="norm", norm={"type": "dyt", "affine": False}))
    assert norms == {"norm1.alpha", "norm2.alpha"}


@pytest.mark.parametrize("norm", [{"type": "none"}, {"type": "batch", "affine": False}])
def test_norms_without_parameters_are_not_trained_alone(norm):
    assert "has no parameters to train" in refused(train__only="norm", norm=norm)


def test_what_does_not_train_does_not_decay():
    decay = {**SGD_CONFIG, "weight_decay": 0.5, "weight_decay_on": "hidden_weights"}
    assert "train.only: head trains no hidden weights" in refused(train__only="head", train__optimizer=decay)


# Schedules


def test_the_factors_of_each_step_by_hand():
    """Four steps an epoch, three epochs: 12 steps."""
    cosine = CosineConfig(type="cosine")
    assert [factor(step, cosine, 4, 3) for step in (0, 4, 6, 8)] == pytest.approx([1, 0.75, 0.5, 0.25])
    warm = CosineConfig(type="cosine", warmup_steps=4)
    found = [factor(step, warm, 4, 3) for step in range(12)]
    assert found[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert found[8] == pytest.approx(0.5) and 0 < found[11] < 0.05
    step = StepConfig(type="step", epochs=[1, 2], factor=0.5, warmup_steps=2)
    assert [factor(i, step, 4, 3) for i in range(12)] == [0.5, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]


def test_the_steps_of_a_schedule_are_those_of_training():
    """By hand: with a gradient of 1 in each step, plain SGD moves by the rate: 0.1 · (0.5 + 1 + 0.5 + 0.5) in all."""
    config = make(
        data__train_limit=20, data__batch_size=10, train__epochs=2,
        train__schedule={"type": "step", "epochs": [1], "factor": 0.5, "warmup_steps": 2},
    )  # fmt: skip
    model = Ones()
    network = Network(model, SGD(model.parameters(), lr=0.1), 0, rate=schedule(config))
    split = Split(torch.zeros(20, 1, 28, 28), torch.zeros(20, dtype=torch.int64))
    list(train([network], split, split, epochs=2, batch_size=10, engine=OfOnes))
    assert model.weight.item() == pytest.approx(-0.1 * 2.5)
    assert schedule(make()) is None


class Ones(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.weight * torch.ones(len(x), 10)


class OfOnes(Eager):
    """The gradient is always 1."""

    def backward(self, batches):
        forward = super().backward(batches)
        for network in self._networks:
            network.model.weight.grad = torch.ones(())
        return forward


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ({"type": "step", "epochs": [3]}, "3 is not before the last epoch, 3"),
        ({"type": "step", "epochs": [2, 1]}, "must increase"),
        ({"type": "cosine", "warmup_steps": 189}, "189 is not less than the run's 189 steps"),  # 63 an epoch
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(schedule, problem):
    assert problem in refused(train__schedule=schedule)
    assert make(train__schedule=schedule, smoke=True)  # one epoch
    assert make(train__schedule={"type": "cosine", "warmup_steps": 188})


# Residual networks


@pytest.mark.parametrize("model", [{"type": "mlp", "hidden": [8, 8, 8]}, {"type": "cnn"}], ids=["mlp", "cnn"])
def test_a_residual_network_with_skip_init_starts_as_the_identity(model):
    network = build_model(make(model={**model, "residual": True, "skip_init": True})).double()
    blocks = [layer for layer in network if isinstance(layer, Residual)]
    assert len(blocks) == 2
    images = torch.randn(5, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shorter = nn.Sequential(*(layer for layer in network if not isinstance(layer, Residual)))
    assert torch.equal(network(images), shorter(images))
    network(images).square().sum().backward()
    assert all(block.alpha.grad != 0 for block in blocks)  # so it does not stay the identity


def test_a_residual_block_by_hand():
    """x + α ReLU(wx + b) for x = 2, w = 3, b = 1: 2 + 7 = 9; with α = 0.5, 5.5."""
    for skip_init, alpha, expected in ((False, None, 9.0), (True, 0.5, 5.5)):
        block = Residual({"linear": nn.Linear(1, 1), "norm": None, "activation": nn.ReLU(inplace=True)}, skip_init)
        with torch.no_grad():
            block.linear.weight.fill_(3)
            block.linear.bias.fill_(1)
            if alpha:
                block.alpha.fill_(alpha)
        assert block(torch.tensor([[2.0]])).item() == expected


def test_a_residual_mlp_has_the_weights_of_the_plain_one():
    plain, residual = (build_model(make(model__residual=residual)) for residual in (False, True))
    assert torch.equal(plain.linear2.weight, residual.residual2.linear2.weight)
    assert parameter_count(plain) == parameter_count(residual)
    x = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    h = plain[:4](x)
    torch.testing.assert_close(residual(x), plain.classifier(h + plain[4:7](h.clone())))


@pytest.mark.parametrize(
    "norm", [{"type": "layer"}, {"type": "weight", "init": "data"}, {"type": "evonorm_s0"}], ids=str
)
def test_a_residual_cnn_trains_with_every_kind_of_norm(norm):
    activation = "none" if norm["type"].startswith("evonorm") else "relu"
    model = {"type": "cnn", "channels": [4, 8], "residual": True, "skip_init": True, "activation": activation}
    names, network = changed(make(model=model, norm={**norm, **({"num_groups": 2} if activation == "none" else {})}))
    assert {"residual2.alpha", "residual4.alpha"} <= names
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ({"type": "mlp", "hidden": [8], "residual": True}, "needs at least two hidden layers, all of one width"),
        ({"type": "mlp", "hidden": [8, 9], "residual": True}, "needs at least two hidden layers, all of one width"),
        ({"type": "cnn", "skip_init": True}, "needs residual: true"),
    ],
)
def test_a_model_that_cannot_be_residual_is_refused(model, problem):
    assert problem in refused(model=model)


def test_the_norms_of_a_residual_network_are_shown(bnbench, tiny):
    bnbench("run", tiny, "--set", "model={type: mlp, hidden: [8, 8], residual: true}", "--name", "r")
    shown = bnbench("show", "results/r/seed-0").stdout
    assert "norm1" in shown and "norm2" in shown
