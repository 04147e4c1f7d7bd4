"""The models that a config may name, with their options. No torch here.

To add a model, add a class here and its entry in MODELS, and a builder and its entry in
bnbench/models/networks.py.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from bnbench.config.base import Strict, plain

# none: for norms that bring their own activation, and only for them.
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "none"]


def _true_false_or_auto(value: Any) -> Any:
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f"must be true, false or auto; got {'nothing' if value is None else repr(value)}")
    return value


# The bias of the hidden layers; the classifier always has one. auto: no bias where the norm would subtract it.
Bias = Annotated[bool | Literal["auto"], BeforeValidator(_true_false_or_auto)]
Width = Annotated[int, Field(ge=1, le=10_000)]


class ModelConfig(Strict):
    """A model. A subclass adds its own keys, and `bias` where its hidden layers may lack a bias."""

    spatial: ClassVar[bool]  # whether its norms get images (N, C, H, W) or vectors (N, C)

    type: str

    def features(self) -> Sequence[int]:
        """The number of features (or channels) that each of its norms gets, in order."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """The keyword arguments of its builder, except `bias`, which can depend on the norm."""
        return self.model_dump(exclude={"type", "bias"})


class UnknownModel(ModelConfig):
    """The model of a run on disk whose type is not registered; it keeps the keys of the run's config."""

    model_config = ConfigDict(extra="allow")

    _plain = model_validator(mode="before")(plain)


class MLPConfig(ModelConfig):
    """784-hidden-10: linear, norm, activation for each hidden width, then a linear classifier."""

    spatial = False

    hidden: list[Width] = Field([100], max_length=100)
    activation: Activation = "relu"
    bias: Bias = True

    def features(self) -> Sequence[int]:
        return self.hidden


class CNNConfig(ModelConfig):
    """The tutorial's CNN: conv 3x3, norm, activation, pool; conv 5x5, norm, activation, pool; linear."""

    spatial = True

    channels: list[Annotated[int, Field(ge=1, le=1_024)]] = Field([6, 16], min_length=2, max_length=2)
    activation: Activation = "relu"
    bias: Bias = True

    def features(self) -> Sequence[int]:
        return self.channels


MODELS: dict[str, type[ModelConfig]] = {"mlp": MLPConfig, "cnn": CNNConfig}
