"""What a model is in a config: its type, its sizes, and what its norms will see. No torch here.

To add a model: a class here and its entry in MODELS; a builder and its entry in bnbench/models/networks.py.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from bnbench.config.base import Strict, plain

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh"]


def _true_false_or_auto(value: Any) -> Any:
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f"must be true, false or auto; got {'nothing' if value is None else repr(value)}")
    return value


# Of the hidden layers; the classifier always has one. auto: none where the norm would subtract it again.
Bias = Annotated[bool | Literal["auto"], BeforeValidator(_true_false_or_auto)]
Width = Annotated[int, Field(ge=1, le=10_000)]


class ModelConfig(Strict):
    """A model; a subclass adds its own keys, among them `bias` where its hidden layers may have none."""

    spatial: ClassVar[bool]  # whether its norms get images (N, C, H, W), or vectors (N, C)

    type: str

    def features(self) -> Sequence[int]:
        """How many features, or channels, each of its norms gets."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """The keyword arguments of its builder, but for `bias`, which the norm has a say in."""
        return self.model_dump(exclude={"type", "bias"})


class UnknownModel(ModelConfig):
    """The model of a run on disk that is not known here, as its config has it."""

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
