"""Splits and batches: each epoch has every image once, in an order that depends only on (seed, epoch)."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bnbench.config.data import DataConfig
from bnbench.data.splits import Pixels, batches, chunks, load_splits, normalize, normalized
from bnbench.randomness import generator

CPU = torch.device("cpu")


def order(seed, epoch, n=1_000, batch_size=64):
    return torch.cat(list(batches(n, batch_size, seed, epoch, CPU)))


@given(st.integers(1, 500), st.integers(1, 600))
def test_chunks_cover_everything_once(n, size):
    slices = list(chunks(n, size))
    assert [i for s in slices for i in range(n)[s]] == list(range(n))
    assert all(s.stop - s.start <= size + 1 for s in slices)
    if n > 1 and size > 1:
        assert all(s.stop - s.start >= 2 for s in slices)


def test_the_tutorials_batches():
    sizes = [len(batch) for batch in batches(60_000, 64, 0, 1, CPU)]
    assert sizes == [64] * 937 + [32]
    assert [len(batch) for batch in batches(129, 64, 0, 1, CPU)] == [64, 65]  # a single image joins the last batch


def test_every_image_once_in_another_order_each_epoch_and_seed():
    assert torch.equal(order(0, 1).sort().values, torch.arange(1_000))
    assert torch.equal(order(0, 1), order(0, 1))
    assert not torch.equal(order(0, 1), order(0, 2))
    assert not torch.equal(order(0, 1), order(1, 1))


def test_the_batch_order_is_pinned():
    """Other streams would change every published number."""
    assert order(0, 1, n=10, batch_size=10).tolist() == [2, 4, 5, 7, 8, 6, 9, 1, 3, 0]
    assert generator(0, "batches", 1).initial_seed() == 11786263793880695720


def test_streams_are_independent():
    seeds = {
        generator(seed, *stream).initial_seed()
        for seed in range(3)
        for stream in [("weights", 0), ("weights", 1), ("norm", 0), ("batches", 0), ("batches", 1)]
    }
    assert len(seeds) == 15
    assert generator(1, "weights", 23).initial_seed() != generator(12, "weights", 3).initial_seed()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pixels_go_from_minus_one_to_one(dtype):
    images = torch.arange(256, dtype=torch.uint8).repeat(4)[: 28 * 28].view(1, 28, 28)
    split = normalized(images, torch.tensor([3], dtype=torch.uint8), dtype)
    assert split.images.shape == (1, 1, 28, 28) and split.images.dtype == dtype
    assert split.images.min() == -1 and split.images.max() == 1
    expected = (images.to(dtype) / 255 - 0.5) / 0.5
    assert torch.equal(split.images[:, 0], expected)
    assert split.labels.tolist() == [3] and split.labels.dtype == torch.int64


def test_limits_take_the_first_images(mnist5k):
    splits = load_splits(normalize(mnist5k, Pixels()), DataConfig(train_limit=30, valid_limit=20, batch_size=10), CPU)
    assert len(splits.train) == 30 and len(splits.valid) == 20
    assert splits.train.labels.tolist() == list(range(10)) * 3
    assert torch.equal(splits.train.labels, mnist5k.train_labels[:30].long())
    assert splits.test is splits.valid and splits.held_out == 0  # without data.valid, as in the tutorial


def test_held_out_are_the_last_training_images_and_the_test_images_stay_apart(mnist5k):
    splits = load_splits(normalize(mnist5k, Pixels()), DataConfig(valid=500, train_limit=3_400, valid_limit=100), CPU)
    assert splits.held_out == 500
    assert torch.equal(splits.train.labels, mnist5k.train_labels[:3_400].long())
    assert torch.equal(splits.valid.labels, mnist5k.train_labels[3_500:3_600].long())
    assert torch.equal(splits.test.labels, mnist5k.test_labels.long())
    whole = load_splits(normalize(mnist5k, Pixels()), DataConfig(valid=500), CPU)
    assert [len(split) for split in (whole.train, whole.valid, whole.test)] == [3_500, 500, 1_000]
    assert not {image.numpy().tobytes() for image in whole.valid.images} & {
        image.numpy().tobytes() for image in whole.train.images
    }
