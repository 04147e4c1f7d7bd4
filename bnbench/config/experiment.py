"""The config of an experiment: frozen, typed, bounded. No torch here; load.py reads the files.

A config file names only the settings that differ from the defaults below. The options of the norms are in
norms/, those of the models in models.py, `data` and `train` in modules of their names.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from bnbench.config.base import EVERY_KEY, READING, ByType, Strict, key_error, later
from bnbench.config.data import DataConfig
from bnbench.config.evaluations import Evaluation, label, momenta
from bnbench.config.evaluations import parse as parse_evaluations
from bnbench.config.models import MODELS, ModelConfig, UnknownModel
from bnbench.config.norms import NORMS, find
from bnbench.config.norms.base import NoNormConfig, NormOptions, UnknownNorm, Use
from bnbench.config.train import TrainConfig

# Letters, digits, `.`, `_`, `-`, then the suffixes that overrides add: ",key=value" and ",smoke".
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(,[A-Za-z0-9._-]+(=[A-Za-z0-9._-]*)?)*")
MAX_NAME = 150
MAX_SEED = 2**63 - 1
MAX_SEEDS = 10_000


class Config(Strict):
    """One experiment: an arm and the seeds to run it with.

    The arm is every setting except `name`, `seeds`, `evaluations` and `data.fallback`. Raises pydantic's
    ValidationError.
    """

    name: str
    data: DataConfig = DataConfig()
    model: Annotated[SerializeAsAny[ModelConfig], ByType(MODELS, UnknownModel)]
    norm: Annotated[SerializeAsAny[NormOptions], ByType(NORMS, UnknownNorm, find)] = NoNormConfig(type="none")
    train: TrainConfig
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int = Field(1, ge=1, le=1_024)  # part of the arm: the number of threads changes the last bits
    dtype: Literal["float32", "float64"] = "float32"
    smoke: bool = False  # --smoke sets this label, which keeps smoke runs apart from others
    seeds: list[int] = Field([0])
    evaluations: list[Evaluation] = later(
        [],
        description="By which statistics the final network is evaluated besides. See [Evaluations](#evaluations).",
    )

    @field_validator("name")
    @classmethod
    def _name_is_a_folder(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name[:MAX_NAME]!r} is not a name: use letters, digits, '.', '_' and '-'")
        if len(name) > MAX_NAME:
            raise ValueError(f"is {len(name)} characters long; at most {MAX_NAME} are allowed. Shorten it with --name")
        return name

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds_in_any_spelling(cls, seeds: Any) -> list[int]:
        return parse_seeds(seeds)

    @field_validator("evaluations", mode="before")
    @classmethod
    def _evaluations_as_written(cls, evaluations: Any) -> list[Evaluation]:
        return parse_evaluations(evaluations)

    @model_validator(mode="after")
    def _norm_fits_model_and_batch(self) -> Self:
        data, images = self.data, self._training_images()
        if data.batch_size > images:
            raise key_error("data.batch_size", f"{data.batch_size:,} is more than the {images:,} training images")
        if isinstance(self.model, UnknownModel):
            return self
        self.norm.refuse(
            Use(
                features=self.model.features(),
                spatial=self.model.spatial,
                bias=self._bias,
                batch_size=data.batch_size,
                images=images,
                valid=data.valid,
                valid_limit=data.valid_limit,
            )
        )
        self._refuse_activation()
        self._refuse_training()
        self._refuse_evaluations()
        return self

    def _refuse_activation(self) -> None:
        """Raise `key_error` where the model and the norm bring two activations, or none."""
        activation = getattr(self.model, "activation", None)
        if activation is None or isinstance(self.norm, UnknownNorm):
            return
        if self.norm.activates and activation != "none":
            raise key_error("model.activation", f"{self.norm.type} brings its own activation; use activation: none")
        if activation == "none" and not self.norm.activates:
            activating = ", ".join(name for name, options in NORMS.items() if options.activates)
            raise key_error("model.activation", f"none needs a norm that brings its own activation: {activating}")

    def _refuse_training(self) -> None:
        """Raise `key_error` where nothing would be trained, nothing would decay, or the warm-up would not end."""
        train, decays = self.train, self.train.optimizer.weight_decay_on == "hidden_weights"
        if decays and not self.model.features():
            raise key_error("train.optimizer.weight_decay_on", "there is no hidden layer with weights to decay")
        if decays and train.only != "all":
            raise key_error("train.optimizer.weight_decay_on", f"train.only: {train.only} trains no hidden weights")
        if train.only == "norm" and not isinstance(self.norm, UnknownNorm) and not self.norm.has_parameters:
            raise key_error("train.only", f"the norm {self.norm.type} has no parameters to train here")
        if train.schedule is not None and not self.smoke:  # a smoke run has one epoch
            train.schedule.refuse(train.epochs, self.data.batches()[0])

    def _refuse_evaluations(self) -> None:
        """Raise `key_error` where the norm cannot be evaluated as asked."""
        can = self.norm.evaluations
        for name in map(label, self.evaluations):
            if can is not None and not isinstance(self.norm, UnknownNorm) and name.partition("=")[0] not in can:
                only = f"can only be evaluated by {', '.join(can)}" if can else "can only be evaluated as it is"
                raise key_error("evaluations", f"{name}: with its options, the norm {self.norm.type} {only}")

    def _training_images(self) -> int:
        """The number of training images. Raises `key_error` where a limit asks for more images than there are."""
        data = self.data
        held_out = data.valid or 0
        training, validation = data.images()
        if training <= 0:
            every = f"{training + held_out:,} training images"
            raise key_error("data.valid", f"must be less than the {every}; got {held_out:,}")
        for key, limit, images in (
            ("train_limit", data.train_limit, training),
            ("valid_limit", data.valid_limit, validation),
        ):
            if limit is not None and limit > images:
                left = f"that data.valid = {held_out:,} leaves" if key == "train_limit" else "that data.valid takes"
                of = left if held_out else f"of {data.dataset}"
                raise key_error(f"data.{key}", f"{limit:,} is more than the {images:,} images {of}")
        return data.train_limit or training

    @classmethod
    def of_run(cls, config: Any) -> Self:
        """The config of a run on disk. A norm or a model that is not registered is kept as plain data.

        Raises pydantic's ValidationError.
        """
        return cls.model_validate(config, context=READING)

    @property
    def known(self) -> bool:
        """Whether its norm and its model are registered. The digest cannot be computed otherwise."""
        return not isinstance(self.norm, UnknownNorm) and not isinstance(self.model, UnknownModel)

    @property
    def _bias(self) -> bool | Literal["auto"]:
        """The model's `bias` option; a model without this option has biases."""
        bias: bool | Literal["auto"] = getattr(self.model, "bias", True)
        return bias

    @property
    def hidden_bias(self) -> bool:
        """Whether hidden layers have a bias."""
        if self._bias != "auto":
            return self._bias
        return not self.norm.makes_bias_useless

    @property
    def seed(self) -> int:
        """The seed of a config that has exactly one (see `one_per_seed`)."""
        (seed,) = self.seeds
        return seed

    def one_per_seed(self) -> Iterator["Config"]:
        """One config for each seed, in order."""
        for seed in self.seeds:
            yield self.model_copy(update={"seeds": [seed]})

    @property
    def averages(self) -> tuple[float, ...]:
        """The momenta of the moving averages that training keeps for `evaluations`."""
        return () if self.norm.evaluations is None else momenta(self.evaluations)

    def arm(self) -> dict[str, Any]:
        """The settings that make two runs the same arm: all except name, seeds, evaluations and the fallback."""
        exclude: dict[str, Any] = {"name": True, "seeds": True, "evaluations": True, "data": {"fallback"}}
        return self.model_dump(mode="json", exclude=exclude, context=EVERY_KEY)

    def digest_of_any_length(self) -> str:
        """The digest of the arm with one epoch. Runs that share it differ at most in their number of epochs."""
        return self.model_copy(update={"train": self.train.model_copy(update={"epochs": 1})}).digest()

    def digest(self) -> str:
        """The SHA-256, in hexadecimal, of the arm's settings that differ from their defaults, as canonical JSON.

        Defaults are left out so that a key that is added later does not change the digests of existing runs.
        """
        data = self.data.model_copy(update={"fallback": DataConfig().fallback})
        arm = self.model_copy(update={"data": data})
        settings = arm.model_dump(mode="json", exclude={"name", "seeds", "evaluations"}, exclude_defaults=True)
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def parse_seeds(seeds: Any) -> list[int]:
    """`3`, `[0, 2, 5]`, `"0..9"` or `"0..4,7"` → the list of seeds. Raises ValueError with a message for users."""
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
        raise ValueError(f"{text[:MAX_NAME]!r} is not a seed or a range of seeds; write 3, 0..9 or 0,2,5")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f"the range {text} is empty; write the lower seed first")
    if last - first >= MAX_SEEDS:
        raise ValueError(f"the range {text} has more than {MAX_SEEDS:,} seeds")
    return range(first, last + 1)
