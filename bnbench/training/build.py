"""Builds the model of a config: the network with its norms and its initial weights."""

from collections.abc import Container
from itertools import count

from torch import nn

from bnbench import norms
from bnbench.config.catalog import DATASETS
from bnbench.config.experiment import Config
from bnbench.models.networks import MODELS, hidden_layers, initialize_weights
from bnbench.randomness import generator


def build_model(config: Config) -> nn.Module:
    """The model with its initial weights, in float32 on the CPU, so that they do not depend on the device or dtype.

    Raises ValueError where no builder is registered for the norm or the model.
    """
    _refuse_unbuilt(config)
    layer_numbers = count()
    norm = config.norm

    def build_norm(num_features: int, spatial: tuple[int, ...]) -> nn.Module | None:
        if norm.changes != "activations":
            return None
        stream = generator(config.seed, "norm", next(layer_numbers))
        return norms.build(norm.type, norm.builder, num_features, spatial, stream, **norm.options())

    data = DATASETS[config.data.dataset]
    model = MODELS[config.model.type](
        data.shape,
        data.classes,
        build_norm,
        bias=config.hidden_bias,
        norm_last=norm.after_activation,
        **config.model.options(),
    )
    initialize_weights(model, config.seed)
    if norm.changes == "weights":  # after initialization, so that its direction is the other arms' initial weights
        for layer in hidden_layers(model):
            norms.WEIGHT_NORMS[norm.type][norm.builder](layer, **norm.options())
    return model


def _refuse_unbuilt(config: Config) -> None:
    """Raise ValueError where a norm or a model has options but no builder."""
    norm, model = config.norm, config.model
    layers: dict[str, Container[str]] = {"activations": norms.NORMS, "weights": norms.WEIGHT_NORMS}
    for name, built, where in (
        (norm.type, layers.get(norm.changes, {norm.type}), "bnbench/norms/__init__.py"),
        (model.type, MODELS, "bnbench/models/networks.py"),
    ):
        if name not in built:
            raise ValueError(f"{name} has options but no builder; its entry is missing in {where}")
