"""The keys of a study file. No torch here; file.py reads the files, checks.py compares the parts with each other.

Accuracies are in percent, so a `delta` of 0.3 is 0.3 points. A claim is about the first of its arms minus the second,
or about the first divided by the second. With one arm it is about the arm's value itself.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from bnbench.analysis.measures import MEASURES as METRICS
from bnbench.config.base import ByType, Strict, key_error, one_of
from bnbench.config.experiment import parse_seeds
from bnbench.errors import ConfigError
from bnbench.studies.rules import Kind, check_delta

Text = Annotated[str, Field(min_length=1, max_length=1_000)]
Metric = Annotated[str, one_of(METRICS)]
NO_PROBES = "there are no probes yet, so no claim can be about a probe's statistic"


class Measure(Strict):
    """What is measured of each arm and seed."""

    type: str
    metric: Metric = Field("valid_accuracy", description="A metric of `metrics.csv`, or of the final test.")

    @property
    def unit(self) -> str:
        """The unit of the measure, as it stands behind a number."""
        return "points" if self.metric.endswith("accuracy") else ""

    @property
    def is_relative(self) -> bool:
        """Whether δ can judge the measure of one arm: it is a difference, or its own threshold is in the file."""
        own = ("epochs_to", "steps_to", "largest", "flatness", "change")
        return self.type in own or bool(getattr(self, "minus", None) or getattr(self, "over", None))

    @property
    def axis(self) -> str | None:
        """The key of the grid that it runs over, if it does."""
        return getattr(self, "key", None)

    @property
    def can_divide(self) -> bool:
        """Whether it is never 0, so that a ratio of it makes sense."""
        return False


class OfEpoch(Measure):
    """A metric after an epoch, or after a number of steps that ends an epoch. Without both: after the last epoch."""

    type: Literal["metric"]
    epoch: int | None = Field(None, ge=1, description="The epoch, counted from 1. Default: the last one.")
    step: int | None = Field(None, ge=1, description="The number of steps, in place of `epoch`. It must end an epoch.")

    @model_validator(mode="after")
    def _one_moment(self) -> Self:
        if self.epoch is not None and self.step is not None:
            raise key_error("step", "stands beside epoch; name one of the two")
        if METRICS[self.metric].per_epoch is False and (self.epoch or self.step):
            raise key_error("metric", f"{self.metric} is known after the last epoch only; leave epoch and step out")
        return self

    @property
    def can_divide(self) -> bool:
        return self.metric.endswith("loss")


class ToTarget(Measure):
    """The epochs, or the steps, after which the metric first reached the target. Not reached: more than the run has."""

    type: Literal["epochs_to", "steps_to"]
    target: float = Field(description="A loss, or an accuracy in percent.")

    @property
    def can_divide(self) -> bool:
        return True

    @property
    def unit(self) -> str:
        return self.type.removesuffix("_to")


class AtTarget(Measure):
    """A metric at the end of the epoch in which another metric first reached its target: at equal training loss."""

    type: Literal["at_target"]
    of: Metric = Field("train_loss", description="The other metric.")
    target: float = Field(description="Its target: a loss, or an accuracy in percent.")


class Largest(Measure):
    """log10 of the largest value of a key of the grid with a good enough final metric. Each seed has its own."""

    type: Literal["largest"]
    key: str = Field(description="The key of the grid.")
    least: float = Field(description="The least accuracy in percent, or the largest loss, that is good enough.")

    @property
    def unit(self) -> str:
        return "decades"


class Flatness(Measure):
    """How far the final metric moves over a key of the grid: its largest value minus its smallest."""

    type: Literal["flatness"]
    key: str = Field(description="The key of the grid.")


class Change(Measure):
    """The final metric at one value of a key of the grid minus that at another. Of two arms: an interaction."""

    type: Literal["change"]
    key: str = Field(description="The key of the grid.")
    start: Any = Field(alias="from", description="The value that is subtracted.")
    end: Any = Field(alias="to", description="The other value.")


class OfEvaluation(Measure):
    """A number of one of the study's `evaluations`, or that number minus the one of another evaluation."""

    type: Literal["evaluation"]
    evaluation: Text = Field(description="As in `running`, `precise`, `batch=4` or `momentum=0.99`.")
    minus: Text | None = Field(None, description="Another evaluation, which is subtracted.")
    over: Text | None = Field(None, description="Another evaluation, which divides. Only for `kind: ratio`.")
    column: Literal["accuracy", "loss", "mean_error", "var_error"] = Field(
        "accuracy", description="A column of evaluations.csv."
    )

    @property
    def unit(self) -> str:
        return "points" if self.column == "accuracy" else ""

    @property
    def can_divide(self) -> bool:
        return self.column != "accuracy" and self.minus is None


MEASURES: Mapping[str, type[Measure]] = {
    "metric": OfEpoch,
    "epochs_to": ToTarget,
    "steps_to": ToTarget,
    "at_target": AtTarget,
    "largest": Largest,
    "flatness": Flatness,
    "change": Change,
    "evaluation": OfEvaluation,
}


def _refuse_probes(kind: str) -> None:
    if kind == "probe":
        raise key_error("type", NO_PROBES)


class Claim(Strict):
    """One sentence that somebody published, and what of the runs decides on it."""

    quote: Text | None = Field(None, description="The sentence, word for word as it was published.")
    says: Text | None = Field(None, description="The claim in your own words. One of `quote` and `says` is required.")
    source: Text | None = Field(None, description="Who says so. Default: the study's source.")
    measure: Annotated[SerializeAsAny[Measure], ByType(MEASURES, find=_refuse_probes)] = Field(
        description="See [Measures](#measures)."
    )
    arms: list[str] = Field(
        min_length=1, max_length=2, description="Two arms: the first minus the second. Or [one](#one-arm)."
    )
    where: dict[str, Any] = Field({}, description="The values of keys of the grid. Default: those of the base.")
    tuned: bool = Field(False, description="Judge each arm at its best value of the study's `tuning`.")
    kind: Kind = Field(description="See [Kinds](#kinds).")
    delta: float | None = Field(
        None,
        description="δ: the smallest effect that matters. A ratio for `ratio`.",
        json_schema_extra={"x_default": "required, unless exploratory"},
    )
    sd: float | None = Field(
        None,
        gt=0,
        description="The standard deviation of the effect over seeds. Of a ratio: of log(first / second).",
        json_schema_extra={"x_default": "required, unless exploratory or exact"},
    )
    sd_images: float = Field(0.0, ge=0, description="What the choice of test images adds to `sd`, whatever the seeds.")
    sd_from: Text | None = Field(None, description="Where `sd` comes from: a pilot, or which runs.")
    expect: float | None = Field(None, description="The effect that the claim's author would expect. Default: 2 δ.")
    stable: float | None = Field(None, gt=0, description="For `crossover`: the second arm changes by at most this.")
    stable_sd: float | None = Field(None, gt=0, description="For `crossover`: the standard deviation of that change.")
    looks: list[Annotated[int, Field(ge=3)]] = Field([], description="The seeds after which one looks. Default: all.")
    published: float | None = Field(
        None, description="A number that was published of a single run. Is it like one more run? Only if exploratory."
    )
    exploratory: bool = Field(False, description="Show the effect and its interval, and give no verdict.")
    transfer: bool = Field(False, description="The claim is about other networks, which this study cannot refute.")

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        if self.quote is None and self.says is None:
            raise key_error("quote", "quote or says is required: the published words, or the claim in your own words")
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.exploratory:
            return self
        if self.delta is None:
            raise key_error("delta", f"is required for kind: {self.kind}, or write exploratory: true")
        try:
            check_delta(self.kind, self.delta)
        except ConfigError as error:
            raise key_error("delta", str(error).partition(": ")[2]) from None
        return self

    @model_validator(mode="after")
    def _one_published_run(self) -> Self:
        if self.published is not None and (len(self.arms) > 1 or not self.exploratory or self.kind == "ratio"):
            raise key_error("published", "is for exploratory claims about one arm only")
        return self

    @model_validator(mode="after")
    def _crossover(self) -> Self:
        crossover = self.kind == "crossover" and not self.exploratory
        if crossover and self.stable is None:
            raise key_error("stable", "is required for kind: crossover")
        for key in ("stable", "stable_sd"):
            if getattr(self, key) is not None and not crossover:
                raise key_error(key, "is for kind: crossover only")
        if self.kind == "crossover" and self.measure.type != "change":
            raise key_error("measure", "of kind: crossover must have type: change")
        return self

    @model_validator(mode="after")
    def _arms_and_kind(self) -> Self:
        if len(set(self.arms)) < len(self.arms):
            raise key_error("arms", f"names {self.arms[0]} twice")
        if len(self.arms) == 1 and not (self.exploratory or self.kind == "exact" or self.measure.is_relative):
            what = getattr(self.measure, "column", self.measure.metric).rpartition("_")[2]
            example = f"[{self.arms[0]}, none]" if self.arms[0] != "none" else "[batch, none]"
            raise key_error(
                "arms",
                f"names one arm, so delta is compared with its {what} and not with a difference;"
                f" name two arms, as in {example}",
            )
        over = getattr(self.measure, "over", None)
        if self.kind == "ratio":
            if not self.measure.can_divide:
                what = (
                    getattr(self.measure, "column", self.measure.metric)
                    if self.measure.axis is None
                    else self.measure.type
                )
                raise key_error("kind", f"there is no ratio of {what}, which can be 0; use kind: superior")
            if (len(self.arms) == 2) is (over is not None):
                raise key_error("arms", "a ratio needs two arms, or one arm and measure.over")
        elif over is not None:
            raise key_error("measure.over", "is for kind: ratio only")
        if self.kind == "crossover" and len(self.arms) < 2:
            raise key_error("arms", "a crossover needs two arms: the one that changes, and the one that is stable")
        return self


class Tuning(Strict):
    """The rule that finds the best value for each arm: the best mean of `by` over all seeds, on held-out images."""

    key: str = Field(description="A key of the grid, as in `train.optimizer.lr`.")
    by: Literal["valid_accuracy", "valid_loss"] = Field("valid_accuracy", description="What is best.")


class Study(Strict):
    """A study file."""

    question: Text = Field(description="What the study asks, in one sentence.")
    source: Text = Field(description="Who published the claims.")
    minutes: float = Field(gt=0, description="How long it takes on one core, in minutes; an estimate.")
    base: dict[str, Any] = Field(description="A config, as in a config file. All arms start from it.")
    arms: dict[str, dict[str, Any]] = Field(min_length=1, description="The name of each arm, and what it changes.")
    grid: dict[str, Any] = Field({}, description="As in a config file: dotted keys with lists of values, for all arms.")
    seeds: list[int] = Field(description="As in a config file. All arms share them.")
    evaluations: list[Any] = Field(
        [], description="As in a config file: how each final network is evaluated. An arm may have its own."
    )
    tuning: Tuning | None = Field(None, description="How the best value of each arm is found.")
    uses: list[Text] = Field([], description="Folders with finished runs to use, from the current folder.")
    shares: Text | None = Field(None, description="The study whose runs folder this one uses.")
    claims: dict[str, Claim] = Field(min_length=1, description="The name of each claim, and what it says.")

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds_in_any_spelling(cls, seeds: Any) -> list[int]:
        return parse_seeds(seeds)
