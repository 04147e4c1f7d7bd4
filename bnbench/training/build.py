"""A config's model at its start: the network, with its norms, and its weights."""

from itertools import count

from torch import nn

from bnbench import norms
from bnbench.config.catalog import DATASETS
from bnbench.config.experiment import Config
from bnbench.models.networks import MODELS, hidden_layers, initialize_weights
from bnbench.randomness import generator


def build_model(config: Config) -> nn.Module:
    """The model at its start, in float32 on the CPU: the same bits whatever device and dtype follow."""
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
    if norm.changes == "weights":  # after the start, so that its direction is the other arms' start
        for layer in hidden_layers(model):
            norms.WEIGHT_NORMS[norm.type][norm.builder](layer)
    return model
