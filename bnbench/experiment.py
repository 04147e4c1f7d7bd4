"""One run, from a config to its folder. The only module that knows data, models, training and results."""

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bnbench import models
from bnbench.config import CNNConfig, Config, MLPConfig, OptimizerConfig, SGDConfig
from bnbench.data import Splits, load_splits
from bnbench.datasets import Dataset
from bnbench.errors import ConfigError, RunError
from bnbench.normconfig import BatchNormConfig, NoNormConfig, WeightNormConfig
from bnbench.norms import NORMS, WEIGHT_NORMS
from bnbench.norms.weight import start_from_data
from bnbench.provenance import provenance
from bnbench.randomness import generator
from bnbench.results import EpochRow
from bnbench.train import evaluate, train
from bnbench.writer import RunWriter, run_folder


@dataclass(frozen=True)
class Loaded:
    """A dataset made ready: its name, its SHA-256 and its splits on the device."""

    name: str
    sha256: str
    splits: Splits


START_IMAGES = 500  # for a data-dependent start, as many as in the published experiments


def resolve_device(config: Config) -> Config:
    """The config with `device: auto` replaced; ConfigError where the named device is not here."""
    cuda = torch.cuda.is_available()
    device = ("cuda" if cuda else "cpu") if config.device == "auto" else config.device
    if device == "cuda" and not cuda:
        raise ConfigError("device: this machine has no usable CUDA device; use --device cpu")
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError("device: this machine has no usable MPS device; use --device cpu")
        if config.dtype == "float64":
            raise ConfigError("device: MPS has no float64; use --device cpu or dtype: float32")
    return config.model_copy(update={"device": device})


def load(config: Config, dataset: Dataset, sha256: str) -> Loaded:
    splits = load_splits(dataset, config.data, torch.device(config.device), getattr(torch, config.dtype))
    return Loaded(config.data.dataset, sha256, splits)


def build_model(config: Config) -> nn.Sequential:
    """The model at its start, in float32 on the CPU: the same bits whatever device and dtype follow."""
    layer_numbers = count()
    norm = config.norm

    def build_norm(num_features: int, spatial: tuple[int, ...]) -> nn.Module | None:
        if isinstance(norm, NoNormConfig | WeightNormConfig):
            return None
        stream = generator(config.seed, "norm", next(layer_numbers))
        return NORMS[norm.type][norm.implementation](num_features, spatial, generator=stream, **norm.options())

    build: Callable[..., nn.Sequential]
    if isinstance(config.model, MLPConfig):
        build = partial(models.mlp, config.model.hidden)
    else:
        assert isinstance(config.model, CNNConfig)
        build = partial(models.cnn, config.model.channels)
    norm_last = getattr(norm, "placement", None) == "after_activation"
    model = build(config.model.activation, build_norm, bias=config.hidden_bias, norm_last=norm_last)
    models.initialize_weights(model, config.seed)
    if isinstance(norm, WeightNormConfig):  # after the start, so that its direction is the other arms' start
        for layer in models.hidden_layers(model):
            WEIGHT_NORMS[norm.type][norm.implementation](layer)
    return model


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    if isinstance(config, SGDConfig):
        return torch.optim.SGD(
            model.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
    beta1, beta2 = config.betas
    return torch.optim.Adam(model.parameters(), lr=config.lr, betas=(beta1, beta2), weight_decay=config.weight_decay)


# Out of memory on either device, a norm that refuses its input, a library's own complaint.
FAILURES = (RuntimeError, ValueError, MemoryError)


def failure(error: BaseException) -> str:
    """What went wrong, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def run(config: Config, data: Loaded, out: Path, *, on_row: Callable[[EpochRow], None]) -> str:
    """Train `config`'s one seed into its folder below `out`; return the status, complete or diverged.

    Raises RunError where it fails; that and an interruption are written to the folder, epochs kept.
    """
    torch.set_num_threads(config.threads)
    splits = data.splits
    model = build_model(config)
    about = {
        "dataset": {"name": data.name, "sha256": data.sha256},
        "split": {
            "train_images": len(splits.train),
            "valid_images": len(splits.valid),
            "valid_from": "train" if splits.held_out else "test",
            "held_out": splits.held_out,
        },
        "parameters": models.parameter_count(model),
        "provenance": provenance(),
    }
    writer = RunWriter(run_folder(out, config), config, about)
    writer.start()
    status = "complete"
    try:
        if isinstance(config.norm, WeightNormConfig) and config.norm.init == "data":
            start_from_data(model, splits.train.images[:START_IMAGES].float().cpu())
        model.to(torch.device(config.device), getattr(torch, config.dtype))
        rows = train(
            model,
            build_optimizer(config.train.optimizer, model),
            splits.train,
            splits.valid,
            epochs=config.train.epochs,
            batch_size=config.data.batch_size,
            seed=config.seed,
            precise=isinstance(config.norm, BatchNormConfig) and config.norm.eval_statistics == "precise",
        )
        for row in rows:
            writer.add(row)
            on_row(row)
            if row.diverged:
                status = "diverged"
        final = {} if status == "diverged" else _judge(model, splits)
        writer.finish(status, weights=_state_dict_bytes(model), **final)
    except KeyboardInterrupt:
        with suppress(RunError):  # a full disk must not swallow the signal
            writer.finish("interrupted")
        raise
    except FAILURES as error:
        reason = failure(error)
        writer.finish("failed", reason=reason)
        raise RunError(reason) from error
    return status


def _judge(model: nn.Module, splits: Splits) -> dict[str, Any]:
    """What the trained network gives on the test images: its mistakes and, if they are read only now, its metrics."""
    judged = evaluate(model, splits.test)
    labels, predicted = splits.test.labels.tolist(), judged.predicted.tolist()
    mistakes = [(i, y, p) for i, (y, p) in enumerate(zip(labels, predicted, strict=True)) if y != p]
    if not splits.held_out:
        return {"mistakes": mistakes}
    return {
        "mistakes": mistakes,
        "test": {"images": len(labels), "loss": judged.loss, "accuracy": judged.accuracy},
    }


def _state_dict_bytes(model: nn.Module) -> bytes:
    # Through memory: given a path on a full disk, torch.save raises an error that does not say so.
    buffer = io.BytesIO()
    torch.save({name: value.cpu() for name, value in model.state_dict().items()}, buffer)
    return buffer.getvalue()
