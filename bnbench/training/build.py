"""Builds the model of a config: the network with its norms and its initial weights."""

from collections.abc import Container, Iterable
from itertools import count

from torch import nn

from bnbench import norms
from bnbench.config.catalog import DATASETS
from bnbench.config.experiment import Config
from bnbench.config.models import NormalInit
from bnbench.models.networks import MODELS, hidden_layers, hidden_weights
from bnbench.models.start import initialize_weights
from bnbench.randomness import generator


def build_model(config: Config) -> nn.Module:
    """The model with its initial weights, in float32 on the CPU, so that they do not depend on the device or dtype.

    Raises ValueError where no builder is registered for the norm or the model.
    """
    _refuse_unbuilt(config)
    layer_numbers = count()
    norm_layers: list[nn.Module] = []
    norm = config.norm

    def build_norm(num_features: int, spatial: tuple[int, ...]) -> nn.Module | None:
        if norm.changes != "activations":
            return None
        stream = generator(config.seed, "norm", next(layer_numbers))
        norm_layers.append(norms.build(norm.type, norm.builder, num_features, spatial, stream, **norm.options()))
        return norm_layers[-1]

    data = DATASETS[config.data.dataset]
    model = MODELS[config.model.type](
        data.shape,
        data.classes,
        build_norm,
        bias=config.hidden_bias,
        norm_last=norm.after_activation,
        **config.model.options(),
    )
    init = getattr(config.model, "init", "default")
    initialize_weights(model, config.seed, init.std if isinstance(init, NormalInit) else init)
    if norm.changes == "weights":  # after initialization, so that its direction is the other arms' initial weights
        for layer in hidden_layers(model):
            norms.WEIGHT_NORMS[norm.type][norm.builder](layer, **norm.options())
    if config.train.only != "all":
        head = set(model.get_submodule("classifier").parameters())
        trained = head if config.train.only == "head" else _norm_parameters(model, norm_layers, head)
        if not trained:
            raise ValueError(f"train.only: {config.train.only} leaves no parameter to train")
        for parameter in model.parameters():
            parameter.requires_grad_(parameter in trained)
    return model


def _norm_parameters(model: nn.Module, layers: Iterable[nn.Module], head: set[nn.Parameter]) -> set[nn.Parameter]:
    """The parameters of the norms: γ and β, α and the like; of norms of weights, the gains."""
    of_layers = {parameter for layer in layers for parameter in layer.parameters()}
    weights = set(hidden_weights(model))
    gains = {
        parameter
        for layer in hidden_layers(model)
        for name, parameter in layer.named_parameters()
        if name.startswith("parametrizations.") and parameter not in weights
    }
    return (of_layers | gains) - head


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
