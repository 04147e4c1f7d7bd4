"""The options of the norms that bring their own activation: filter response normalization and EvoNorms."""

from collections.abc import Sequence
from typing import Literal

from bnbench.config.base import key_error
from bnbench.config.norms.base import ActivationNormConfig, Epsilon, Momentum, NormOptions
from bnbench.config.norms.features import GroupNormConfig


class FilterResponseNormConfig(ActivationNormConfig):
    activates = learns_more = True

    implementation: Literal["custom"] = "custom"
    placement: Literal["before_activation"] = "before_activation"
    eps: Epsilon = 1e-5
    affine: bool = True

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        if not spatial:
            raise key_error(
                "norm.type",
                "filter response norm needs images: of a vector it keeps little more than the signs;"
                " use model: {type: cnn}, or evonorm_s0 or evonorm_b0",
            )


class EvoNormS0Config(GroupNormConfig):
    activates = learns_more = True

    implementation: Literal["custom"] = "custom"
    placement: Literal["before_activation"] = "before_activation"


class EvoNormB0Config(ActivationNormConfig):
    activates = learns_more = needs_batch = True

    implementation: Literal["custom"] = "custom"
    placement: Literal["before_activation"] = "before_activation"
    eps: Epsilon = 1e-3
    momentum: Momentum = 0.1
    affine: bool = True


NORMS: dict[str, type[NormOptions]] = {
    "filter_response": FilterResponseNormConfig,
    "evonorm_s0": EvoNormS0Config,
    "evonorm_b0": EvoNormB0Config,
}
