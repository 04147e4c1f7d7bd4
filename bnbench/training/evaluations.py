"""Evaluates the final network of a run by the statistics that the config's `evaluations` name."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from bnbench.config.evaluations import BatchStatistics, MovingAverage, label
from bnbench.config.evaluations import Evaluation as Asked
from bnbench.config.experiment import Config
from bnbench.data.splits import Split, Splits, chunks
from bnbench.norms.batch import precise_statistics
from bnbench.norms.evaluation import State, errors, use_own_statistics, with_average, without_averages
from bnbench.runs.evaluations import Evaluation
from bnbench.training.build import build_model
from bnbench.training.loop import EVAL_BATCH, EVAL_STEP, evaluate


def eval_step(config: Config) -> int:
    """The number of images in one forward pass of an evaluation."""
    return EVAL_STEP if config.norm.evaluates_images_alone else EVAL_BATCH


def precise_over(split: Split, batch_size: int, *, population: bool = False) -> Callable[[nn.Module], None]:
    """A function that gives a model the precise statistics of `split`, over batches in a fixed order."""
    form: Literal["batches", "population"] = "population" if population else "batches"
    return lambda model: precise_statistics(
        model, (split.images[chunk] for chunk in chunks(len(split), batch_size)), form
    )


def network_of(config: Config, state: State, device: torch.device) -> nn.Module:
    """The config's network with the weights and statistics of `state`."""
    model = build_model(config).to(device, getattr(torch, config.dtype))
    model.load_state_dict(state)
    return model


def evaluations(config: Config, state: State, splits: Splits) -> dict[str, Evaluation]:
    """The config's `evaluations` of the network with the final `state`, by their labels.

    For moving averages, `state` must have those that training kept (norms/evaluation.py).
    """
    # Also for the errors of running statistics, whether or not `precise` is asked for: a row is always the same.
    wanted = not all(isinstance(one, BatchStatistics) for one in config.evaluations)
    precise = _precise(config, state, splits.train) if wanted and "precise" in (config.norm.evaluations or ()) else None
    return {label(one): _evaluation(one, config, state, precise, splits.valid) for one in config.evaluations}


def _precise(config: Config, state: State, split: Split) -> State:
    model = network_of(config, without_averages(state), split.device)
    precise_over(split, config.data.batch_size)(model)
    return model.state_dict()


def _evaluation(one: Asked, config: Config, state: State, precise: State | None, split: Split) -> Evaluation:
    own, step, batch = without_averages(state), eval_step(config), EVAL_BATCH
    if isinstance(one, MovingAverage):
        own = with_average(state, one.momentum)
    elif one == "precise" and precise is not None:
        own = precise
    model = network_of(config, own, split.device)
    far: tuple[float | None, float | None] = (None, None)
    if isinstance(one, BatchStatistics) and config.norm.evaluations is not None:
        use_own_statistics(model)
        step = batch = one.batch
    elif precise is not None and own is not precise:
        far = errors(own, precise)
    result = evaluate(model, split, step, batch)
    return Evaluation(result.loss, result.accuracy, len(split), *far)
