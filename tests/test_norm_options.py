"""Norms from YAML: what is refused when the config is read, and what placement, bias, statistics and starts do."""

import json

import pytest
import torch
from conftest import required_options
from torch import nn

from bnbench.config.load import load_config
from bnbench.config.norms import NORMS as NORM_OPTIONS
from bnbench.data.splits import Split
from bnbench.errors import ConfigError
from bnbench.norms import NORMS
from bnbench.norms.batch import BatchNorm
from bnbench.norms.ghost import ghost_batches
from bnbench.training.experiment import build_model, precise_over
from bnbench.training.loop import train
from bnbench.training.network import Network
from bnbench.training.optimizers import build_optimizer

MLP = "model: {type: mlp, hidden: [12, 8]}"
CNN = "model: {type: cnn, channels: [6, 16]}"
NO_ACTIVATION = "model: {type: mlp, hidden: [8], activation: none}"


@pytest.fixture
def config(tmp_path):
    def config(model, norm, *overrides):
        path = tmp_path / "c.yaml"
        path.write_text(f"name: c\n{model}\nnorm: {norm}\ntrain: {{epochs: 2, optimizer: {{type: sgd, lr: 0.1}}}}\n")
        return load_config(path, list(overrides))

    return config


def with_norm(norm):
    """The norm of a config by its required options, and the override that its model then needs."""
    activation = ["model.activation=none"] if NORM_OPTIONS[norm].activates else []
    return json.dumps({"type": norm, **required_options(norm)}), activation


@pytest.mark.parametrize(
    ("model", "norm", "problem"),
    [
        (CNN, "{type: group, num_groups: 4}", "norm.num_groups: 4 does not divide 6 channels; choose 1 or 2"),
        (MLP, "{type: group, num_groups: 3}", "norm.num_groups: 3 does not divide 8 features; choose 1 or 2 or 4"),
        (
            "model: {type: mlp, hidden: [8]}",
            "{type: group, num_groups: 8}",
            "norm.num_groups: 8 leaves a single value in each group; choose 1 or 2 or 4",
        ),
        (CNN, "{type: group}", "norm.num_groups: is required and missing"),
        (MLP, "{type: instance}", "norm.type: instance norm needs images: "),
        ("model: {type: mlp, hidden: [8, 1]}", "{type: layer}", "norm.type: layer norm of one feature gives β"),
        (MLP, "{type: ghost_batch}", "norm.virtual_batch_size: is required and missing"),
        (MLP, "{type: ghost_batch, virtual_batch_size: 65}", "norm.virtual_batch_size: 65 is more than the 64 images"),
        (MLP, "{type: ghost_batch, virtual_batch_size: 1}", "norm.virtual_batch_size: a part of one image has"),
        (MLP, "{type: lp_batch, p: 3}", "norm.p: must be one of 2, inf; got 3"),
        (MLP, "{type: lp_batch}", "norm.p: is required and missing"),
        (MLP, "{type: generalized_batch}", "norm.pair: is required and missing"),
        (MLP, "{type: generalized_batch, pair: midrange, alpha: 0.5}", "norm.alpha: has no effect with pair: midrange"),
        (MLP, "{type: generalized_batch, pair: quantile, alpha: 1}", "norm.alpha: must be less than or equal to 0.99"),
        (MLP, "{type: batch_renorm, r_max: 0.5}", "norm.r_max: must be greater than or equal to 1"),
        (MLP, "{type: batch_renorm, d_max_steps: 9}", "norm.d_max_steps: must be at least warmup_steps, 5,000; got 9"),
        (MLP, "{type: noisy_batch, n_sigma: 0.5}", "norm.n_sigma: must be greater than or equal to 1"),
        (MLP, "{type: l1_batch, implementation: builtin}", "norm.implementation: must be custom; got 'builtin'"),
        (MLP, "{type: layer, momentum: 0.1}", "norm.momentum: unknown key"),
        (MLP, "{type: weight, placement: after_activation}", "norm.placement: unknown key; the keys of type weight"),
        (MLP, "batch", "norm: must be a mapping, as in {type: batch}; got 'batch'"),
        (MLP, "{type: lp_batch, p: .inf}", "norm.p: must be one of 2, inf; got .inf"),
        (MLP, "{type: batch, eps: 1e-50}", "norm.eps: must be greater than or equal to 1e-30; got 1e-50"),
        ("model: {type: mlp, hidden: [1]}", "{type: group, num_groups: 1}", "norm.num_groups: 1 leaves a single value"),
        ("model: {type: mlp, bias: null}", "{type: none}", "model.bias: must be true, false or auto; got nothing"),
        (MLP, "{type: batch, placement: last}", "norm.placement: must be one of before_activation, after_activation"),
        (CNN, "{type: instance, momentum: 0.5}", "norm.momentum: has no effect with track_running_stats: false"),
        (
            MLP,
            "{type: batch, eval_statistics: precise, momentum: 0.5}",
            "norm.momentum: has no effect with eval_statistics: precise",
        ),
        (
            MLP,
            "{type: batch, eval_statistics: batch, running_var: biased}",
            "norm.running_var: has no effect with eval_statistics: batch",
        ),
        (
            MLP,
            "{type: batch, track_running_stats: false, eval_statistics: precise}",
            "norm.eval_statistics: has no effect with track_running_stats: false",
        ),
        ("model: {type: mlp, bias: never}", "{type: none}", "model.bias: must be true, false or auto; got 'nev"),
        ("model: {type: mlp, bias: 1}", "{type: none}", "model.bias: must be true, false or auto; got 1"),
        ("model: {type: mlp, hidden: [1]}", "{type: rms}", "norm.type: RMS norm of one feature"),
        ("data: {train_limit: 1, batch_size: 1}\n" + MLP, "{type: weight, init: data}", "norm.init: data needs at"),
        (MLP, "{type: batch, eval_statistics: precise, running_var: biased}", "norm.running_var: precise statistics"),
        ("model: {type: mlp, bias: false}", "{type: weight, init: data}", "model.bias: norm.init: data also sets the"),
        (NO_ACTIVATION, "{type: batch}", "model.activation: none needs a norm that brings its own activation: filter_"),
        (NO_ACTIVATION, "{type: none}", "model.activation: none needs a norm that brings its own activation: filter_"),
        (NO_ACTIVATION, "{type: weight}", "model.activation: none needs a norm that brings its own activation: filter"),
        (MLP, "{type: evonorm_b0}", "model.activation: evonorm_b0 brings its own activation; use activation: none"),
        (CNN, "{type: filter_response}", "model.activation: filter_response brings its own activation; use activ"),
        (NO_ACTIVATION, "{type: evonorm_b0, placement: after_activation}", "norm.placement: must be before_activation"),
        (NO_ACTIVATION, "{type: filter_response}", "norm.type: filter response norm needs images: "),
        (NO_ACTIVATION, "{type: evonorm_s0, num_groups: 5}", "norm.num_groups: 5 does not divide 8 features; choose"),
        (MLP, "{type: rms, p: 0.5, implementation: builtin}", "norm.p: torch's RMS norm has no p; use implementation:"),
        (MLP, "{type: rms, p: 0.1}", "norm.p: 0.1 of 8 features is less than one; use at least 0.125"),
        (MLP, "{type: rms, p: 1.5}", "norm.p: must be less than or equal to 1"),
        ("model: {type: mlp, hidden: [1, 8]}", "{type: scaled_weight_standardization}", "norm.type: a unit with one"),
    ],
)  # fmt: skip
def test_what_is_not_defined_is_refused(config, model, norm, problem):
    with pytest.raises(ConfigError) as error:
        config(model, norm)
    lines = str(error.value).split("\n")
    assert len(lines) == 1 and f": {problem}" in lines[0], lines
    assert "c.yaml:" in lines[0]


def test_the_activation_of_a_norm_is_the_only_one(config):
    network = build_model(config(NO_ACTIVATION, "{type: evonorm_s0, num_groups: 2}"))
    assert [type(layer) for layer in network[1:4]] == [nn.Linear, NORMS["evonorm_s0"]["custom"], nn.Identity]


def test_a_relu_in_place_leaves_what_the_gradient_of_tanh_needs(config):
    network = build_model(config(MLP, "{type: dyt, affine: false}"))
    network(torch.randn(4, 1, 28, 28)).sum().backward()
    assert network.linear1.weight.grad.any()


@pytest.mark.parametrize(("p", "count"), [(0.29, 29), (0.07, 7), (0.0625, 6), (1.0, 100)])
def test_partial_rms_norm_takes_the_first_values(p, count):
    layer, x = NORMS["rms"]["custom"](100, p=p), torch.ones(1, 100)
    assert layer.count == count
    x[:, count:] = 5
    assert torch.allclose(layer(x), x)
    with pytest.raises(ValueError, match="at least one of 100 values"):
        NORMS["rms"]["custom"](100, p=0.001)


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_a_batch_of_one_vector_is_refused_by_those_that_need_more(config, norm):
    text, activation = with_norm(norm)
    if norm == "ghost_batch":
        text = "{type: ghost_batch, virtual_batch_size: 1}"
    if NORM_OPTIONS[norm].needs_batch or not takes(config, MLP, text, *activation):
        with pytest.raises(ConfigError):
            config(MLP, text, "data.batch_size=1", *activation)
    else:
        config(MLP, text, "data.batch_size=1", *activation)
    # An image has many values a channel.
    assert takes(config, CNN, text, *activation) and takes(config, CNN, text, "data.batch_size=1", *activation)


def takes(config, *arguments):
    """Whether a config is accepted."""
    try:
        return bool(config(*arguments))
    except ConfigError:
        return False


@pytest.mark.parametrize("model", [MLP, CNN])
def test_placement_moves_the_norm_behind_the_activation(config, model):
    before = [type(layer) for layer in build_model(config(model, "{type: batch}"))]
    after = [type(layer) for layer in build_model(config(model, "{type: batch, placement: after_activation}"))]
    i = before.index(BatchNorm)
    assert before[i : i + 2] == [BatchNorm, nn.ReLU] and after[i : i + 2] == [nn.ReLU, BatchNorm]
    assert sorted(map(str, before)) == sorted(map(str, after)) and before != after
    names = [[name for name, _ in build_model(config(model, text)).named_parameters()] for text in (
        "{type: batch}", "{type: batch, placement: after_activation}")]  # fmt: skip
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("norm", "keeps"),
    [
        ("{type: none}", True),
        ("{type: batch}", False),
        ("{type: batch, placement: after_activation}", True),
        ("{type: layer}", True),
        ("{type: group, num_groups: 2}", True),
        ("{type: rms}", True),
        ("{type: weight}", True),
        ("{type: mean_only_batch}", False),
        ("{type: variance_only_batch}", True),
        ("{type: lp_batch, p: 2}", False),
        ("{type: lp_batch, p: 2, centered: false}", True),
    ],
)
@pytest.mark.parametrize("model", [MLP, CNN])
def test_bias_auto_leaves_out_what_the_norm_would_subtract(config, model, norm, keeps):
    network = build_model(config(model, norm, "model.bias=auto"))
    hidden = [layer for layer in network[:-1] if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert [layer.bias is not None for layer in hidden] == [keeps] * 2
    assert network.classifier.bias is not None
    with_bias = build_model(config(model, norm)).state_dict()
    shared = [name for name in network.state_dict() if name in with_bias]
    assert shared and all(torch.equal(network.state_dict()[name], with_bias[name]) for name in shared)


def test_no_bias_and_a_bias_train_alike_before_batch_norm(config, mnist5k):
    """The note's advice: the bias changes nothing, rounding apart.

    With a moving average, it does change the evaluation until the average has forgotten that it began at 0.
    """
    losses = []
    for bias in ("auto", "true"):
        row, _ = _train(config(MLP, "{type: batch, momentum: null}", f"model.bias={bias}", "dtype=float64"), mnist5k)
        losses.append((row.train_loss, row.valid_loss))
    assert losses[0] == pytest.approx(losses[1], abs=1e-10)


def _train(config, mnist5k, images=640, precise=False):
    """The rows of a short training, and the model."""
    dtype = getattr(torch, config.dtype)
    pixels = mnist5k.train_images[: 2 * images].unsqueeze(1).to(dtype) / 127.5 - 1
    labels = mnist5k.train_labels[: 2 * images].long()
    order = torch.randperm(2 * images, generator=torch.Generator().manual_seed(0))
    first, second = order[:images], order[images:]
    model = build_model(config).to(dtype)
    train_split = Split(pixels[first], labels[first])
    ((_, row),) = train(
        [Network(model, build_optimizer(config.train.optimizer, model), seed=0)],
        train_split,
        Split(pixels[second], labels[second]),
        epochs=1,
        batch_size=64,
        before_validation=precise_over(train_split, 64) if precise else None,
    )
    return row, model


def test_precise_statistics_change_the_evaluation_and_nothing_of_the_training(config, mnist5k):
    running, model = _train(config(MLP, "{type: batch}"), mnist5k)
    precise, same = _train(config(MLP, "{type: batch, eval_statistics: precise}"), mnist5k, precise=True)
    assert (running.train_loss, running.train_accuracy) == (precise.train_loss, precise.train_accuracy)
    assert running.valid_loss != precise.valid_loss
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))
    assert not torch.equal(model.norm1.running_mean, same.norm1.running_mean)
    assert same.norm1.momentum == 0.1


@pytest.mark.parametrize("implementation", ["custom", "builtin"])
def test_the_run_takes_precise_statistics_where_the_config_says_so(bnbench, tiny, implementation):
    bnbench("run", tiny, "--set", f"norm.implementation={implementation}", "--name", "running")
    bnbench("run", tiny, "--set", f"norm.implementation={implementation}", "--set", "norm.eval_statistics=precise",
            "--name", "precise")  # fmt: skip
    bnbench("run", tiny, "--set", f"norm.implementation={implementation}", "--set", "norm.eval_statistics=population",
            "--name", "population")  # fmt: skip
    columns = [
        [line.split(",") for line in (tiny.parent / f"results/{name}/seed-0/metrics.csv").read_text().splitlines()[1:]]
        for name in ("running", "precise", "population")
    ]
    for running, precise, population in zip(*columns, strict=True):
        assert running[:3] == precise[:3] == population[:3]
        assert len({running[3], precise[3], population[3]}) == 3


@pytest.mark.parametrize("implementation", ["custom", "builtin"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_weight_norm_starts_from_data_where_the_config_says_so(bnbench, tiny, model, implementation):
    if model == "cnn":
        tiny.write_text(
            tiny.read_text().replace("{type: mlp, hidden: [8]}", "{type: cnn}").replace("epochs: 2", "epochs: 1")
        )
    for name, init in (("weights", "weights"), ("data", "data"), ("again", "data")):
        result = bnbench("run", tiny, "--set", f"norm={{type: weight, init: {init}, implementation: {implementation}}}",
                         "--name", name)  # fmt: skip
        assert result.exit_code == 0, result.stderr
    weights, data, again = (
        (tiny.parent / f"results/{name}/seed-0/metrics.csv").read_bytes() for name in ("weights", "data", "again")
    )
    assert data == again != weights


def test_sync_batch_in_one_process_is_batch_to_the_last_bit(config, mnist5k):
    rows = [_train(config(MLP, f"{{type: {norm}}}"), mnist5k)[0] for norm in ("batch", "sync_batch")]
    assert (rows[0].train_loss, rows[0].valid_loss) == (rows[1].train_loss, rows[1].valid_loss)


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_every_norm_starts_from_the_same_weights(config, norm):
    text, activation = with_norm(norm)
    model = CNN if takes(config, CNN, text, *activation) else MLP
    plain = build_model(config(model, "{type: none}")).state_dict()
    normed = build_model(config(model, text, *activation)).state_dict()
    assert all(torch.equal(value, normed[name]) for name, value in plain.items())


@pytest.mark.parametrize(("images", "size", "sizes"), [
    (8, 4, [4, 4]), (9, 4, [4, 5]), (10, 4, [4, 4, 2]), (3, 4, [3]), (1, 4, [1]), (5, 1, [1] * 5)])  # fmt: skip
def test_a_ghost_batch_of_one_joins_the_one_before(images, size, sizes):
    parts = ghost_batches(torch.arange(images), size)
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat(parts), torch.arange(images))
