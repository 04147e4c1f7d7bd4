"""One run, from a config to its folder. The only module that knows data, models, training and results."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bnbench.config.experiment import CNNConfig, Config, MLPConfig, OptimizerConfig, SGDConfig
from bnbench.config.norms import BatchNormConfig, NoNormConfig, WeightNormConfig
from bnbench.data.splits import Normalized, Splits, load_splits
from bnbench.errors import BnbenchError, ConfigError, RunError
from bnbench.models import networks as models
from bnbench.norms import NORMS, WEIGHT_NORMS
from bnbench.norms.weight import start_from_data
from bnbench.randomness import generator
from bnbench.runs.format import CHECKPOINT
from bnbench.runs.provenance import provenance
from bnbench.runs.write import RunWriter, run_folder
from bnbench.training import checkpoint
from bnbench.training.events import Began, Notice, Report
from bnbench.training.loop import evaluate, train
from bnbench.training.uncompiled import uncompiled


@dataclass(frozen=True)
class Loaded:
    """A dataset in memory: its name, its SHA-256 (of the bytes as they came) and its images, normalized."""

    name: str
    sha256: str
    images: Normalized


START_IMAGES = 500  # for a data-dependent start, as many as in the published experiments


def resolve_device(config: Config, *, here: bool = True) -> Config:
    """The config with `device: auto` replaced; ConfigError where the named device is not here.

    Elsewhere (not `here`: on a cluster) auto is the CPU, and another device is for the machines there to have.
    """
    if not here:
        return config.model_copy(update={"device": "cpu" if config.device == "auto" else config.device})
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


def failure(error: Exception) -> str:
    """What went wrong, on one line."""
    text = " ".join(str(error).split())
    # Of out of memory, a norm that refuses its input and our own errors, the text says enough.
    foreseen = isinstance(error, RuntimeError | ValueError | MemoryError | BnbenchError)
    return text if text and foreseen else f"{type(error).__name__}: {text}".rstrip(": ")


@uncompiled()
def run(config: Config, data: Loaded, out: Path, *, report: Report, anew: bool = False) -> str:
    """Train `config`'s one seed into its folder below `out`; return the status, complete or diverged.

    It goes on after the last epoch that an interrupted run there has finished, unless `anew`. The caller
    holds the folder's lock. Raises RunError where it fails; that is written to the folder, epochs kept.
    """
    torch.set_num_threads(config.threads)
    device, dtype = torch.device(config.device), getattr(torch, config.dtype)
    splits = load_splits(data.images, config.data, device)
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
    origin = _origin(config, data)
    folder = run_folder(out, config)
    before = None if anew or not (folder / "run.json").exists() else _checkpoint(folder, origin, report)
    writer = RunWriter(folder, config, about)
    if before is None:
        writer.start()
    else:
        writer.resume(before.rows)
    rows = list(before.rows) if before else []
    report(Began(len(rows)))
    try:
        if before is None and isinstance(config.norm, WeightNormConfig) and config.norm.init == "data":
            start_from_data(model, splits.train.images[:START_IMAGES].float().cpu())
        model.to(device, dtype)
        optimizer = build_optimizer(config.train.optimizer, model)
        if before is not None:
            before.restore(model, optimizer)
        epochs = train(
            model,
            optimizer,
            splits.train,
            splits.valid,
            epochs=config.train.epochs,
            batch_size=config.data.batch_size,
            seed=config.seed,
            precise=isinstance(config.norm, BatchNormConfig) and config.norm.eval_statistics == "precise",
            first_epoch=len(rows) + 1,
        )
        for row in () if rows and rows[-1].diverged else epochs:
            rows.append(row)
            writer.add(row, checkpoint.pack(origin, rows, model, optimizer))
            report(row)
        status = "diverged" if rows[-1].diverged else "complete"
        final = {} if status == "diverged" else _judge(model, splits)
        weights = {name: value.cpu() for name, value in model.state_dict().items()}
        writer.finish(status, weights=checkpoint.to_bytes(weights), **final)
    except RunError:  # what cannot be written, its status neither
        raise
    except Exception as error:
        reason = failure(error)
        writer.finish("failed", reason=reason)
        raise RunError(reason) from error
    return status


def _origin(config: Config, data: Loaded) -> dict[str, str]:
    """What must be the same for a run to go on to the bytes that it would have had."""
    here = provenance()
    return {
        "config": config.digest(),
        "seed": str(config.seed),
        "dataset": data.sha256,
        **{name: str(here[name]) for name in ("bnbench", "torch", "platform", "processor")},
    }


def _checkpoint(folder: Path, origin: dict[str, str], report: Report) -> checkpoint.Checkpoint | None:
    """The checkpoint to go on from; one that cannot be gone on from is named, and the run begins again."""
    try:
        return checkpoint.read(folder, origin)
    except checkpoint.Unusable as reason:
        report(Notice(f"{folder / CHECKPOINT} {reason}, so the run begins again"))
        return None


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
