"""What every norm of a config has, and what a config asks of it. No torch here.

The options and their defaults are those of the norm's builder in bnbench/norms/; a test holds the two
together. `momentum` is PyTorch's: the weight of the *new* batch in the running statistics (the
tutorial's `moving_momentum = 0.1` keeps 0.1 of the old, which is 0.9 here; Keras and Flax count like
the tutorial).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from bnbench.config.base import Strict, key_error, plain

Epsilon = Annotated[float, Field(ge=1e-30, le=1)]  # less is 0 in float32, or as good as
Momentum = Annotated[float | None, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=0, le=10**9)]


@dataclass(frozen=True)
class Use:
    """Where a config uses its norm: the model's layers, and how many images the norm gets."""

    features: Sequence[int]  # of each layer that is normalized
    spatial: bool  # whether they are channels of images
    bias: bool | Literal["auto"]  # of those layers
    batch_size: int
    images: int  # to train on
    valid: int | None  # images held out, and the most to validate on, as in `data`
    valid_limit: int | None


class NormOptions(Strict):
    """What every norm has: a type, and answers to what a config asks. They are those of a norm that does nothing."""

    # What a norm changes: the outputs of the hidden layers, as a layer of its own, or their weights.
    changes: ClassVar[Literal["activations", "weights", "nothing"]] = "nothing"

    type: str

    def refuse(self, use: Use) -> None:
        """Raise a `key_error` where the norm cannot be used so."""

    @property
    def builder(self) -> str:
        """Which of its implementations in bnbench/norms/ makes it."""
        return str(getattr(self, "implementation", "custom"))

    def options(self) -> dict[str, Any]:
        """The keyword arguments of its builder."""
        return {}

    @property
    def makes_bias_useless(self) -> bool:
        """Whether a bias of the layer before would be subtracted again."""
        return False

    @property
    def after_activation(self) -> bool:
        """Whether it stands behind the activation rather than before."""
        return False

    @property
    def evaluates_by_precise_statistics(self) -> bool:
        """Whether its statistics are taken anew over the training images after every epoch."""
        return False

    @property
    def starts_from_data(self) -> bool:
        """Whether the network's start depends on the first training images."""
        return False


class NoNormConfig(NormOptions):
    """No norm."""


class UnknownNorm(NormOptions):
    """The norm of a run on disk that is not known here, as its config has it."""

    model_config = ConfigDict(extra="allow")

    _plain = model_validator(mode="before")(plain)


class ActivationNormConfig(NormOptions):
    """A norm of activations."""

    changes = "activations"
    # Whether it needs several images a batch, and whether a bias before it is subtracted again.
    needs_batch: ClassVar[bool] = False
    cancels_bias: ClassVar[bool] = False

    implementation: Literal["custom", "builtin"] = "custom"
    placement: Literal["before_activation", "after_activation"] = "before_activation"

    def options(self) -> dict[str, Any]:
        return self.model_dump(exclude={"type", "implementation", "placement"})

    @property
    def makes_bias_useless(self) -> bool:
        return self.cancels_bias and not self.after_activation

    @property
    def after_activation(self) -> bool:
        return self.placement == "after_activation"

    @property
    def evaluates_by_running_statistics(self) -> bool:
        """Whether the batch that is evaluated makes no difference to the evaluation of its images."""
        return True

    def refuse(self, use: Use) -> None:
        refuse_no_layer(use)
        self.refuse_features(use.features, use.spatial)
        if self.needs_batch and not use.spatial:
            one = (
                f"{self.type} norm of a vector needs at least 2 images in a batch:"
                " with one, every value is its own mean"
            )
            if 1 in (use.batch_size, use.images):
                raise key_error("data.batch_size", one)
            if not self.evaluates_by_running_statistics and 1 in (use.valid, use.valid_limit):
                raise key_error("data.valid" if use.valid == 1 else "data.valid_limit", one)

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        """Raise where layers of these numbers of features, or channels with `spatial`, cannot be normalized."""

    def _no_effect(self, because: str, *keys: str) -> None:
        """Raise for the first of `keys` that is not its default."""
        for key in keys:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise key_error(key, f"has no effect with {because}; remove it")


def refuse_no_layer(use: Use) -> None:
    if not use.features:
        raise key_error("norm", "there is no hidden layer to normalize; use norm: {type: none}")
