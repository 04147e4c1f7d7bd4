"""`--cluster`: a real Dask scheduler and two worker processes on loopback."""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version
from threading import Event, Thread

import pytest

from bnbench.errors import RunError
from bnbench.runs.format import read_run

pytest.importorskip("distributed", reason="needs the extra: pip install 'bnbench[cluster]'")
SAME = ("config.yaml", "metrics.csv", "mistakes.csv", "model.pt")


def same(a, b):
    return [name for name in SAME if (a / name).read_bytes() != (b / name).read_bytes()]


class Cluster:
    """A scheduler and workers, each a process of its own with a working folder of its own."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.environment = {**os.environ, **settings, "BNBENCH_DATA": str(folder / "no-data-here")}
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.address = self.said("scheduler", r"Scheduler at:\s+(tcp://\S+)")
        self.workers = []

    def start(self, kind, *options):
        number = len(list(self.folder.glob(f"{kind}-*.log")))
        with (self.folder / f"{kind}-{number}.log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=self.environment,
            )

    def said(self, name, pattern):
        log = self.folder / f"{name}-0.log"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if match := re.search(pattern, log.read_text()):
                return match[1]
            time.sleep(0.1)
        raise AssertionError(log.read_text())

    def add_worker(self, *options):
        scratch = self.folder / f"scratch-{len(self.workers)}"
        arguments = [self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(scratch)]
        self.workers.append(self.start("worker", *arguments, *options))

    def run(self, *arguments, **options):
        command = [sys.executable, "-m", "bnbench", "run", *map(str, arguments), "--cluster", self.address]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def stop(self):
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def start(tmp_path):
    """Start a cluster: start(workers=2, SETTING=...); it is stopped at the end."""
    started = []

    def begin(workers, **settings):
        folder = tmp_path / "cluster"
        folder.mkdir()
        started.append(Cluster(folder, **settings))
        for _ in range(workers):
            started[0].add_worker()
        return started[0]

    yield begin
    for cluster in started:
        cluster.stop()


def wait_for(process, text):
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"it ended without {text}")


LONG = ["--seeds", "0..3", "--set", "train.epochs=60", "--name", "long"]


def test_the_same_bytes_and_a_dead_worker_costs_nothing(start, bnbench, tiny, tmp_path):
    cluster = start(workers=2)
    assert bnbench("run", tiny, *LONG, "--out", "local", "--quiet").exit_code == 0
    with cluster.run(tiny, *LONG, "--out", tmp_path / "results") as process:
        wait_for(process, "epoch 5/60")
        cluster.workers[0].kill()
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert stdout.count("valid accuracy") == 4 and "Traceback" not in stderr
    for seed in range(4):
        here, there = (tmp_path / out / "long" / f"seed-{seed}" for out in ("local", "results"))
        assert same(here, there) == [] and read_run(there).status == "complete"
        assert sorted(path.name for path in there.iterdir()) == sorted(path.name for path in here.iterdir())
    with cluster.run(tiny, *LONG, "--out", tmp_path / "results") as process:
        stdout, _ = process.communicate(timeout=60)
    assert stdout.count("already complete") == 4 and process.returncode == 0


@pytest.mark.slow
def test_a_run_that_takes_workers_with_it_fails_when_it_has_had_a_second_chance(start, tiny, tmp_path):
    """Dask gives up on all runs of a worker that dies too often; each is asked for again, alone."""
    cluster = start(workers=1, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    with cluster.run(tiny, *LONG, "--out", tmp_path / "results") as process:
        for worker in range(3):  # with others, then twice alone
            wait_for(process, "seed 0  epoch 5/60")
            cluster.workers[worker].kill()
            cluster.add_worker()
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 3 and stdout.count("valid accuracy") == 3, stderr[-1500:]
    assert "1 of 4 runs failed:" in stderr and "every worker that tried it died" in stderr
    with cluster.run(tiny, *LONG, "--out", tmp_path / "results") as process:
        stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and stdout.count("already complete") == 3


def test_a_run_stopped_here_goes_on_there_and_a_command_that_is_stopped_frees_the_workers(start, tiny, tmp_path):
    cluster = start(workers=1)
    options = ["--set", "train.epochs=10000", "--name", "long", "--out", tmp_path / "results"]
    local = [sys.executable, "-m", "bnbench", "run", *map(str, [tiny, *options])]
    with subprocess.Popen(local, stderr=subprocess.PIPE, text=True) as process:
        wait_for(process, "epoch 3/10000")
        process.kill()
    with cluster.run(tiny, *options) as process:
        assert "seed 0  resumes after epoch" in next(iter(process.stderr))
        wait_for(process, "epoch 20/10000")
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=30)
        assert process.returncode == 143
    last = stderr.splitlines()[-1]
    assert last == (
        "bnbench: stopped by SIGTERM. 0 of 1 runs are complete. Run the same command again to finish the rest;"
        " runs that the cluster had not finished start over"
    )
    assert (tmp_path / "results/long/seed-0/checkpoint").exists()  # of before; nothing of it is lost
    deadline = time.monotonic() + 60
    while (left := list(cluster.folder.rglob("bnbench-*"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left  # the worker has stopped training, too


def test_a_scheduler_that_is_not_there_or_has_no_workers(start, bnbench, tiny, tmp_path, monkeypatch):
    from bnbench.launch import scheduler

    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 1)
    result = bnbench("run", tiny, "--cluster", "tcp://127.0.0.1:9")
    assert result.exit_code == 3 and "no Dask scheduler answers at tcp://127.0.0.1:9" in result.stderr
    assert "dask worker tcp://127.0.0.1:9" in result.stderr and "Traceback" not in result.stderr
    for address in ("nonsense://x", "127.0.0.1:8786", "tls://127.0.0.1:1", "tcp://", ""):
        result = bnbench("run", tiny, "--cluster", address)
        assert result.exit_code == 2 and f"--cluster {address}: is not a scheduler's address" in result.stderr
    address = start(workers=0).address
    result = bnbench("run", tiny, "--cluster", address)
    assert result.exit_code == 3 and f"the scheduler at {address} has no workers. On each machine:" in result.stderr
    assert not list((tmp_path / "results").rglob("run.json"))


@pytest.mark.parametrize(
    ("says", "reason"),
    [(b"", r"has said nothing for 0.5 s"), (b"SSH-2.0-OpenSSH_9.6\r\n", "another program listens there")],
    ids=["silence", "ssh"],
)
def test_a_listener_that_is_no_scheduler_is_named(monkeypatch, says, reason):
    from bnbench.launch import scheduler

    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as connections:

        def accept():
            connection = connections.enter_context(server.accept()[0])
            connection.sendall(says)

        listener = Thread(target=accept, daemon=True)
        listener.start()
        address = "tcp://{}:{}".format(*server.getsockname())
        with pytest.raises(RunError, match=f"no Dask scheduler answers at {address} .*{reason}"):
            scheduler.client_of(address).__enter__()
        listener.join()
    assert not logging.root.manager.disable


def test_what_dask_does_not_answer_is_waited_for_only_so_long():
    from bnbench.launch.scheduler import Late, within

    never = Event()
    with pytest.raises(Late):
        within(0.05, never.wait)
    never.set()
    assert within(60, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 / 0)


def test_every_machine_must_have_the_same_versions():
    from bnbench.launch.scheduler import VERSIONS, same_versions

    same = {"packages": {package: version(package) for package in VERSIONS}}
    same_versions({"scheduler": same, "workers": {"tcp://a:1": same}})
    other = {"packages": {**same["packages"], "torch": "1.0"}}
    with pytest.raises(RunError, match=r"tcp://a:1 of the cluster has torch 1.0, here it is 2"):
        same_versions({"scheduler": same, "workers": {"tcp://a:1": other}})
    with pytest.raises(RunError, match="the scheduler of the cluster has bnbench not at all"):
        same_versions({"scheduler": {"packages": {}}, "workers": {}})


def test_without_dask_the_extra_is_named(bnbench, tiny, monkeypatch):
    for module in ("cluster", "scheduler"):
        monkeypatch.delitem(sys.modules, f"bnbench.launch.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = bnbench("run", tiny, "--cluster", "tcp://127.0.0.1:8786")
    assert result.exit_code == 2 and "--cluster needs Dask: pip install -e '.[cluster]'" in result.stderr


def test_a_norm_of_ones_own_travels_with_its_runs(start, tiny, tmp_path, bnbench):
    """To workers that have no file of it, and to the same bytes as here."""
    path = tmp_path / "own.py"
    path.write_text(
        "from torch import nn\n\n\nclass Half(nn.Module):\n"
        "    def __init__(self, num_features, spatial=(), *, factor: float = 0.5):\n"
        "        super().__init__()\n        self.factor = factor\n\n"
        "    def forward(self, x):\n        return x * self.factor\n"
    )
    arguments = (tiny, "--norms", path, "--set", "norm={type: half, factor: 0.25}", "--name", "mine")
    command = start(workers=1).run(*arguments, "--out", tmp_path / "there", "--quiet", cwd=tmp_path)
    _, errors = command.communicate(timeout=120)
    assert command.returncode == 0, errors
    assert bnbench("run", *arguments, "--out", tmp_path / "here").exit_code == 0
    assert not same(tmp_path / "here/mine/seed-0", tmp_path / "there/mine/seed-0")


@pytest.mark.slow
def test_complete_runs_get_evaluations_on_a_cluster_and_keep_their_files(start, bnbench, tiny, tmp_path):
    cluster = start(workers=1)
    evaluations = ("--set", "evaluations=[running, precise, {batch: 4}]")
    averages = ("--set", "evaluations=[running, precise, {batch: 4}, {momentum: 0.5}]")
    assert bnbench("run", tiny, "--quiet").exit_code == 0
    assert bnbench("run", tiny, *averages, "--out", "fresh", "--quiet").exit_code == 0
    here, fresh = (tmp_path / out / "tiny/seed-0" for out in ("results", "fresh"))
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in here.iterdir()}
    for asked in (evaluations, averages):  # the first from the weights, the second by another training
        with cluster.run(tiny, *asked, "--out", tmp_path / "results") as process:
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in here.iterdir()}
        assert after.pop("evaluations.csv") and after == before
    assert (here / "evaluations.csv").read_bytes() == (fresh / "evaluations.csv").read_bytes()
