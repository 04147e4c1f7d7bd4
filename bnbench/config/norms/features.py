"""The options of the norms over a single image: layer, instance, group and RMS normalization."""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Self

from pydantic import Field, model_validator

from bnbench.config.base import key_error, later
from bnbench.config.evaluations import Kind
from bnbench.config.norms.base import ActivationNormConfig, Epsilon, NormOptions


class LayerNormConfig(ActivationNormConfig):
    eps: Epsilon = 1e-5
    affine: bool = True

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        if not spatial and 1 in features:
            raise key_error("norm.type", "layer norm of one feature gives β for every input; widen model.hidden")


class InstanceNormConfig(ActivationNormConfig):
    """The defaults are PyTorch's: no γ and β, no running statistics."""

    cancels_bias = True

    eps: Epsilon = 1e-5
    momentum: float = Field(0.1, ge=0, le=1)
    affine: bool = False
    track_running_stats: bool = False

    @model_validator(mode="after")
    def _options_that_would_do_nothing(self) -> Self:
        if not self.track_running_stats:
            self._no_effect("track_running_stats: false", "momentum")
        return self

    @property
    def evaluations(self) -> tuple[Kind, ...] | None:
        return ("running",) if self.track_running_stats else None

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        if not spatial:
            raise key_error(
                "norm.type",
                "instance norm needs images: in a vector, a channel is one value and equals its own mean;"
                " use model: {type: cnn}, or a norm over features: layer, group, rms",
            )


class GroupNormConfig(ActivationNormConfig):
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
            raise key_error("norm.num_groups", f"{self.num_groups} leaves a single value in each group; {choose}")


class RMSNormConfig(ActivationNormConfig):
    eps: Epsilon | None = None  # null: the machine epsilon of the dtype, 1.2e-7 in float32, as in PyTorch
    affine: bool = True
    p: float | None = later(None, ge=0.01, le=1)  # the share of the features that the mean square is over

    @model_validator(mode="after")
    def _torch_has_no_p(self) -> Self:
        if self.implementation == "builtin" and self.p is not None:
            raise key_error("p", "torch's RMS norm has no p; use implementation: custom")
        return self

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        if self.p is not None and not spatial and self.p * min(features) < 1:
            least = f"{self.p:g} of {min(features)} features is less than one"
            raise key_error("norm.p", f"{least}; use at least {math.ceil(1e3 / min(features)) / 1e3:g}")
        if not spatial and 1 in features:
            raise key_error("norm.type", "RMS norm of one feature gives ±γ for every input; widen model.hidden")


NORMS: dict[str, type[NormOptions]] = {
    "layer": LayerNormConfig,
    "instance": InstanceNormConfig,
    "group": GroupNormConfig,
    "rms": RMSNormConfig,
}
