"""Original files are found where tools put them, and named where they cannot be used. No network."""

import gzip
import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torchvision.datasets

from bnbench.config.catalog import DATASETS
from bnbench.data import datasets, originals
from bnbench.errors import DataError, DataMissing
from tests.test_datasets import originals as handmade

NAMES = [name for name, _ in torchvision.datasets.MNIST.resources]


def md5(contents):
    return hashlib.md5(contents).hexdigest()


@pytest.fixture(autouse=True)
def files(monkeypatch):
    """files["mnist"], files["fashion_mnist"]: small originals, which take the place of the published ones."""
    made = {"mnist": handmade(), "fashion_mnist": handmade(1)}
    for name, contents in made.items():
        source = originals.source(name)
        monkeypatch.setattr(source, "resources", [(file, md5(packed)) for file, packed in contents.items()])
        unpacked = tuple(md5(gzip.decompress(packed)) for packed in contents.values())
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], unpacked=unpacked))
    return made


def put(place, contents, *, unpack=False, dotted=False, names=NAMES):
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = name.removesuffix(".gz") if unpack else name
        path = place / (file.replace("-idx", ".idx") if dotted else file)
        path.write_bytes(gzip.decompress(contents[name]) if unpack else contents[name])
    return place


@pytest.mark.parametrize(
    "place",
    [
        "MNIST/raw",
        "",
        "raw",
        "MNIST",
        "MNIST/raw/MNIST/raw",
        "MNIST/MNIST/raw",
        "gz/MNIST/raw",
        "gz/MNIST",
        "MNIST_data",
        "mnist/raw",
    ],
)
@pytest.mark.parametrize("form", ["packed", "unpacked", "dotted"])
def test_originals_are_found_where_tools_put_them(tmp_path, files, place, form):
    put(tmp_path / place, files["mnist"], unpack=form != "packed", dotted=form == "dotted")
    assert datasets.is_here("mnist", tmp_path)
    status = datasets.describe("mnist", tmp_path)
    assert status.startswith("ready: the four original files, MD5s verified")
    assert ("(in " in status) == (place != "MNIST/raw")
    assert datasets.load("mnist", tmp_path)[0].train_images.shape == (20, 28, 28)


@pytest.mark.parametrize("inside", ["MNIST/raw", "MNIST"])
def test_the_folder_of_the_files_is_a_data_folder_too(tmp_path, files, inside, monkeypatch):
    """Before, bnbench looked in MNIST/raw/MNIST/raw, and told people to put the files there."""
    raw = put(tmp_path / "gz" / "MNIST" / "raw", files["mnist"])
    datasets.load("mnist", tmp_path / "gz" / inside)
    for name in NAMES:
        (raw / name).unlink()
    (tmp_path / "gz" / inside / "mnist.pt").unlink()
    with pytest.raises(DataMissing, match=rf"put the four original files into {raw}$"):
        datasets.load("mnist", tmp_path / "gz" / inside)
    monkeypatch.chdir(raw)
    assert originals.home("mnist", Path()).absolute() == raw


def test_the_same_dataset_from_every_form(tmp_path, files):
    put(tmp_path / "a" / "MNIST" / "raw", files["mnist"])
    put(tmp_path / "b", files["mnist"], unpack=True)
    assert datasets.load("mnist", tmp_path / "a")[1] == datasets.load("mnist", tmp_path / "b")[1]


def test_packed_and_unpacked_files_and_two_places_add_up(tmp_path, files):
    put(tmp_path / "MNIST" / "raw", files["mnist"], names=NAMES[:1])
    put(tmp_path / "MNIST" / "raw", files["mnist"], names=NAMES[1:2], unpack=True)
    put(tmp_path / "old", files["mnist"], names=[NAMES[0], NAMES[2]])  # the first is in a better place, too
    found = originals.find("mnist", tmp_path)
    assert [path and path.parent.name for path in found.paths] == ["raw", "raw", "old", None]
    assert "not here (3 of 4 original files)" in datasets.describe("mnist", tmp_path)


def test_what_torchvision_leaves_beside_the_packed_files_is_not_needed(tmp_path, files):
    raw = put(tmp_path / "MNIST" / "raw", files["mnist"])
    put(raw, dict.fromkeys(NAMES, gzip.compress(b"cut off")), unpack=True)
    assert originals.find("mnist", tmp_path).paths == tuple(raw / name for name in NAMES)


@pytest.mark.parametrize("unpack", [False, True])
@pytest.mark.parametrize("place", ["MNIST/raw", "MNIST"])
def test_another_datasets_files_are_named(bnbench, tmp_path, files, place, unpack):
    raw = put(tmp_path / place, files["fashion_mnist"], unpack=unpack)
    result = bnbench("data", "fetch", "mnist", "--data-dir", tmp_path)
    assert result.exit_code == 4
    names = ", ".join(name.removesuffix(".gz") if unpack else name for name in NAMES)
    assert result.stderr == (
        f"bnbench: {raw}: these are Fashion-MNIST's, not MNIST's: {names}."
        f" Move them to {tmp_path / 'FashionMNIST' / 'raw'}, then run: bnbench data fetch mnist\n"
    )


def test_one_file_of_another_dataset_among_ours_is_named(tmp_path, files):
    put(tmp_path / "gz", files["mnist"])
    put(tmp_path / "gz", files["fashion_mnist"], names=NAMES[3:])
    with pytest.raises(DataError, match=rf"gz: these are Fashion-MNIST's, not MNIST's: {NAMES[3]}\."):
        datasets.load("mnist", tmp_path)


def test_another_datasets_files_in_a_folder_of_their_own_are_no_error(tmp_path, files):
    """Two datasets can share a data folder. If ours is missing, the message says what is there."""
    put(tmp_path / "clothes", files["fashion_mnist"])
    put(tmp_path / "MNIST" / "raw", files["mnist"], names=NAMES[1:])
    assert datasets.is_here("fashion_mnist", tmp_path) and not datasets.is_here("mnist", tmp_path)
    with pytest.raises(DataMissing, match=rf"\(the files in {tmp_path / 'clothes'} are Fashion-MNIST's\) and cannot"):
        datasets.load("mnist", tmp_path)
    put(tmp_path / "MNIST" / "raw", files["mnist"])
    datasets.load("mnist", tmp_path)


def test_the_folder_of_another_dataset_as_the_data_folder(tmp_path, files):
    raw = put(tmp_path / "FashionMNIST" / "raw", files["fashion_mnist"])
    assert f"the files in {raw} are Fashion-MNIST's" in datasets.describe("mnist", raw)


@pytest.mark.parametrize("place", ["MNIST/raw", "gz"])
def test_a_damaged_unpacked_file_is_refused_by_name(tmp_path, files, place):
    raw = put(tmp_path / place, files["mnist"], unpack=True)
    damaged = raw / NAMES[2].removesuffix(".gz")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{damaged} is damaged: its MD5 is not {DATASETS['mnist'].unpacked[2]}\."):
        datasets.is_here("mnist", tmp_path)


def test_unpacked_files_without_a_published_md5_are_not_read(tmp_path, files, monkeypatch):
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], unpacked=()))
    put(tmp_path / "MNIST" / "raw", files["mnist"], unpack=True)
    assert "unpacked, and that form has no published MD5s" in datasets.describe("mnist", tmp_path)


@pytest.mark.parametrize("form", ["mnist.npz", "keras/mnist.npz", "MNIST/processed/training.pt"])
def test_a_form_that_is_not_read_is_named(tmp_path, form):
    path = tmp_path / form
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    with pytest.raises(DataMissing, match=rf"\({path} is in a form that bnbench does not read\)"):
        datasets.load("mnist", tmp_path)


def test_a_pipe_for_an_original_does_not_hang(tmp_path, files):
    raw = put(tmp_path / "MNIST" / "raw", files["mnist"])
    (raw / NAMES[0]).unlink()
    os.mkfifo(raw / NAMES[0])
    with pytest.raises(DataError, match="is damaged"):
        datasets.load("mnist", tmp_path)


def test_the_published_md5s_are_those_of_the_unpacked_originals(monkeypatch):
    """Of each dataset four different ones; --mnist-dir checks MNIST's against the files."""
    monkeypatch.undo()
    rows = [row.unpacked for row in DATASETS.values() if row.unpacked]
    assert all(len(row) == 4 for row in rows) and len({md5 for row in rows for md5 in row}) == 4 * len(rows)


@pytest.mark.full_mnist
def test_mnists_unpacked_md5s_are_those_of_the_files(mnist_dir, monkeypatch):
    monkeypatch.undo()
    raw = mnist_dir / "MNIST" / "raw"
    assert DATASETS["mnist"].unpacked == tuple(md5(gzip.decompress((raw / name).read_bytes())) for name in NAMES)


def test_a_folder_without_originals_needs_no_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path; from bnbench.data import datasets;"
        f"print(datasets.is_here('mnist', Path({str(tmp_path)!r})), 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False False"
