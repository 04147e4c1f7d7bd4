"""Images that all worker processes of this machine share: an open file without a name, mapped into each.

The file has no name from the start, so nothing is left of it once the processes are gone, however they end.
"""

import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bnbench.data.splits import Normalized, Split
from bnbench.errors import RunError
from bnbench.training.experiment import Loaded

MEMORY = Path("/dev/shm")  # Linux: a file there is memory
ALIGNMENT = 64  # bytes, for vector instructions
SPARE = 2  # MEMORY is used if this many times the images fit


@dataclass(frozen=True)
class Place:
    """Where a tensor lies in the file: from byte `start`."""

    start: int
    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Shared:
    """A `Loaded` in the file with the descriptor `file`, which is valid in this process and its workers."""

    name: str
    sha256: str
    file: int
    places: tuple[Place, ...]  # images and labels, for training and test


@contextmanager
def shared(data: Loaded) -> Iterator[Shared]:
    """Write the images once, for workers that get the descriptor. Raises RunError where there is no room."""
    train, test = data.images.train, data.images.test
    tensors = (train.images, train.labels, test.images, test.labels)
    size = sum(tensor.nbytes + ALIGNMENT for tensor in tensors)
    folder = _folder(size)
    with ExitStack() as opened:
        try:
            file = opened.enter_context(tempfile.TemporaryFile(dir=folder))
            places = []
            for tensor in tensors:
                start = -(-file.tell() // ALIGNMENT) * ALIGNMENT
                file.seek(start)
                file.write(tensor.contiguous().numpy().data)
                places.append(Place(start, tuple(tensor.shape), tensor.dtype))
            file.flush()
        except OSError as error:
            raise RunError(
                f"the images cannot be written where worker processes can map them ({folder}: {error.strerror})."
                " Make room there, name another folder by BNBENCH_TMP, or use --jobs 1"
            ) from None
        yield Shared(data.name, data.sha256, file.fileno(), tuple(places))


def _folder(size: int) -> Path:
    if named := os.environ.get("BNBENCH_TMP"):
        return Path(named)
    try:
        if shutil.disk_usage(MEMORY).free >= SPARE * size:
            return MEMORY
    except OSError:
        pass
    return Path(tempfile.gettempdir())


def loaded(shared: Shared) -> Loaded:
    """In a worker: the images, mapped. They are copied only where something writes to them."""
    last = shared.places[-1]
    memory = mmap.mmap(shared.file, last.start + _bytes(last), access=mmap.ACCESS_COPY)
    images, labels, test_images, test_labels = (_tensor(memory, place) for place in shared.places)
    return Loaded(shared.name, shared.sha256, Normalized(Split(images, labels), Split(test_images, test_labels)))


def _bytes(place: Place) -> int:
    return torch.Size(place.shape).numel() * place.dtype.itemsize


def _tensor(memory: mmap.mmap, place: Place) -> Tensor:
    count = torch.Size(place.shape).numel()
    return torch.frombuffer(memory, dtype=place.dtype, count=count, offset=place.start).view(place.shape)
