"""The `train` part of a config: the optimizer and its options. No torch here; training/ has the code."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bnbench.config.base import ByType, Strict, key_error, later

DecayOn = Literal["all", "hidden_weights"]
DECAY_ON = "`all`: every parameter decays. `hidden_weights`: γ, β, biases and the classifier do not."


def _decay_has_an_effect(optimizer: Any) -> Any:
    if optimizer.weight_decay == 0 and optimizer.weight_decay_on != "all":
        raise key_error("weight_decay_on", "has no effect without weight_decay; remove it")
    return optimizer


class SGDConfig(Strict):
    type: Literal["sgd"]
    lr: float = Field(gt=0, le=1e6)
    momentum: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0, le=1e3)
    weight_decay_on: DecayOn = later("all", description=DECAY_ON)

    _decay_fits = model_validator(mode="after")(_decay_has_an_effect)


Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamConfig(Strict):
    type: Literal["adam"]
    lr: float = Field(1e-3, gt=0, le=1e6)
    betas: list[Beta] = Field([0.9, 0.999], min_length=2, max_length=2)
    weight_decay: float = Field(0.0, ge=0, le=1e3)
    weight_decay_on: DecayOn = later("all", description=DECAY_ON)

    _decay_fits = model_validator(mode="after")(_decay_has_an_effect)


OptimizerConfig = SGDConfig | AdamConfig
OPTIMIZERS: dict[str, type[Strict]] = {"sgd": SGDConfig, "adam": AdamConfig}


WARMUP = "Steps in which the rate rises evenly to `lr`, at the start."
Steps = Annotated[int, Field(ge=0, le=10**9)]


class _Schedule(Strict):
    """The base class of schedules. Errors name a key of `train.schedule`."""

    def refuse(self, epochs: int, steps_per_epoch: int) -> None:
        """Raise a `key_error` where the schedule does not fit into a run."""
        steps, warmup = epochs * steps_per_epoch, getattr(self, "warmup_steps", 0)
        if warmup >= steps:
            raise key_error("train.schedule.warmup_steps", f"{warmup:,} is not less than the run's {steps:,} steps")


class CosineConfig(_Schedule):
    """From `lr` to 0 along half a cosine."""

    type: Literal["cosine"]
    warmup_steps: Steps = Field(0, description=WARMUP)


class StepConfig(_Schedule):
    """`lr` times `factor` after each of `epochs`."""

    type: Literal["step"]
    epochs: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, max_length=100, description="After each of these epochs the rate is multiplied by `factor`."
    )
    factor: float = Field(0.1, gt=0, lt=1, description="What the rate is multiplied by.")
    warmup_steps: Steps = Field(0, description=WARMUP)

    def refuse(self, epochs: int, steps_per_epoch: int) -> None:
        super().refuse(epochs, steps_per_epoch)
        if sorted(set(self.epochs)) != self.epochs:
            raise key_error("train.schedule.epochs", "must increase from one to the next")
        if self.epochs[-1] >= epochs:
            raise key_error("train.schedule.epochs", f"{self.epochs[-1]:,} is not before the last epoch, {epochs:,}")


ScheduleConfig = CosineConfig | StepConfig
SCHEDULES: dict[str, type[Strict]] = {"cosine": CosineConfig, "step": StepConfig}


class TrainConfig(Strict):
    epochs: int = Field(ge=1, le=10_000)
    optimizer: Annotated[OptimizerConfig, ByType(OPTIMIZERS)]
    only: Literal["all", "norm", "head"] = later(
        "all",
        description="What is trained: `norm`, the parameters of the norms; `head`, the classifier. The rest stays as it"
        " starts.",
    )
    schedule: Annotated[ScheduleConfig | None, ByType(SCHEDULES, words=(None,))] = later(
        None, description="The learning rate of each step. null: it is constant. See [Schedules](#schedules)."
    )
