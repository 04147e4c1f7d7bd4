"""The train loop: the meaning of a row, equal curves from custom and builtin norms, and repeatable bytes."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bnbench.config.experiment import Config
from bnbench.data.splits import Split, normalized
from bnbench.training import experiment
from bnbench.training.loop import DIVERGED_LOSS, EVAL_BATCH, evaluate, train
from bnbench.training.network import Network

CPU = torch.device("cpu")


def make_config(**settings):
    base = {
        "name": "x",
        "data": {"dataset": "mnist5k"},
        "model": {"type": "mlp"},
        "train": {"epochs": 1, "optimizer": {"type": "sgd", "lr": 0.1}},
    }
    return Config.model_validate({**base, **settings})


def curve(config, dataset, **limits):
    """The training losses of every batch and the epoch rows of one run."""
    dtype = getattr(torch, config.dtype)
    splits = [
        normalized(
            dataset.train_images[: config.data.train_limit], dataset.train_labels[: config.data.train_limit], dtype
        ),
        normalized(
            dataset.test_images[: config.data.valid_limit], dataset.test_labels[: config.data.valid_limit], dtype
        ),
    ]
    model = experiment.build_model(config).to(dtype)
    losses = []
    model.register_forward_hook(
        lambda module, _, output: losses.append(output.detach().clone()) if module.training else None
    )
    optimizer = experiment.build_optimizer(config.train.optimizer, model)
    network = Network(model, optimizer, config.seed)
    rows = rows_of(network, *splits, epochs=config.train.epochs, batch_size=config.data.batch_size)
    return losses, rows, model


def rows_of(network, *splits, **options):
    return [row for _, row in train([network], *splits, **options)]


NORM = {"type": "batch", "momentum": 0.9, "weight_init": "normal", "bias_init": "normal", "running_var_init": "zeros"}


@pytest.mark.parametrize("model", [{"type": "mlp"}, {"type": "cnn"}], ids=["mlp", "cnn"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-9), ("float32", None)], ids=["float64 to 1e-9", "float32 reported"]
)
def test_custom_and_builtin_train_alike(mnist5k, model, dtype, tolerance, record_property, capsys):
    """With the same options and seed, both give the same training curve over an epoch of mnist5k."""
    curves = [
        curve(make_config(model=model, norm={**NORM, "implementation": which}, dtype=dtype), mnist5k)
        for which in ("custom", "builtin")
    ]
    (logits, (row,), _), (other_logits, (other,), _) = curves
    assert len(logits) == 63  # 4,000 images in batches of 64
    gap = max(float((a - b).abs().max()) for a, b in zip(logits, other_logits, strict=True))
    columns = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
    gaps = {name: abs(getattr(row, name) - getattr(other, name)) for name in columns}
    with capsys.disabled():
        shown = ", ".join(f"{name} {value:.1e}" for name, value in gaps.items())
        print(f"\n  {model['type']} {dtype}: custom and builtin differ by logits {gap:.1e}, {shown}")
    if tolerance is not None:
        assert gap <= tolerance and max(gaps.values()) <= tolerance
    else:
        assert gaps["train_loss"] <= 1e-2  # float32 rounding, amplified over 63 steps; a wrong formula is not this near


def test_arms_see_the_same_batches(mnist5k):
    """With the same seed, arms with different norms see the same images in the same order."""
    seen = []
    for norm in (
        {"type": "none"},
        {"type": "batch"},
        {"type": "batch", "implementation": "builtin", "weight_init": "normal"},
    ):
        config = make_config(norm=norm, data={"dataset": "mnist5k", "train_limit": 500, "valid_limit": 10}, seeds=3)
        split = normalized(mnist5k.train_images[:500], mnist5k.train_labels[:500], torch.float32)
        model = experiment.build_model(config)
        images = []
        model.register_forward_pre_hook(
            lambda module, x, images=images: images.append(x[0].clone()) if module.training else None
        )
        optimizer = experiment.build_optimizer(config.train.optimizer, model)
        valid = Split(split.images[:10], split.labels[:10])
        rows_of(Network(model, optimizer, seed=3), split, valid, epochs=2, batch_size=64)
        seen.append(images)
    for other in seen[1:]:
        assert len(other) == len(seen[0]) == 2 * 8
        assert all(torch.equal(a, b) for a, b in zip(seen[0], other, strict=True))
    assert not torch.equal(seen[0][0], seen[0][8])  # the second epoch has another order


def test_the_rows_are_correct_over_total(mnist5k):
    """Metrics are means over images, not means of batch means. Here the last batch is smaller."""
    config = make_config(data={"dataset": "mnist5k", "train_limit": 100, "valid_limit": 130, "batch_size": 64})
    model = experiment.build_model(config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)  # so the model does not change
    splits = [
        normalized(images[:limit], labels[:limit], torch.float32)
        for images, labels, limit in (
            (mnist5k.train_images, mnist5k.train_labels, 100),
            (mnist5k.test_images, mnist5k.test_labels, 130),
        )
    ]
    (row,) = rows_of(Network(model, optimizer, seed=0), *splits, epochs=1, batch_size=64)
    for split, loss, accuracy in zip(
        splits, (row.train_loss, row.valid_loss), (row.train_accuracy, row.valid_accuracy), strict=True
    ):
        logits = model(split.images)
        assert loss == pytest.approx(F.cross_entropy(logits, split.labels).item(), rel=1e-6)
        assert accuracy == (logits.argmax(1) == split.labels).sum().item() / len(split)
    assert row.epoch == 1 and row.train_seconds > 0 and row.valid_seconds > 0


def test_evaluation_counts_every_image_and_changes_nothing(mnist5k):
    split = normalized(mnist5k.train_images[:2_001], mnist5k.train_labels[:2_001], torch.float32)
    model = experiment.build_model(make_config(norm={"type": "batch"}))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    graphs = []
    model.register_forward_hook(lambda module, _, logits: graphs.append(logits.requires_grad))
    judged = evaluate(model, split)
    assert graphs == [False] * 5  # 1,000 images in four passes, 1,001 in one; no graph is built
    predicted = model(split.images).argmax(1)
    assert torch.equal(judged.predicted, predicted)
    assert judged.accuracy == (predicted == split.labels).sum().item() / 2_001
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group", "lp_batch", "weight"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_smaller_passes_change_no_bit_of_an_evaluation(mnist5k, model, norm):
    split = normalized(mnist5k.test_images, mnist5k.test_labels, torch.float32)
    options = {"group": {"num_groups": 2}, "lp_batch": {"p": "inf"}}.get(norm, {})
    network = experiment.build_model(make_config(model={"type": model}, norm={"type": norm, **options}))
    whole, parts = evaluate(network, split, EVAL_BATCH), evaluate(network, split)
    assert (parts.loss, parts.accuracy) == (whole.loss, whole.accuracy)
    assert torch.equal(parts.predicted, whole.predicted)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 2e3])
def test_divergence_ends_the_run_and_is_said(mnist5k, scale):
    """If a batch's loss is above 10³ or not finite, the epoch's row is kept and is the last."""
    split = normalized(mnist5k.train_images[:128], mnist5k.train_labels[:128], torch.float32)

    class Explodes(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))
            self.calls = 0

        def forward(self, x):
            if self.training:
                self.calls += 1
            sign = torch.tensor([1.0] + [0.0] * 9)  # the others' loss is then about `scale`
            return self.weight * sign.expand(len(x), 10) * (scale if self.calls == 3 else 1)

    model = Explodes()
    network = Network(model, torch.optim.SGD(model.parameters(), lr=0.0), seed=0)
    rows = rows_of(network, split, split, epochs=5, batch_size=64)
    assert [row.diverged for row in rows] == [False, True]
    assert not rows[-1].train_loss <= DIVERGED_LOSS / 2


@pytest.mark.parametrize(
    "optimizer", [{"type": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4}, {"type": "adam"}]
)
def test_every_optimizer_learns(mnist5k, optimizer):
    config = make_config(norm={"type": "batch"}, train={"epochs": 2, "optimizer": optimizer})
    _, rows, _ = curve(config, mnist5k)
    assert rows[-1].valid_accuracy > 0.85 and rows[-1].train_loss < rows[0].train_loss


def test_optimizers_get_every_setting():
    model = experiment.build_model(make_config())
    sgd = experiment.build_optimizer(
        make_config(
            train={"epochs": 1, "optimizer": {"type": "sgd", "lr": 0.3, "momentum": 0.2, "weight_decay": 0.1}}
        ).train.optimizer,
        model,
    )
    assert (sgd.lr, sgd.momentum, sgd.weight_decay) == (0.3, 0.2, 0.1)
    adam = experiment.build_optimizer(
        make_config(
            train={"epochs": 1, "optimizer": {"type": "adam", "betas": [0.5, 0.6], "weight_decay": 0.1}}
        ).train.optimizer,
        model,
    )
    assert (adam.lr, adam.betas, adam.weight_decay) == (1e-3, (0.5, 0.6), 0.1)
    assert all(math.isfinite(p.sum().item()) for p in sgd.parameters) and len(sgd.parameters) == 4


def test_a_single_image_left_over_trains(mnist5k):
    """Of 129 images in batches of 64, the last joins a batch, because batch norm cannot train on one image."""
    config = make_config(norm={"type": "batch"}, data={"dataset": "mnist5k", "train_limit": 129, "valid_limit": 50})
    _, (row,), _ = curve(config, mnist5k)
    assert math.isfinite(row.train_loss)
