"""The options of the norms of weights."""

from typing import Literal

from bnbench.config.base import key_error
from bnbench.config.norms.base import NormOptions, Use, refuse_no_layer


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


NORMS: dict[str, type[NormOptions]] = {"weight": WeightNormConfig}
