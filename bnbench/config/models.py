"""The models that a config may name, with their options. No torch here.

To add a model, add a class here and its entry in MODELS, and a builder and its entry in
bnbench/models/networks.py.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from bnbench.config.base import ByType, Strict, key_error, later, plain

# none: for norms that bring their own activation, and only for them.
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "none"]


def _true_false_or_auto(value: Any) -> Any:
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f"must be true, false or auto; got {'nothing' if value is None else repr(value)}")
    return value


# The bias of the hidden layers; the classifier always has one. auto: no bias where the norm would subtract it.
Bias = Annotated[bool | Literal["auto"], BeforeValidator(_true_false_or_auto)]


class NormalInit(Strict):
    """Weights from N(0, std²), biases of 0."""

    type: Literal["normal"]
    std: float = Field(gt=0, le=1e3, description="The standard deviation of every weight.")


InitWord = Literal["default", "he", "glorot"]
INITS: dict[str, type[Strict]] = {"normal": NormalInit}
Init = Annotated[InitWord | NormalInit, ByType(INITS, words=get_args(InitWord))]
INIT = "The initial weights. See [Initial weights](#initial-weights)."
RESIDUAL = "Whether hidden layers add their input to their output. See [Residual networks](#residual-networks)."
SKIP_INIT = "Whether each residual block starts as the identity: x + αF(x), with α from 0."

Width = Annotated[int, Field(ge=1, le=10_000)]


class ModelConfig(Strict):
    """A model. A subclass adds its own keys, and `bias` where its hidden layers may lack a bias."""

    spatial: ClassVar[bool]  # whether its norms get images (N, C, H, W) or vectors (N, C)

    type: str

    def features(self) -> Sequence[int]:
        """The number of features (or channels) that each of its norms gets, in order."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """The keyword arguments of its builder, except `bias`, which can depend on the norm, and `init`."""
        return self.model_dump(exclude={"type", "bias", "init"})


class UnknownModel(ModelConfig):
    """The model of a run on disk whose type is not registered; it keeps the keys of the run's config."""

    model_config = ConfigDict(extra="allow")

    _plain = model_validator(mode="before")(plain)


def _skips_a_block(model: Any) -> Any:
    if model.skip_init and not model.residual:
        raise key_error("skip_init", "needs residual: true")
    return model


class MLPConfig(ModelConfig):
    """784-hidden-10: linear, norm, activation for each hidden width, then a linear classifier.

    With `residual`, each hidden layer after the first adds its input to its output.
    """

    spatial = False

    hidden: list[Width] = Field([100], max_length=100)
    activation: Activation = "relu"
    bias: Bias = True
    init: Init = later("default", description=INIT)
    residual: bool = later(False, description=RESIDUAL)
    skip_init: bool = later(False, description=SKIP_INIT)

    _skip_init_fits = model_validator(mode="after")(_skips_a_block)

    @model_validator(mode="after")
    def _blocks_keep_their_width(self) -> Self:
        if self.residual and (len(self.hidden) < 2 or len(set(self.hidden)) > 1):
            raise key_error("residual", "needs at least two hidden layers, all of one width")
        return self

    def features(self) -> Sequence[int]:
        return self.hidden


class CNNConfig(ModelConfig):
    """The tutorial's CNN: conv 3x3, norm, activation, pool; conv 5x5, norm, activation, pool; linear.

    With `residual`, a block of conv 3x3, norm and activation follows each pool and adds its input to its output.
    """

    spatial = True

    channels: list[Annotated[int, Field(ge=1, le=1_024)]] = Field([6, 16], min_length=2, max_length=2)
    activation: Activation = "relu"
    bias: Bias = True
    init: Init = later("default", description=INIT)
    residual: bool = later(False, description=RESIDUAL)
    skip_init: bool = later(False, description=SKIP_INIT)

    _skip_init_fits = model_validator(mode="after")(_skips_a_block)

    def features(self) -> Sequence[int]:
        return [channels for channels in self.channels for _ in range(2 if self.residual else 1)]


MODELS: dict[str, type[ModelConfig]] = {"mlp": MLPConfig, "cnn": CNNConfig}
