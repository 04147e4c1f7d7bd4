"""The base classes of the norms' options, and the questions that a config asks them. No torch here.

The options and their defaults equal those of the norm's builder in bnbench/norms/; a test compares the two.
`momentum` has PyTorch's meaning: the weight of the *new* batch in the running statistics. The tutorial,
Keras and Flax count the other way: the tutorial's `moving_momentum = 0.1` keeps 0.1 of the old statistics,
which is 0.9 here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from bnbench.config.base import Strict, key_error, plain
from bnbench.config.evaluations import KINDS, Kind

Epsilon = Annotated[float, Field(ge=1e-30, le=1)]  # anything smaller is 0 in float32, or almost
Momentum = Annotated[float | None, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=0, le=10**9)]


@dataclass(frozen=True)
class Use:
    """How a config uses its norm: the layers that it normalizes, and the numbers of images."""

    features: Sequence[int]  # one number for each normalized layer
    spatial: bool  # whether `features` counts the channels of images
    bias: bool | Literal["auto"]  # of the layers before the norms
    batch_size: int
    images: int  # the number of training images
    valid: int | None  # as in `data`, like valid_limit
    valid_limit: int | None


class NormOptions(Strict):
    """The base class of all norms' options. Its answers are those of a norm that does nothing."""

    # A norm of activations is a layer after each hidden layer; a norm of weights changes the hidden layers' weights.
    changes: ClassVar[Literal["activations", "weights", "nothing"]] = "nothing"
    # Whether its steps differ in more than their numbers, so that one recorded step does not stand for all.
    varies: ClassVar[bool] = False
    # Whether it is an activation too. The model then has no other: model.activation is none.
    activates: ClassVar[bool] = False
    # Whether it has parameters besides γ and β, as α of dyt.
    learns_more: ClassVar[bool] = False

    type: str

    def refuse(self, use: Use) -> None:
        """Raise a `key_error` where the norm cannot be used in this way."""

    @property
    def builder(self) -> str:
        """The name of the implementation in bnbench/norms/ that builds it: "custom" or "builtin"."""
        return str(getattr(self, "implementation", "custom"))

    def options(self) -> dict[str, Any]:
        """The keyword arguments of its builder."""
        return {}

    @property
    def makes_bias_useless(self) -> bool:
        """Whether the norm subtracts any bias of the layer before it."""
        return False

    @property
    def after_activation(self) -> bool:
        """Whether the norm comes after the activation, not before it."""
        return False

    @property
    def evaluates_by_precise_statistics(self) -> bool:
        """Whether its statistics are computed again from the training images after every epoch."""
        return False

    @property
    def evaluates_by_population_statistics(self) -> bool:
        """Whether these are statistics of all values together, not means over the batches."""
        return False

    @property
    def evaluates_images_alone(self) -> bool:
        """Whether an image's output in evaluation is known not to depend on the other images of its batch."""
        return True

    @property
    def evaluations(self) -> tuple[Kind, ...] | None:
        """The evaluations that a config may ask for, or None if all are the same, for want of statistics."""
        return None

    @property
    def has_parameters(self) -> bool:
        """Whether it has parameters that are trained, as far as its options tell."""
        return self.changes != "nothing" and bool(self.learns_more or getattr(self, "affine", True))

    @property
    def starts_from_data(self) -> bool:
        """Whether the initial weights depend on the first training images."""
        return False


class NoNormConfig(NormOptions):
    """No norm."""


class UnknownNorm(NormOptions):
    """The norm of a run on disk whose type is not registered; it keeps the keys of the run's config."""

    model_config = ConfigDict(extra="allow")

    _plain = model_validator(mode="before")(plain)


class ActivationNormConfig(NormOptions):
    """A norm of activations."""

    changes = "activations"
    # Whether it needs several images in a batch, and whether it subtracts a bias of the layer before it.
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
        """Whether evaluation uses statistics of earlier batches, and not of its own."""
        return True

    @property
    def evaluates_images_alone(self) -> bool:
        return self.evaluates_by_running_statistics

    @property
    def evaluations(self) -> tuple[Kind, ...] | None:
        return KINDS if self.needs_batch else None

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
        """Raise a `key_error` where layers of these numbers of features (`spatial`: channels) cannot be normalized."""

    def _no_effect(self, because: str, *keys: str) -> None:
        """Raise a `key_error` for the first of `keys` whose value is not the default."""
        for key in keys:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise key_error(key, f"has no effect with {because}; remove it")


def refuse_no_layer(use: Use) -> None:
    """Raise a `key_error` where the model has no hidden layer."""
    if not use.features:
        raise key_error("norm", "there is no hidden layer to normalize; use norm: {type: none}")
