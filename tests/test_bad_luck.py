"""Bad luck: planted links, disks that cannot be written, networks larger than the memory, signals while it starts."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bnbench.config.load import load_config
from bnbench.files import write_atomic
from bnbench.launch import memory
from bnbench.runs.format import CHECKPOINT, FILES, read_run
from bnbench.runs.lock import held_by, hold
from tests.handmade import edit, make_run


@pytest.fixture
def finished(tiny, tmp_path):
    """A complete run of the tiny config."""
    return make_run(tmp_path / "results", "tiny", 0, [0.5, 0.6], config=load_config(tiny).model_dump(mode="json"))


def test_a_linked_file_is_replaced_and_what_it_points_to_stays(bnbench, tiny, tmp_path, finished):
    edit(finished, status="interrupted")
    outside = tmp_path / "outside"
    outside.mkdir()
    names = [*FILES, CHECKPOINT, ".lock", f".metrics.csv.{os.getpid()}.tmp"]
    for name in names:
        there = finished / name
        (outside / name).write_bytes(there.read_bytes() if there.exists() else b"not of bnbench")
        there.unlink(missing_ok=True)
        there.symlink_to(outside / name)
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    assert bnbench("run", tiny, "--dry-run").exit_code == 0
    result = bnbench("run", tiny)
    assert result.exit_code == 0, result.stderr
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before
    assert not [path.name for path in finished.iterdir() if path.is_symlink()]
    assert read_run(finished).status == "complete"


@pytest.mark.parametrize("options", [[], ["--force"], ["--dry-run"]])
@pytest.mark.parametrize("linked", ["tiny", "tiny/seed-0"])
def test_a_linked_folder_is_refused(bnbench, tiny, tmp_path, linked, options):
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "results" / linked
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    result = bnbench("run", tiny, *options)
    assert result.exit_code == 3 and f"results/{linked} is a link, and bnbench writes nothing outside" in result.stderr
    assert not list(outside.iterdir())


def test_the_results_folder_itself_may_be_a_link(bnbench, tiny, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    assert bnbench("run", tiny).exit_code == 0
    assert read_run(tmp_path / "disk/tiny/seed-0").status == "complete"


def test_a_linked_lock_holds_nobody_and_is_not_written_through(tmp_path):
    (tmp_path / "outside").write_text("whole")
    (tmp_path / ".lock").symlink_to(tmp_path / "outside")
    assert held_by(tmp_path) is None and (tmp_path / ".lock").is_symlink()
    with hold(tmp_path, "a test"):
        assert held_by(tmp_path) is not None
    assert (tmp_path / "outside").read_text() == "whole"


def test_a_temporary_file_of_a_dead_process_with_this_number_is_replaced(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "run"
    outside.write_text("whole")
    folder.mkdir()
    for plant in (Path.touch, lambda path: path.symlink_to(outside)):
        plant(folder / f".f.{os.getpid()}.tmp")
        write_atomic(folder / "f", b"new")
        assert [path.name for path in folder.iterdir()] == ["f"] and (folder / "f").read_bytes() == b"new"
    assert outside.read_text() == "whole"


def test_complete_runs_on_a_disk_that_cannot_be_written_need_nothing(bnbench, tiny, finished, monkeypatch):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    result = bnbench("run", tiny)
    assert result.exit_code == 0 and "already complete" in result.stdout, result.stderr
    assert json.loads((finished / "run.json").read_text())["status"] == "complete"
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 3 and "results cannot be written: Read-only file system" in result.stderr


LARGE = ["--set", f"model.hidden={[10_000] * 100}"]


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_network_larger_than_the_memory_is_refused_with_the_figure(bnbench, tiny, tmp_path, monkeypatch, options):
    monkeypatch.setattr(memory, "total_bytes", lambda: 16_000_000_000)
    result = bnbench("run", tiny, *LARGE, "--name", "large", *options)
    assert result.exit_code == 2, result.stderr
    assert result.stderr == (
        "bnbench: large: model: the network needs at least 79.4 GB, and this machine has 16.0 GB;"
        " use fewer or narrower layers, or smaller batches\n"
    )
    assert not (tmp_path / "results").exists()
    monkeypatch.setattr(memory, "total_bytes", lambda: None)  # the system does not tell
    assert bnbench("run", tiny, *LARGE, "--name", "large", "--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("overrides", "copies"),
    [
        ([], 2),
        (["train.optimizer={type: sgd, lr: 0.1, momentum: 0.9}"], 3),
        (["train.optimizer={type: adam}"], 4),
        (["dtype=float64"], 4),
    ],
)
def test_the_least_memory_that_training_needs(tiny, overrides, copies):
    config = load_config(tiny, ["model.hidden=[100, 200, 300]", "data.batch_size=2", *overrides])
    values = 2 * 600 * (2 if config.dtype == "float64" else 1)
    assert memory.least_bytes(config) == 4 * (copies * (100 * 200 + 200 * 300) + values)


def test_the_least_memory_of_a_cnn_counts_the_images_of_a_batch(tiny):
    model = "{type: cnn, channels: [3, 5]}"
    config = load_config(tiny, [f"model={model}", "data.batch_size=7"])
    # A network of these layers has the values: 3 of 28 x 28, and 5 of 10 x 10.
    assert memory.least_bytes(config) == 4 * (2 * 3 * 5 * 25 + 7 * (3 * 28 * 28 + 5 * 10 * 10))
    large = load_config(tiny, ["model={type: cnn, channels: [1024, 1024]}", "data={dataset: mnist, batch_size: 60000}"])
    assert memory.least_bytes(large) > 200e9


def test_a_container_has_the_memory_of_its_limit(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "LIMITS", (limit, tmp_path / "missing"))
    machine = memory.total_bytes()
    limit.write_text("max\n")
    assert memory.total_bytes() == machine > 1_000_000
    limit.write_text("1000000\n")
    assert memory.total_bytes() == 1_000_000


def test_smoke_shrinks_a_large_batch_and_says_so(bnbench, tiny, tmp_path):
    result = bnbench("run", tiny, "--smoke", "--set", "data.batch_size=1000", "--name", "b", "--dry-run")
    assert result.exit_code == 0
    assert "b,smoke: --smoke trains on 512 images, so a batch has 512, whatever the config asks for" in result.stderr
    assert load_config(tiny, ["data.batch_size=1000"], smoke=True).data.batch_size == 512
    assert "--smoke trains on" not in bnbench("run", tiny, "--smoke", "--dry-run").stderr


@pytest.mark.parametrize("module", ["bnbench.cli.run", "bnbench.config.experiment"], ids=["the commands", "the config"])
def test_a_signal_during_the_imports_says_so(tiny, module):
    """The process signals itself when it imports the module. Both are imported without torch."""
    code = f"""
import os, signal, sys

class Kill:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Kill())
sys.argv = ["bnbench", "run", {str(tiny)!r}, "--dry-run"]
from bnbench.cli import app
app()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (result.returncode, result.stderr) == (143, "bnbench: stopped by SIGTERM\n")
