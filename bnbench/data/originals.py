"""The four original files of a dataset: where they are in a data folder, whose they are, and what is in them.

Tools put the same files into different folders, packed or unpacked. The MD5 of a file says whose it is, so every
place is as good as `<class>/raw`, where torchvision puts them. Other forms of a dataset are named and not read.
"""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnbench.config.catalog import DATASETS
from bnbench.errors import DataError

if TYPE_CHECKING:  # torch is slow to import
    from torch import Tensor

# Of every dataset that torchvision reads as it reads MNIST. The published ones are packed: their names end with .gz.
ORIGINALS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# What Keras, old versions of torchvision, and Hugging Face make of a dataset; {} is its name.
OTHER_FORMS = ("{}.npz", "training.pt", "processed/training.pt", "train-00000-of-00001.parquet")


@dataclass(frozen=True)
class Found:
    """What a data folder has of a dataset."""

    paths: tuple[Path | None, ...]  # in the order of ORIGINALS; their MD5s are verified
    unusable: tuple[str, ...]  # clauses on files that seem to be the dataset's and cannot be used

    def complete(self) -> bool:
        """Whether all originals are there."""
        return None not in self.paths


@dataclass(frozen=True)
class _File:
    """A file with the name of an original."""

    number: int  # of the original
    path: Path
    owner: str | None  # the dataset whose original this is, by the MD5
    can_be_known: bool  # whether the MD5 of this form is published


def source(name: str) -> Any:
    """torchvision's class for a dataset, which has `mirrors` and `resources`: the files' names and MD5s."""
    import torchvision.datasets

    return getattr(torchvision.datasets, DATASETS[name].torchvision or "")


def home(name: str, folder: Path) -> Path:
    """Where the originals of `name` belong, if the data folder is `folder`; which may be that place itself."""
    title = DATASETS[name].torchvision or ""
    if _is_home(title, folder):
        return folder if folder.absolute().name == "raw" else folder / "raw"
    return folder / title / "raw"


def find(name: str, folder: Path) -> Found:
    """Look for the originals of `name` in `folder` and in the places below it where tools put them.

    Raises DataError where a file is damaged or another dataset's, in a folder that is this dataset's by its name
    or by another file, and where such a folder cannot be read.
    """
    title = DATASETS[name].torchvision or ""
    paths: list[Path | None] = [None] * len(ORIGINALS)
    unusable: list[str] = []
    for place in _places(title, folder):
        if None not in paths:
            break
        try:
            there = _names(place)  # at once: a data folder may have many folders
            files = _originals_in(name, place, there)
            unusable += [f"{path} is in a form that bnbench does not read" for path in _other_forms(name, place, there)]
        except OSError as error:
            if _is_home(title, place):
                raise DataError(f"{error.filename or place} cannot be read: {error.strerror}") from None
            continue
        if not files:
            continue
        ours = [file for file in files if file.owner == name]
        unknown = [file for file in files if file.owner is None and not file.can_be_known]
        wrong = [file for file in files if file.owner != name and file not in unknown]
        if wrong and (ours or _is_home(title, place)):
            raise _refusal(name, folder, place, wrong)
        if unknown:
            unusable.append(f"the files in {place} are unpacked, and that form has no published MD5s")
        for owner in dict.fromkeys(file.owner for file in wrong):
            whose = f"{DATASETS[owner].title}'s" if owner else "not the published ones"
            unusable.append(f"the files in {place} are {whose}")
        for file in ours:
            paths[file.number] = paths[file.number] or file.path
    return Found(tuple(paths), tuple(dict.fromkeys(unusable)))


def tensor(contents: bytes) -> "Tensor":
    """The uint8 tensor of an original, packed or not: two zero bytes, 8, the number of sizes, the sizes, the values."""
    import torch

    if contents.startswith(b"\x1f\x8b"):
        contents = gzip.decompress(contents)
    sizes = [int.from_bytes(contents[start : start + 4]) for start in range(4, 4 + 4 * contents[3], 4)]
    values = torch.frombuffer(bytearray(contents), dtype=torch.uint8, offset=4 + 4 * len(sizes))
    return values.view(sizes).clone()


def _is_home(title: str, place: Path) -> bool:
    """Whether a folder is a dataset's by its name: `<class>` or `<class>/raw`."""
    place = place.absolute()
    return place.name == title or (place.name == "raw" and place.parent.name == title)


def _places(title: str, folder: Path) -> Iterator[Path]:
    """The folders that may have the originals: where they belong, then one level up or down, then in any folder."""
    yield from (folder / title / "raw", folder, folder / "raw", folder / title)
    yield from (folder / title / "raw" / title / "raw", folder / title / title / "raw")
    try:
        inner = sorted(path for path in folder.iterdir() if path.name != title and path.is_dir())
    except OSError:
        return
    for path in inner:
        yield from (path, path / "raw", path / title, path / title / "raw")


def _names(place: Path) -> set[str]:
    """What is in a folder; nothing where it is none. Raises OSError where it cannot be read."""
    try:
        return {path.name for path in place.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _originals_in(name: str, place: Path, there: set[str]) -> list[_File]:
    """The files in `place` that have the name of an original; `there` has all names in it. Raises OSError.

    A packed file comes before an unpacked one. Some tools write a dot for the second hyphen.
    """
    files = []
    for number, original in enumerate(ORIGINALS):
        dotted = original.replace("-idx", ".idx")
        for spelling in (f"{original}.gz", f"{dotted}.gz", original, dotted):
            path = place / spelling if spelling in there else None
            if path is None or not path.exists():
                continue
            if path.is_file() or spelling.endswith(".gz"):  # some tools put the unpacked file into a folder of its name
                can_be_known = spelling.endswith(".gz") or bool(DATASETS[name].unpacked)
                files.append(_File(number, path, _owner(name, number, path), can_be_known))
                break
    return files


def _owner(name: str, number: int, path: Path) -> str | None:
    """The dataset whose original number `number` this file is; `name` comes first. None: of no dataset."""
    if not path.is_file():  # to read a pipe would never end
        return None
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    datasets = [name, *(other for other, row in DATASETS.items() if row.torchvision and other != name)]
    return next((dataset for dataset in datasets if md5 in _md5s(dataset)[number]), None)


def _md5s(name: str) -> list[tuple[str, str]]:
    """The MD5s of each original, packed and unpacked. Where the second is not known, it is the first."""
    published = dict(source(name).resources)
    packed = [published[f"{original}.gz"] for original in ORIGINALS]
    return list(zip(packed, DATASETS[name].unpacked or packed, strict=True))


def _refusal(name: str, folder: Path, place: Path, wrong: list[_File]) -> DataError:
    first = wrong[0]
    if first.owner is not None:
        files = ", ".join(file.path.name for file in wrong if file.owner == first.owner)
        return DataError(
            f"{place}: these are {DATASETS[first.owner].title}'s, not {DATASETS[name].title}'s: {files}."
            f" Move them to {home(first.owner, folder)}, then run: bnbench data fetch {name}"
        )
    packed, unpacked = _md5s(name)[first.number]
    md5 = packed if first.path.suffix == ".gz" else unpacked
    return DataError(f"{first.path} is damaged: its MD5 is not {md5}. Delete it, then run: bnbench data fetch {name}")


def _other_forms(name: str, place: Path, there: set[str]) -> list[Path]:
    forms = [form.format(name) for form in OTHER_FORMS]
    return [place / form for form in forms if form.split("/")[0] in there and (place / form).is_file()]
