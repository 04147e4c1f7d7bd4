"""The options of the functions of single values in the place of a norm: dynamic tanh and dynamic erf."""

from typing import Annotated, Literal

from pydantic import Field

from bnbench.config.norms.base import ActivationNormConfig, NormOptions

Start = Annotated[float, Field(ge=-1e3, le=1e3)]


class DynamicTanhConfig(ActivationNormConfig):
    learns_more = True

    implementation: Literal["custom"] = "custom"
    alpha_init: Start = 0.5
    affine: bool = True


class DynamicErfConfig(DynamicTanhConfig):
    shift_init: Start = 0.0


NORMS: dict[str, type[NormOptions]] = {"dyt": DynamicTanhConfig, "derf": DynamicErfConfig}
