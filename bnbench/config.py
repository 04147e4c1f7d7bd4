"""What a run is: frozen, typed, bounded. No torch here, and no file reading (see configfile.py).

A config file is a short diff from the defaults below. `momentum` of a norm is PyTorch's: the
weight of the *new* batch in the running statistics (the tutorial's `moving_momentum = 0.1` keeps
0.1 of the old, which is 0.9 here; Keras and Flax count like the tutorial).
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

# Letters, digits, `.`, `_`, `-`; the suffixes that overrides add (",key=value", ",smoke") may follow.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(,[A-Za-z0-9._-]+(=[A-Za-z0-9._-]*)?)*")
MAX_NAME = 150
# Training and test images of each dataset.
IMAGES = {
    "mnist": (60_000, 10_000),
    "mnist5k": (4_000, 1_000),
    "fashion_mnist": (60_000, 10_000),
    "kmnist": (60_000, 10_000),
}
MAX_SEED = 2**63 - 1
MAX_SEEDS = 10_000


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def key_error(key: str, message: str) -> PydanticCustomError:
    """An error at `key` of the mapping being validated; configfile.py adds the key to the location."""
    return PydanticCustomError("key_error", "{message}", {"key": key, "message": message})


class DataConfig(_Strict):
    """The dataset, how much of it, and the batch size. Limits take the first images of a split."""

    dataset: Literal["mnist", "mnist5k", "fashion_mnist", "kmnist"] = "mnist"
    batch_size: int = Field(64, ge=1)
    train_limit: int | None = Field(None, ge=1)
    valid_limit: int | None = Field(None, ge=1)
    fallback: Literal["mnist5k", "error"] = "mnist5k"


Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh"]
Width = Annotated[int, Field(ge=1, le=10_000)]


class MLPConfig(_Strict):
    """784-hidden-10: linear, norm, activation for each hidden width, then a linear classifier."""

    type: Literal["mlp"]
    hidden: list[Width] = Field([100], max_length=100)
    activation: Activation = "relu"


class CNNConfig(_Strict):
    """The tutorial's CNN: conv 3x3, norm, activation, pool; conv 5x5, norm, activation, pool; linear."""

    type: Literal["cnn"]
    channels: list[Annotated[int, Field(ge=1, le=1_024)]] = Field([6, 16], min_length=2, max_length=2)
    activation: Activation = "relu"


class NoNormConfig(_Strict):
    type: Literal["none"]


class BatchNormConfig(_Strict):
    """Batch normalization. The defaults are PyTorch's; the tutorial's choices are the other values."""

    type: Literal["batch"]
    implementation: Literal["custom", "builtin"] = "custom"
    eps: float = Field(1e-5, gt=0, le=1)
    momentum: float | None = Field(0.1, ge=0, le=1)
    affine: bool = True
    track_running_stats: bool = True
    running_var: Literal["unbiased", "biased"] = "unbiased"
    running_var_init: Literal["ones", "zeros"] = "ones"
    weight_init: Literal["ones", "normal", "uniform"] = "ones"
    bias_init: Literal["zeros", "normal"] = "zeros"

    @model_validator(mode="after")
    def _options_that_would_do_nothing(self) -> Self:
        if self.implementation == "builtin" and self.running_var == "biased":
            raise key_error(
                "running_var", "torch's batch norm keeps the unbiased variance; biased needs implementation: custom"
            )
        if not self.track_running_stats:
            for key in ("momentum", "running_var", "running_var_init"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise key_error(key, "has no effect with track_running_stats: false; remove it")
        if not self.affine:
            for key in ("weight_init", "bias_init"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise key_error(key, "has no effect with affine: false; remove it")
        return self


class SGDConfig(_Strict):
    type: Literal["sgd"]
    lr: float = Field(gt=0, le=1e6)
    momentum: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0, le=1e3)


Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamConfig(_Strict):
    type: Literal["adam"]
    lr: float = Field(1e-3, gt=0, le=1e6)
    betas: list[Beta] = Field([0.9, 0.999], min_length=2, max_length=2)
    weight_decay: float = Field(0.0, ge=0, le=1e3)


Tagged = Field(discriminator="type")
ModelConfig = Annotated[MLPConfig | CNNConfig, Tagged]
NormConfig = Annotated[NoNormConfig | BatchNormConfig, Tagged]
OptimizerConfig = Annotated[SGDConfig | AdamConfig, Tagged]


class TrainConfig(_Strict):
    epochs: int = Field(ge=1, le=10_000)
    optimizer: OptimizerConfig


class Config(_Strict):
    """One experiment: an arm (everything but `name` and `seeds`) and the seeds to run it with."""

    name: str
    data: DataConfig = DataConfig()
    model: ModelConfig
    norm: NormConfig = NoNormConfig(type="none")
    train: TrainConfig
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int = Field(1, ge=1, le=1_024)  # part of the run: the thread count changes the last bits
    dtype: Literal["float32", "float64"] = "float32"
    smoke: bool = False  # set by --smoke; a label that keeps such runs apart
    seeds: list[int] = [0]

    @field_validator("name")
    @classmethod
    def _name_is_a_folder(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name: use letters, digits, '.', '_' and '-'")
        if len(name) > MAX_NAME:
            raise ValueError(f"is {len(name)} characters long; {MAX_NAME} is the most. Shorten it with --name")
        return name

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds_in_any_spelling(cls, seeds: Any) -> list[int]:
        return parse_seeds(seeds)

    @model_validator(mode="after")
    def _norm_fits_model_and_batch(self) -> Self:
        dataset, batch_size = self.data.dataset, self.data.batch_size
        for key, limit, images in zip(
            ("train_limit", "valid_limit"), (self.data.train_limit, self.data.valid_limit), IMAGES[dataset], strict=True
        ):
            if limit is not None and limit > images:
                raise key_error(f"data.{key}", f"{limit:,} is more than the {images:,} images of {dataset}")
        images = self.data.train_limit or IMAGES[dataset][0]
        if batch_size > images:
            raise key_error("data.batch_size", f"{batch_size:,} is more than the {images:,} training images")
        if isinstance(self.model, MLPConfig) and self.norm.type != "none":
            if not self.model.hidden:
                raise key_error("norm", "there is no hidden layer to normalize; use norm: {type: none}")
            one = "batch norm of a vector needs at least 2 images in a batch: with one, every value is its own mean"
            if self.norm.type == "batch" and 1 in (batch_size, images):
                raise key_error("data.batch_size", one)
            if self.norm.type == "batch" and not self.norm.track_running_stats and self.data.valid_limit == 1:
                raise key_error("data.valid_limit", one)
        return self

    @property
    def seed(self) -> int:
        """The seed of a config that has exactly one (see `one_per_seed`)."""
        (seed,) = self.seeds
        return seed

    def one_per_seed(self) -> Iterator["Config"]:
        for seed in self.seeds:
            yield self.model_copy(update={"seeds": [seed]})

    def arm(self) -> dict[str, Any]:
        """What makes two runs the same arm: every setting but the name, the seeds and the fallback."""
        return self.model_dump(mode="json", exclude={"name": True, "seeds": True, "data": {"fallback"}})

    def digest(self) -> str:
        """SHA-256 of the arm's settings that are not defaults, as canonical JSON.

        So a key that is added later, with a default that changes nothing, changes no digest.
        """
        data = self.data.model_copy(update={"fallback": DataConfig().fallback})
        arm = self.model_copy(update={"data": data})
        settings = arm.model_dump(mode="json", exclude={"name", "seeds"}, exclude_defaults=True)
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def parse_seeds(seeds: Any) -> list[int]:
    """`3`, `[0, 2, 5]`, `"0..9"` or `"0..4,7"` → the list of seeds. Raises ValueError in plain words."""
    if isinstance(seeds, str):
        seeds = [seed for part in seeds.split(",") for seed in _seed_range(part.strip())]
    elif isinstance(seeds, int) and not isinstance(seeds, bool):
        seeds = [seeds]
    if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        raise ValueError("must be whole numbers, as in 3, 0..9 or [0, 2, 5]")
    if not seeds:
        raise ValueError("must name at least one seed, as in 0..9")
    if not all(0 <= seed <= MAX_SEED for seed in seeds):
        raise ValueError(f"must be between 0 and {MAX_SEED}")
    if len(set(seeds)) != len(seeds):
        raise ValueError("names a seed twice")
    return seeds


def _seed_range(text: str) -> range | list[int]:
    match = re.fullmatch(r"(\d{1,19})(?:\.\.(\d{1,19}))?", text, flags=re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a seed or a range of seeds; write 3, 0..9 or 0,2,5")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f"the range {text} is empty: it runs from low to high")
    if last - first >= MAX_SEEDS:
        raise ValueError(f"the range {text} has more than {MAX_SEEDS:,} seeds")
    return range(first, last + 1)
