"""The `data` part of a config: the images and their batches. No torch here; data/splits.py makes the batches."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bnbench.config.base import Strict, key_error, later, one_of
from bnbench.config.catalog import DATASETS

TINY = 4  # a last batch is tiny if the others have more than this many times its images


class DataConfig(Strict):
    """The dataset, how much of it to use, and the batch size. A limit keeps the first images of a split.

    `valid` holds out that many of the last training images for validation; the test images are then read
    once, after the last epoch. Without it, runs validate on the test images, as the tutorial does.
    """

    dataset: Annotated[str, one_of(DATASETS)] = "mnist"
    batch_size: int = Field(64, ge=1)
    valid: int | None = Field(None, ge=1)
    train_limit: int | None = Field(None, ge=1)
    valid_limit: int | None = Field(None, ge=1)
    fallback: Literal["mnist5k", "error"] = "mnist5k"
    scale: Literal["symmetric", "unit", "centred", "standardized"] = later(
        "symmetric", description="The range of the pixels. See [Pixels](#pixels)."
    )
    binarize: bool = later(False, description="Make each pixel black or white before it is scaled; from 128 on, white.")
    order: Literal["shuffled", "by_class"] = later(
        "shuffled", description="The order of the training images. `by_class`: class after class, each class shuffled."
    )
    drop_last: bool = later(
        False,
        description="Leave a last batch out if it has fewer images than the others. Each epoch leaves out others.",
    )
    test: bool = later(
        True, description="Read the test images after the last epoch. `false` needs `valid`. See [Tuning](tuning.md)."
    )

    @model_validator(mode="after")
    def _unread_test_images_need_others(self) -> Self:
        if not self.test and self.valid is None:
            raise key_error("test", "false needs held-out images to validate on; add data.valid")
        return self

    def images(self) -> tuple[int, int]:
        """The numbers of training and validation images, before the limits."""
        row, held_out = DATASETS[self.dataset], self.valid or 0
        return row.train_images - held_out, held_out or row.test_images

    def batches(self) -> tuple[int, int]:
        """The number of batches of an epoch, and the images of the last one; see `chunks` in data/splits.py."""
        images, size = self.train_limit or self.images()[0], self.batch_size
        whole, left = divmod(images, size)
        if left == 0 or self.drop_last:
            return whole, size
        return (whole, size + 1) if left == 1 and whole else (whole + 1, left)

    def tiny_last_batch(self) -> str | None:
        """A sentence for the user if the last batch of an epoch is tiny: it weighs as much as a whole batch."""
        batches, last = self.batches()
        if last * TINY >= self.batch_size or batches == 1:
            return None
        return (
            f"the last of {batches:,} batches of an epoch has {last:,} images, the others have {self.batch_size:,}."
            " It moves the weights as far as the others and makes the results worse."
            " Use data.drop_last: true or another data.batch_size"
        )
