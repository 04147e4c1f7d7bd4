"""Independent random streams from one integer seed.

    "weights", layer      initial weights of that linear or convolution layer
    "norm", layer         random initialization of that norm layer
    "batches", epoch      the order of the training images in that epoch

A stream depends only on the seed and its names. So arms that differ only in the norm start from the same
weights and see the same batches, bit for bit, and epoch k needs no state from epoch k-1.
"""

import hashlib

import torch


def generator(seed: int, *stream: str | int) -> torch.Generator:
    """A CPU generator for one named stream of `seed`. Streams with different names are independent."""
    name = ":".join(map(str, (seed, *stream)))
    digest = hashlib.sha256(name.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
