"""The options of batch norm's relatives, which use other statistics of the batch or of parts of it."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from bnbench.config.base import key_error
from bnbench.config.norms.base import ActivationNormConfig, Momentum, NormOptions, Steps, Use
from bnbench.config.norms.batch import OverBatchConfig


class CustomOverBatchConfig(OverBatchConfig):
    """The options of a relative of batch norm that PyTorch does not have."""

    implementation: Literal["custom"] = "custom"


class L1BatchNormConfig(CustomOverBatchConfig):
    gaussian: bool = False  # true: multiply by √(π/2), which gives σ for a Gaussian


class LpBatchNormConfig(CustomOverBatchConfig):
    p: Literal[2, "inf"]
    centered: bool = True  # false: the Lp norm of x itself, as in Santurkar et al.

    @property
    def makes_bias_useless(self) -> bool:
        return super().makes_bias_useless and self.centered  # without centring, the bias changes the norm


class GeneralizedBatchNormConfig(CustomOverBatchConfig):
    pair: Literal["mean_deviation", "median_mad", "midrange", "quantile"]
    alpha: float = Field(0.75, ge=0.01, le=0.99)

    @model_validator(mode="after")
    def _options_that_would_do_nothing(self) -> Self:
        if self.pair != "quantile":
            self._no_effect(f"pair: {self.pair}", "alpha")
        return self


class BatchRenormConfig(CustomOverBatchConfig):
    """The defaults are the paper's, whose schedule fits training on ImageNet."""

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


class GhostBatchNormConfig(CustomOverBatchConfig):
    virtual_batch_size: int = Field(ge=1)

    def refuse_features(self, features: Sequence[int], spatial: bool) -> None:
        if not spatial and self.virtual_batch_size == 1:
            raise key_error("norm.virtual_batch_size", "a part of one image has one value in a channel; use at least 2")

    def refuse(self, use: Use) -> None:
        super().refuse(use)
        if self.virtual_batch_size > use.batch_size:
            size = f"{self.virtual_batch_size:,}"
            raise key_error("norm.virtual_batch_size", f"{size} is more than the {use.batch_size:,} images of a batch")


class NoisyBatchNormConfig(CustomOverBatchConfig):
    varies = True  # each step draws from a generator of its own

    n_mu: float = Field(0.5, ge=0, le=1e3)
    n_sigma: float = Field(1.25, ge=1, le=1e3)
    r_mu: float = Field(0.1, ge=0, le=1e3)
    r_sigma: float = Field(0.1, ge=0, le=1e3)


class SyncBatchNormConfig(OverBatchConfig):
    """Batch norm over all processes of data-parallel training. In a single process it equals batch norm."""


class MeanOnlyBatchNormConfig(ActivationNormConfig):
    needs_batch = cancels_bias = True

    implementation: Literal["custom"] = "custom"
    momentum: Momentum = 0.1
    affine: bool = True


class VarianceOnlyBatchNormConfig(CustomOverBatchConfig):
    cancels_bias = False  # nothing is subtracted


NORMS: dict[str, type[NormOptions]] = {
    "l1_batch": L1BatchNormConfig,
    "lp_batch": LpBatchNormConfig,
    "generalized_batch": GeneralizedBatchNormConfig,
    "batch_renorm": BatchRenormConfig,
    "ghost_batch": GhostBatchNormConfig,
    "noisy_batch": NoisyBatchNormConfig,
    "sync_batch": SyncBatchNormConfig,
    "mean_only_batch": MeanOnlyBatchNormConfig,
    "variance_only_batch": VarianceOnlyBatchNormConfig,
}
