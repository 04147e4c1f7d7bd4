"""What a norm is in a config: its type, its options, what it needs of the network. No torch here.

The options and their defaults are those of the norm's builder in bnbench/norms/; a test holds the two
together. `momentum` is PyTorch's: the weight of the *new* batch in the running statistics (the
tutorial's `moving_momentum = 0.1` keeps 0.1 of the old, which is 0.9 here; Keras and Flax count like
the tutorial).
"""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from bnbench.config.base import Strict, key_error

Epsilon = Annotated[float, Field(ge=1e-30, le=1)]  # less is 0 in float32, or as good as
Momentum = Annotated[float | None, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=0, le=10**9)]


class NoNormConfig(Strict):
    type: Literal["none"]


class _NormConfig(Strict):
    """A norm of activations."""

    # Whether it needs several images a batch, and whether a bias before it is subtracted again.
    needs_batch: ClassVar[bool] = False
    cancels_bias: ClassVar[bool] = False

    type: str
    implementation: Literal["custom", "builtin"] = "custom"
    placement: Literal["before_activation", "after_activation"] = "before_activation"

    def options(self) -> dict[str, Any]:
        """The keyword arguments of the norm's builder."""
        return self.model_dump(exclude={"type", "implementation", "placement"})

    @property
    def makes_bias_useless(self) -> bool:
        """Whether a bias of the layer before would be subtracted again."""
        return self.cancels_bias and self.placement == "before_activation"

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        """Raise where layers of these numbers of features, or channels with `spatial`, cannot be normalized."""

    def _no_effect(self, because: str, *keys: str) -> None:
        """Raise for the first of `keys` that is not its default."""
        for key in keys:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise key_error(key, f"has no effect with {because}; remove it")


class _OverBatchConfig(_NormConfig):
    """Batch norm and its relatives."""

    needs_batch = cancels_bias = True

    eps: Epsilon = 1e-5
    momentum: Momentum = 0.1
    affine: bool = True


class BatchNormConfig(_OverBatchConfig):
    """Batch normalization. The defaults are PyTorch's; the tutorial's choices are the other values."""

    type: Literal["batch"]
    track_running_stats: bool = True
    running_var: Literal["unbiased", "biased"] = "unbiased"
    running_var_init: Literal["ones", "zeros"] = "ones"
    weight_init: Literal["ones", "normal", "uniform"] = "ones"
    bias_init: Literal["zeros", "normal"] = "zeros"
    # What evaluation normalizes by: the running statistics, the evaluated batch's own, or statistics taken
    # anew over the training images after every epoch (the paper's Algorithm 2).
    eval_statistics: Literal["running", "batch", "precise"] = "running"

    @model_validator(mode="after")
    def _options_that_would_do_nothing(self) -> Self:
        if self.implementation == "builtin" and self.running_var == "biased":
            raise key_error(
                "running_var", "torch's batch norm keeps the unbiased variance; biased needs implementation: custom"
            )
        if not self.track_running_stats:
            self._no_effect("track_running_stats: false", "eval_statistics")
        if not self.evaluates_by_running_statistics:
            because = "eval_statistics: batch" if self.track_running_stats else "track_running_stats: false"
            self._no_effect(because, "momentum", "running_var", "running_var_init")
        if self.eval_statistics == "precise":
            self._no_effect("eval_statistics: precise", "momentum", "running_var_init")
            if self.running_var == "biased":
                raise key_error("running_var", "precise statistics average the unbiased variance; remove it")
        if not self.affine:
            self._no_effect("affine: false", "weight_init", "bias_init")
        return self

    @property
    def evaluates_by_running_statistics(self) -> bool:
        return self.track_running_stats and self.eval_statistics != "batch"

    def options(self) -> dict[str, Any]:
        options = super().options()
        del options["eval_statistics"]
        return options | {"track_running_stats": self.evaluates_by_running_statistics}


class LayerNormConfig(_NormConfig):
    type: Literal["layer"]
    eps: Epsilon = 1e-5
    affine: bool = True

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        if not spatial and 1 in features:
            raise key_error("norm.type", "layer norm of one feature gives β whatever it gets; widen model.hidden")


class InstanceNormConfig(_NormConfig):
    """The defaults are PyTorch's: no γ and β, no running statistics."""

    cancels_bias = True

    type: Literal["instance"]
    eps: Epsilon = 1e-5
    momentum: float = Field(0.1, ge=0, le=1)
    affine: bool = False
    track_running_stats: bool = False

    @model_validator(mode="after")
    def _options_that_would_do_nothing(self) -> Self:
        if not self.track_running_stats:
            self._no_effect("track_running_stats: false", "momentum")
        return self

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        if not spatial:
            raise key_error(
                "norm.type",
                "instance norm needs images: a vector has one value a channel, its own mean;"
                " use model: {type: cnn}, or a norm over features: layer, group, rms",
            )


class GroupNormConfig(_NormConfig):
    type: Literal["group"]
    num_groups: int = Field(ge=1)
    eps: Epsilon = 1e-5
    affine: bool = True

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        what = "channels" if spatial else "features"
        common = reduce(math.gcd, features)
        valid = [g for g in range(1, common + 1) if common % g == 0 and (spatial or g < min(features))]
        if self.num_groups not in valid:
            choose = f"choose {' or '.join(map(str, valid))}" if valid else "widen model.hidden"
            for n in features:
                if n % self.num_groups:
                    raise key_error("norm.num_groups", f"{self.num_groups} does not divide {n} {what}; {choose}")
            n = min(features)
            raise key_error("norm.num_groups", f"{n} {what} in {self.num_groups} are one value a group; {choose}")


class RMSNormConfig(_NormConfig):
    type: Literal["rms"]
    eps: Epsilon | None = None  # null: the smallest step at 1, 1.2e-7 in float32, as in PyTorch
    affine: bool = True

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        if not spatial and 1 in features:
            raise key_error("norm.type", "RMS norm of one feature gives ±γ whatever it gets; widen model.hidden")


class WeightNormConfig(Strict):
    """Weight normalization of the hidden layers; the classifier stays as it is, as with every norm."""

    type: Literal["weight"]
    implementation: Literal["custom", "builtin"] = "custom"
    # g = ‖w‖, so that the network starts as without it; or from 500 images, the paper's equation 6.
    init: Literal["weights", "data"] = "weights"


class _CustomBatchNormConfig(_OverBatchConfig):
    """A relative of batch norm that PyTorch does not have."""

    implementation: Literal["custom"] = "custom"


class L1BatchNormConfig(_CustomBatchNormConfig):
    type: Literal["l1_batch"]
    gaussian: bool = False  # times √(π/2), the σ of a Gaussian


class LpBatchNormConfig(_CustomBatchNormConfig):
    type: Literal["lp_batch"]
    p: Literal[2, "inf"]
    centered: bool = True  # false: the norm of x itself, as Santurkar et al. have it

    @property
    def makes_bias_useless(self) -> bool:
        return super().makes_bias_useless and self.centered  # a norm of x itself depends on the bias


class GeneralizedBatchNormConfig(_CustomBatchNormConfig):
    type: Literal["generalized_batch"]
    pair: Literal["mean_deviation", "median_mad", "midrange", "quantile"]
    alpha: float = Field(0.75, ge=0.01, le=0.99)

    @model_validator(mode="after")
    def _options_that_would_do_nothing(self) -> Self:
        if self.pair != "quantile":
            self._no_effect(f"pair: {self.pair}", "alpha")
        return self


class BatchRenormConfig(_CustomBatchNormConfig):
    """The defaults are the paper's; its schedule is of ImageNet's length."""

    type: Literal["batch_renorm"]
    momentum: Momentum = 0.01
    r_max: float = Field(3.0, ge=1, le=1e6)
    d_max: float = Field(5.0, ge=0, le=1e6)
    warmup_steps: Steps = 5_000
    r_max_steps: Steps = 40_000
    d_max_steps: Steps = 25_000

    @model_validator(mode="after")
    def _schedule_runs_forward(self) -> Self:
        for key in ("r_max_steps", "d_max_steps"):
            if getattr(self, key) < self.warmup_steps:
                raise key_error(
                    key, f"must be at least warmup_steps, {self.warmup_steps:,}; got {getattr(self, key):,}"
                )
        return self


class GhostBatchNormConfig(_CustomBatchNormConfig):
    type: Literal["ghost_batch"]
    virtual_batch_size: int = Field(ge=1)

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        if not spatial and self.virtual_batch_size == 1:
            raise key_error("norm.virtual_batch_size", "a part of one image has one value a channel; use at least 2")


class NoisyBatchNormConfig(_CustomBatchNormConfig):
    type: Literal["noisy_batch"]
    n_mu: float = Field(0.5, ge=0, le=1e3)
    n_sigma: float = Field(1.25, ge=1, le=1e3)
    r_mu: float = Field(0.1, ge=0, le=1e3)
    r_sigma: float = Field(0.1, ge=0, le=1e3)


class SyncBatchNormConfig(_OverBatchConfig):
    """Batch norm over all processes of data-parallel training; in one process it is batch norm."""

    type: Literal["sync_batch"]


class MeanOnlyBatchNormConfig(_NormConfig):
    needs_batch = cancels_bias = True

    type: Literal["mean_only_batch"]
    implementation: Literal["custom"] = "custom"
    momentum: Momentum = 0.1
    affine: bool = True


class VarianceOnlyBatchNormConfig(_CustomBatchNormConfig):
    cancels_bias = False  # nothing is subtracted

    type: Literal["variance_only_batch"]


NormConfig = Annotated[
    NoNormConfig
    | BatchNormConfig
    | LayerNormConfig
    | InstanceNormConfig
    | GroupNormConfig
    | RMSNormConfig
    | WeightNormConfig
    | L1BatchNormConfig
    | LpBatchNormConfig
    | GeneralizedBatchNormConfig
    | BatchRenormConfig
    | GhostBatchNormConfig
    | NoisyBatchNormConfig
    | SyncBatchNormConfig
    | MeanOnlyBatchNormConfig
    | VarianceOnlyBatchNormConfig,
    Field(discriminator="type"),
]


def by_type(norm: str) -> Any:
    """The model of a norm's options, as in by_type("batch").cancels_bias."""
    models = get_args(get_args(NormConfig)[0])
    return next(model for model in models if get_args(model.model_fields["type"].annotation) == (norm,))
