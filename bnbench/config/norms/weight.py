"""The options of the norms of weights."""

from typing import Any, Literal

from pydantic import Field

from bnbench.config.base import key_error
from bnbench.config.norms.base import Epsilon, NormOptions, Use, refuse_no_layer


class WeightNormConfig(NormOptions):
    """Weight normalization of the hidden layers. Like every norm, it does not change the classifier."""

    changes = "weights"

    implementation: Literal["custom", "builtin"] = "custom"
    # weights: g = ‖w‖, so the network starts as it would without the norm. data: from 500 images, by the
    # paper's equation 6.
    init: Literal["weights", "data"] = "weights"

    @property
    def starts_from_data(self) -> bool:
        return self.init == "data"

    def refuse(self, use: Use) -> None:
        refuse_no_layer(use)
        if self.starts_from_data and use.bias is False:
            raise key_error("model.bias", "norm.init: data also sets the biases; use bias: true")
        if self.starts_from_data and use.images == 1 and not use.spatial:
            raise key_error("norm.init", "data needs at least 2 training images, for their variance")


class ScaledWeightStandardizationConfig(NormOptions):
    """Scaled weight standardization of the hidden layers. Like every norm, it does not change the classifier."""

    changes = "weights"

    implementation: Literal["custom"] = "custom"
    activation_gain: float = Field(1.7139588594436646, gt=0, le=1e3)  # ReLU's, by the authors' code
    eps: Epsilon = 1e-4

    def options(self) -> dict[str, Any]:
        return self.model_dump(exclude={"type", "implementation"})

    def refuse(self, use: Use) -> None:
        refuse_no_layer(use)
        if not use.spatial and 1 in use.features[:-1]:
            raise key_error("norm.type", "a unit with one input gets the weight 0; widen model.hidden")


NORMS: dict[str, type[NormOptions]] = {
    "weight": WeightNormConfig,
    "scaled_weight_standardization": ScaledWeightStandardizationConfig,
}
