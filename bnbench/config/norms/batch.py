"""The options of batch normalization, and those that all norms over the batch share."""

from typing import Any, Literal, Self

from pydantic import model_validator

from bnbench.config.base import key_error
from bnbench.config.evaluations import KINDS, Kind
from bnbench.config.norms.base import ActivationNormConfig, Epsilon, Momentum, NormOptions


class OverBatchConfig(ActivationNormConfig):
    """The options that batch norm and its relatives share."""

    needs_batch = cancels_bias = True

    eps: Epsilon = 1e-5
    momentum: Momentum = 0.1
    affine: bool = True


class BatchNormConfig(OverBatchConfig):
    """Batch normalization. The defaults are PyTorch's; the other values include the tutorial's choices."""

    track_running_stats: bool = True
    running_var: Literal["unbiased", "biased"] = "unbiased"
    running_var_init: Literal["ones", "zeros"] = "ones"
    weight_init: Literal["ones", "normal", "uniform"] = "ones"
    bias_init: Literal["zeros", "normal"] = "zeros"
    # The statistics that evaluation uses: the running ones, those of the evaluated batch, or statistics that are
    # computed from the training images after every epoch: the mean of the batches' variances (precise, Algorithm 2
    # of the paper) or the variance of all values together (population).
    eval_statistics: Literal["running", "batch", "precise", "population"] = "running"

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
        if self.evaluates_by_precise_statistics:
            self._no_effect(f"eval_statistics: {self.eval_statistics}", "momentum", "running_var_init")
            if self.eval_statistics == "population":
                self._no_effect("eval_statistics: population", "running_var")
            elif self.running_var == "biased":
                raise key_error("running_var", "precise statistics average the unbiased variance; remove it")
        if not self.affine:
            self._no_effect("affine: false", "weight_init", "bias_init")
        return self

    @property
    def evaluates_by_running_statistics(self) -> bool:
        return self.track_running_stats and self.eval_statistics != "batch"

    @property
    def evaluates_by_precise_statistics(self) -> bool:
        return self.eval_statistics in ("precise", "population")

    @property
    def evaluates_by_population_statistics(self) -> bool:
        return self.eval_statistics == "population"

    @property
    def evaluations(self) -> tuple[Kind, ...] | None:
        if not self.evaluates_by_running_statistics:
            return ("batch",)
        return ("running", "precise", "batch") if self.evaluates_by_precise_statistics else KINDS

    def options(self) -> dict[str, Any]:
        options = super().options()
        del options["eval_statistics"]
        return options | {"track_running_stats": self.evaluates_by_running_statistics}


NORMS: dict[str, type[NormOptions]] = {"batch": BatchNormConfig}
