"""Trains runs from their configs into their folders. It connects data, models, the train loop and results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bnbench.config.experiment import Config
from bnbench.data.splits import Normalized, Splits, load_splits
from bnbench.models.networks import parameter_count
from bnbench.norms.evaluation import keep_averages
from bnbench.norms.weight import start_from_data
from bnbench.training.build import build_model
from bnbench.training.engines.eager import Eager
from bnbench.training.evaluations import eval_step, evaluations, precise_over
from bnbench.training.events import Report
from bnbench.training.loop import evaluate, train
from bnbench.training.network import Engine, MakeEngine, Network, Probe
from bnbench.training.optimizers import build_optimizer
from bnbench.training.recording import Recording
from bnbench.training.schedule import schedule


@dataclass(frozen=True)
class Loaded:
    """A dataset in memory: its name, the SHA-256 of its original bytes, and its normalized images."""

    name: str
    sha256: str
    images: Normalized


class StartsDiffer(ValueError):
    """Runs that should train together do not start at the same epoch. Nothing was written."""


START_IMAGES = 500  # for data-dependent initialization, as in the published experiments


def train_together(
    configs: Sequence[Config],
    data: Loaded,
    out: Path,
    *,
    reports: Sequence[Report],
    force: bool = False,
    shorter: Sequence[Path | None] | None = None,
    engine: MakeEngine = Eager,
    probes: Sequence[Probe] = (),
) -> list[Recording]:
    """Train several runs in one loop; return their recordings. Each run gives the numbers that it gives alone.

    The configs, each with one seed, must share the data, batch size, epochs, dtype, device, threads, kind of
    evaluation, moving averages and the epoch to start at. Raises ValueError where they do not, before anything is
    written. A run that fails or diverges does not affect the others.
    """
    first = configs[0]
    if any(_shared(config) != _shared(first) for config in configs):
        raise ValueError("runs that train together differ in data, batch size, epochs, dtype, device or evaluation")
    torch.set_num_threads(first.threads)
    device = torch.device(first.device)
    splits = load_splits(data.images, first.data, device)
    models = [build_model(config) for config in configs]
    for config, model in zip(configs, models, strict=True):
        keep_averages(model, config.averages)
    recordings = [
        Recording(config, out, _about(model, data, splits), report)
        for config, model, report in zip(configs, models, reports, strict=True)
    ]
    if not force:
        for recording, before in zip(recordings, shorter or [None] * len(configs), strict=True):
            with recording.failures():
                recording.look(before)
    epochs = {len(recording.rows) for recording in recordings if recording.error is None}
    if len(epochs) > 1:
        raise StartsDiffer("runs that train together do not resume after the same epoch")
    running: dict[Network, Recording] = {}
    for recording, model in zip(recordings, models, strict=True):
        if recording.error is None:
            with recording.failures():
                recording.open()
                running[_start(recording, model, splits)] = recording
    engines: list[Engine] = []

    def make(networks: Sequence[Network]) -> Engine:
        engines.append(engine(networks))
        return engines[-1]

    events = train(
        [network for network, recording in running.items() if not recording.diverged],
        splits.train,
        splits.valid,
        epochs=first.train.epochs,
        batch_size=first.data.batch_size,
        drop_last=first.data.drop_last,
        by_class=first.data.order == "by_class",
        first_epoch=epochs.pop() + 1 if epochs else 1,
        engine=make,
        probes=probes,
        before_validation=precise_over(
            splits.train, first.data.batch_size, population=first.norm.evaluates_by_population_statistics
        )
        if first.norm.evaluates_by_precise_statistics
        else None,
        eval_step=eval_step(first),
    )
    try:
        for network, event in events:
            with running[network].failures():
                running[network].add(event, network)
            network.training = network.training and running[network].error is None
    except Exception as error:  # if the engine fails, all of its runs fail
        for recording in running.values():
            recording.fail(error)
    for network, recording in running.items():
        if recording.error is None:
            with recording.failures():
                judged = {} if recording.diverged else _judge(network.model, splits, eval_step(first))
                if recording.config.evaluations and not recording.diverged:
                    state = network.model.state_dict()
                    judged["evaluations"] = evaluations(recording.config, state, splits)
                made = {"name": engines[-1].name, "networks": len(running)} if engines else None
                recording.finish(network, engine=made, **judged)
    return recordings


def _shared(config: Config) -> tuple[Any, ...]:
    """The settings that runs in one loop must share."""
    train = config.train
    return (
        config.data,
        train.epochs,
        config.dtype,
        config.device,
        config.threads,
        config.norm.evaluates_by_precise_statistics,
        config.norm.evaluates_by_population_statistics,
        config.norm.evaluates_images_alone,
        config.averages,
    )


def _about(model: nn.Module, data: Loaded, splits: Splits) -> dict[str, Any]:
    """The entries of run.json about the data and the model."""
    return {
        "dataset": {"name": data.name, "sha256": data.sha256},
        "split": {
            "train_images": len(splits.train),
            "valid_images": len(splits.valid),
            "valid_from": "train" if splits.held_out else "test",
            "held_out": splits.held_out,
            **({} if splits.test else {"test_images": 0}),
        },
        "parameters": parameter_count(model),
    }


def _start(recording: Recording, model: nn.Module, splits: Splits) -> Network:
    """The network on its device, in the state after the epochs that `recording` already has."""
    config = recording.config
    if not recording.resumed and config.norm.starts_from_data:
        start_from_data(model, splits.train.images[:START_IMAGES].float().cpu())
    model.to(splits.train.device, getattr(torch, config.dtype))
    network = Network(model, build_optimizer(config.train.optimizer, model), config.seed, rate=schedule(config))
    if recording.resumed:
        recording.restore(network)
    return network


def _judge(model: nn.Module, splits: Splits, eval_step: int) -> dict[str, Any]:
    """The trained network's mistakes on the test images; with held-out images, also its test metrics.

    Nothing where the run leaves the test images unread.
    """
    if splits.test is None:
        return {}
    judged = evaluate(model, splits.test, eval_step)
    labels, predicted = splits.test.labels.tolist(), judged.predicted.tolist()
    mistakes = [(i, y, p) for i, (y, p) in enumerate(zip(labels, predicted, strict=True)) if y != p]
    if not splits.held_out:
        return {"mistakes": mistakes}
    return {
        "mistakes": mistakes,
        "test": {"images": len(labels), "loss": judged.loss, "accuracy": judged.accuracy},
    }
