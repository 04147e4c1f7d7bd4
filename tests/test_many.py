"""Many runs in one command: grids, seeds, dry runs, worker processes, and one writer for each run."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from bnbench.config.experiment import Config
from bnbench.config.load import load_config, load_configs
from bnbench.errors import ConfigError
from bnbench.launch import execute as executor
from bnbench.launch.plan import Planned
from bnbench.launch.run_one import Outcome
from bnbench.launch.session import Session
from bnbench.runs import kept
from bnbench.runs.format import read_run
from bnbench.runs.lock import Held, held_by, hold
from bnbench.training import experiment
from bnbench.training.events import Started

SAME = ("config.yaml", "metrics.csv", "mistakes.csv", "model.pt")
FILES = ["config.yaml", "continue.pt", "metrics.csv", "mistakes.csv", "model.pt", "run.json", "timing.csv"]


def same(a, b):
    return [name for name in SAME if (a / name).read_bytes() != (b / name).read_bytes()]


# Grids


def with_grid(tiny, grid):
    tiny.write_text(tiny.read_text() + f"grid: {grid}\n")
    return tiny


def test_a_grid_is_every_combination_by_the_names_that_set_would_give(tiny):
    plain = tiny.with_name("plain.yaml")
    plain.write_text(tiny.read_text())
    arms = load_configs([with_grid(tiny, "{train.optimizer.lr: [0.1, 1e-2], norm.momentum: [0.1, null]}")])
    assert [arm.name for arm in arms] == [
        "tiny,norm.momentum=0.1,train.optimizer.lr=0.1",
        "tiny,norm.momentum=null,train.optimizer.lr=0.1",
        "tiny,norm.momentum=0.1,train.optimizer.lr=0.01",
        "tiny,norm.momentum=null,train.optimizer.lr=0.01",
    ]
    by_set = load_config(plain, ["train.optimizer.lr=0.01", "norm.momentum=null"])
    assert arms[3] == by_set


def test_a_grid_of_whole_mappings(tiny):
    arms = load_configs([with_grid(tiny, "{norm: [{type: none}, {type: layer}], model.hidden: [[8], [8, 8]]}")])
    assert len(arms) == 4 and {arm.norm.type for arm in arms} == {"none", "layer"}
    assert arms[0].name == "tiny,model.hidden=8,norm=type-none"


def test_an_option_beats_the_grid(tiny):
    grid = "{train.optimizer.lr: [0.1, 0.5], norm.momentum: [0.1, 0.9]}"
    arms = load_configs([with_grid(tiny, grid)], ["train.optimizer.lr=0.3"])
    assert [arm.train.optimizer.lr for arm in arms] == [0.3, 0.3] and len({arm.name for arm in arms}) == 2
    (arm,) = load_configs([tiny], ["train.optimizer.lr=0.3", "norm={type: none}"])
    assert arm.norm.type == "none"
    arms = load_configs([tiny], ["grid={norm.eps: [0.1, 0.2, 0.3]}"])
    assert [arm.norm.eps for arm in arms] == [0.1, 0.2, 0.3]


def test_a_grid_under_another_name(tiny):
    arms = load_configs([with_grid(tiny, "{norm.eps: [0.1, 0.2]}")], name="other", seeds="0..2")
    assert [arm.name for arm in arms] == ["other,norm.eps=0.1", "other,norm.eps=0.2"]
    assert all(arm.seeds == [0, 1, 2] for arm in arms)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("{train.optimizer.lr: [0.1, -1]}", "tiny.yaml:7: grid: train.optimizer.lr: must be greater than 0; got -1"),
        ("{norm.momentun: [0.1]}", "tiny.yaml:7: grid: norm.momentun: unknown key; did you mean momentum?"),
        ("{norm.eps: 0.1}", "grid: 'norm.eps': must be a list of values, as in [0.1, 0.5]; got 0.1"),
        ("{norm.eps: []}", "must be a list of values"),
        ("{norm.eps: [0.1, 0.1]}", "grid: 'norm.eps': names a value twice"),
        ("{seeds: [1, 2]}", "cannot vary in a grid; name them by seeds: 0..9"),
        ("{name: [a, b]}", "cannot vary in a grid"),
        ("{Norm.eps: [1]}", "is not a dotted key"),
        ("{1: [1]}", "is not a dotted key"),
        ("[1, 2]", "must map dotted keys to lists"),
        ("7", "must map dotted keys to lists"),
    ],
)
def test_a_wrong_grid_is_refused_at_its_line(bnbench, tiny, tmp_path, grid, message):
    result = bnbench("run", with_grid(tiny, grid))
    assert result.exit_code == 2 and message in result.stderr, result.stderr
    assert not (tmp_path / "results").exists()


def test_a_command_has_a_bounded_number_of_runs(tiny):
    values = ", ".join(map(str, range(1, 60)))
    with pytest.raises(ConfigError, match=r"makes [0-9,]+ arms; at most 100,000"):
        axes = ", ".join(f"{key}: [{values}]" for key in ("model.hidden", "data.batch_size", "train.epochs"))
        load_configs([with_grid(tiny, f"{{{axes.replace('model.hidden', 'data.train_limit')}}}")], ["norm.eps=0.1"])
    with pytest.raises(ConfigError, match="200,000 runs; at most 100,000"):
        many = ", ".join(str(n / 100) for n in range(1, 21))
        load_configs([tiny], [f"grid={{norm.eps: [{many}]}}"], seeds="0..9999")


def test_show_asks_for_one_arm_of_a_grid(bnbench, tiny):
    result = bnbench("show", with_grid(tiny, "{norm.eps: [0.1, 0.2]}"))
    assert result.exit_code == 2 and "makes 2 arms; choose one by --set, as in tiny,norm.eps=0.1" in result.stderr
    assert bnbench("show", tiny, "--set", "norm.eps=0.1").exit_code == 0


def test_a_grid_is_run_and_compared(bnbench, tiny, tmp_path):
    result = bnbench("run", with_grid(tiny, "{train.optimizer.lr: [0.05, 0.1]}"), "--seeds", "0..1")
    assert result.exit_code == 0 and result.stdout.count("valid accuracy") == 4
    assert "grid" not in (tmp_path / "results/tiny,train.optimizer.lr=0.05/seed-1/config.yaml").read_text()
    assert bnbench("compare", "results", "--format", "csv").stdout.count("\n") == 3


# Dry runs


def test_a_dry_run_lists_and_writes_nothing(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--seeds", "0")
    bnbench("run", tiny, "--seeds", "1")
    folder = tmp_path / "results/tiny/seed-1"
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "status": "interrupted"}))
    config, first = load_config(tiny, ["seeds=1"]), read_run(folder).rows[:1]
    (folder / "checkpoint").write_bytes(kept.pack(kept.origin(config, "of mnist5k"), first, b"as if"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with hold(tmp_path / "results/tiny/seed-3", "process 1 on another since noon"):
        result = bnbench("run", tiny, "--seeds", "0..3", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == (
        "tiny seed 0: already complete\n"
        "tiny seed 1: resumes after epoch 1 of 2\n"
        "tiny seed 2: trains 2 epochs\n"
        "tiny seed 3: is being trained by process 1 on another since noon\n"
    )
    assert "4 runs: 1 complete, 1 to resume, 2 to start" in result.stderr
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if "seed-3" not in str(path)}
    assert {path: time for path, time in after.items() if path in before and path.is_file()} == {
        path: time for path, time in before.items() if path.is_file()
    }


def test_a_dry_run_of_a_place_that_is_taken_and_of_data_that_is_not_here(bnbench, tiny, tmp_path):
    result = bnbench("run", tiny, "--set", "data.dataset=mnist", "--name", "m", "--dry-run")
    assert result.exit_code == 0 and "m seed 0: trains 2 epochs" in result.stdout
    assert "mnist is not in " in result.stderr and "mnist5k" in result.stderr
    assert not (tmp_path / "results").exists()
    bnbench("run", tiny)
    result = bnbench("run", tiny, "--set", "norm.eps=0.1", "--name", "tiny", "--dry-run")
    assert result.exit_code == 3 and "holds a run of another config (norm.eps is 1e-05 there" in result.stderr


# Worker processes


def test_jobs_give_the_same_bytes_and_leave_no_process(bnbench, tiny, tmp_path):
    assert bnbench("run", tiny, "--seeds", "0..3", "--out", "one", "--jobs", "1").exit_code == 0
    result = bnbench("run", tiny, "--seeds", "0..3", "--out", "two", "--jobs", "2")
    assert result.exit_code == 0, result.stderr
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [f"tiny seed {seed}" for seed in range(4)]
    for seed in range(4):
        a, b = (tmp_path / out / "tiny" / f"seed-{seed}" for out in ("one", "two"))
        assert same(a, b) == [] and sorted(path.name for path in b.iterdir()) == FILES
    for seed in range(4):
        for epoch in (1, 2):
            assert f"tiny seed {seed}  epoch {epoch}/2" in result.stderr
    assert workers_of(os.getpid()) == []


@contextmanager
def command(tiny, tmp_path, data_folder, *options, epochs=10_000):
    """A command in its own process. It handles SIGINT and SIGHUP, even if the tests' shell or nohup ignores them."""
    arguments = [sys.executable, "-m", "bnbench", "run", str(tiny), "--out", str(tmp_path / "r"), "--name", "long"]
    arguments += ["--set", f"train.epochs={epochs}", *options]
    heed = "import os, signal, sys; [signal.signal(s, signal.SIG_DFL) for s in (1, 2)]"
    heed += "; os.execv(sys.executable, sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", heed, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BNBENCH_DATA": str(data_folder)},
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:  # a failed test must not wait for the command
            process.kill()
            raise


def wait_for_epochs(process, labels):
    """Read the command's stderr until each of the runs has finished its third epoch."""
    labels = set(labels)
    for line in process.stderr:
        labels -= {label for label in labels if line.startswith(f"{label}  epoch 3/")}
        if not labels:
            return
    raise AssertionError("it ended before")


def workers_of(pid):
    pattern = "bnbench.launch.processes"
    found = subprocess.run(["pgrep", "-P", str(pid), "-f", pattern], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def mapped_by(pid):
    """The nameless files that a process maps: device and inode of each."""
    lines = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if line.endswith("(deleted)")]
    return {(line[3], line[4]) for line in lines}


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def until_none(happens, things, seconds=30):
    """Wait until `happens` is true of none of the things: the kernel ends a process when a busy machine lets it."""
    deadline = time.monotonic() + seconds
    while any(map(happens, things)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [thing for thing in things if happens(thing)]


@pytest.mark.parametrize(
    ("number", "send", "code", "name"),
    [
        (signal.SIGINT, os.killpg, 130, "Ctrl-C"),
        (signal.SIGTERM, os.kill, 143, "SIGTERM"),
        pytest.param(signal.SIGHUP, os.killpg, 129, "SIGHUP", marks=pytest.mark.slow),
    ],
    ids=["Ctrl-C", "SIGTERM", "a closed terminal"],
)
def test_workers_map_the_images_and_end_by_a_signal(tiny, tmp_path, data_folder, number, send, code, name):
    """A terminal sends a signal to the whole process group; `kill` sends it only to the parent."""
    with command(tiny, tmp_path, data_folder, "--seeds", "0..2", "--jobs", "2") as process:
        wait_for_epochs(process, {"long seed 0", "long seed 1"})
        workers = workers_of(process.pid)
        one, other = map(mapped_by, workers)
        assert len(one) == 1 and one == other  # the images, in memory once
        send(process.pid, number)
        _, stderr = process.communicate(timeout=30)  # a busy machine; benchmarks/many_runs.py measures the two seconds
    assert process.returncode == code
    until_none(alive, workers)
    last = stderr.splitlines()[-1]
    assert last.startswith(f"bnbench: stopped by {name}. 0 of 3 runs are complete; saved: long seed 0 after epoch ")
    assert "long seed 1 after epoch" in last and last.endswith("Run the same command again to finish the rest")
    assert "Traceback" not in stderr and "Warning" not in stderr
    for seed in (0, 1):
        assert read_run(tmp_path / f"r/long/seed-{seed}").status == "interrupted"
    assert not list((tmp_path / "r").rglob(".lock"))


def test_workers_end_when_their_parent_is_killed_and_the_same_command_resumes(tiny, tmp_path, data_folder):
    with command(tiny, tmp_path, data_folder, "--seeds", "0..1", "--jobs", "2") as process:
        wait_for_epochs(process, {"long seed 0", "long seed 1"})
        workers = workers_of(process.pid)
        process.kill()
        process.wait()
        until_none(alive, workers)
    until_none(held_by, [tmp_path / f"r/long/seed-{seed}" for seed in (0, 1)])  # a zombie's threads may end later
    with command(tiny, tmp_path, data_folder, "--seeds", "0..1", "--jobs", "2") as process:
        lines = iter(process.stderr)
        assert next(lines) == "starting 2 workers\n" and "resumes after epoch" in next(lines)
        process.kill()


def test_nothing_stays_in_memory_when_the_whole_group_is_killed(tiny, tmp_path, data_folder):
    """SIGKILL leaves nobody to clean up: the file of the images has no name from the start."""
    before = {*Path("/dev/shm").iterdir(), *Path(tempfile.gettempdir()).iterdir()}
    with command(tiny, tmp_path, data_folder, "--seeds", "0..1", "--jobs", "2") as process:
        wait_for_epochs(process, {"long seed 0", "long seed 1"})
        workers = workers_of(process.pid)
        assert all(map(mapped_by, workers))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    until_none(alive, workers)
    after = {*Path("/dev/shm").iterdir(), *Path(tempfile.gettempdir()).iterdir()}
    assert not [path for path in after - before if path.owner() == Path(tmp_path).owner() and "bnbench" in path.name]
    assert not [path for path in after - before if path.parent == Path("/dev/shm")]


def test_workers_that_have_no_run_yet_end_with_their_parent_too(tiny, tmp_path, data_folder):
    """The workers are still importing torch. Without this, they would then wait for work."""
    with command(tiny, tmp_path, data_folder, "--seeds", "0..1", "--jobs", "2") as process:
        while len(workers := workers_of(process.pid)) < 2:
            time.sleep(0.05)
        process.kill()
    until_none(alive, workers)


def test_a_dead_worker_fails_only_its_run(tiny, tmp_path, data_folder):
    with command(tiny, tmp_path, data_folder, "--seeds", "0..3", "--jobs", "2", epochs=120) as process:
        wait_for_epochs(process, {"long seed 0", "long seed 1"})
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 3 and "Traceback" not in stderr
    assert stdout.count("valid accuracy") == 3
    assert "1 of 4 runs failed:" in stderr
    assert stderr.count("its process was killed, by hand or for want of memory; fewer --jobs need less") == 2
    assert "resumes after epoch" not in stderr  # the other run goes on undisturbed
    with command(tiny, tmp_path, data_folder, "--seeds", "0..3", "--jobs", "2", epochs=120) as process:
        stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and stdout.count("already complete") == 3


def test_a_killed_stack_resumes_in_halves(tiny, tmp_path, data_folder, bnbench):
    """A kill in the middle of a stack costs its runs at most the epoch that they were in."""
    options = ("--seeds", "0..3", "--engine", "stacked", "--stack", "2")
    with command(tiny, tmp_path, data_folder, *options, "--jobs", "2", epochs=60) as process:
        wait_for_epochs(process, {f"long seed {seed}" for seed in range(4)})
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0 and "Traceback" not in stderr and stdout.count("valid accuracy") == 4
    assert stderr.count("resumes after epoch") == 2
    bnbench(
        "run",
        tiny,
        "--seeds",
        "0..3",
        "--set",
        "train.epochs=60",
        "--name",
        "long",
        "--out",
        "alone",
        "--engine",
        "eager",
    )
    for seed in range(4):
        assert same(tmp_path / "r" / "long" / f"seed-{seed}", tmp_path / "alone" / "long" / f"seed-{seed}") == []


def test_images_that_workers_cannot_map_are_said(bnbench, tiny, monkeypatch):
    monkeypatch.setenv("BNBENCH_TMP", "/proc/nothing")
    result = bnbench("run", tiny, "--seeds", "0..1", "--jobs", "2")
    assert result.exit_code == 3
    assert "the images cannot be written where worker processes can map them (" in result.stderr
    assert "/proc/nothing" in result.stderr and "or use --jobs 1" in result.stderr


def test_default_jobs_are_the_cores_that_may_be_used(tiny, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    config = load_config(tiny)
    assert executor.default_jobs([config]) == 8
    assert executor.default_jobs([config, config.model_copy(update={"threads": 4})]) == 2
    assert executor.default_jobs([config.model_copy(update={"threads": 16})]) == 1
    assert executor.default_jobs([config, config.model_copy(update={"device": "cuda"})]) == 1


def test_fail_fast_stops_at_the_first_failure(bnbench, tiny, tmp_path, monkeypatch):
    real = experiment.build_optimizer
    calls = []

    def fail_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("broken")
        return real(*arguments)

    monkeypatch.setattr(experiment, "build_optimizer", fail_second)
    result = bnbench("run", tiny, "--seeds", "0..3", "--fail-fast")
    assert result.exit_code == 3 and len(calls) == 2
    assert result.stdout.count("valid accuracy") == 1
    assert "1 of 4 runs failed:\nbnbench:   tiny seed 1: broken\n" in result.stderr
    assert "2 of 4 runs did not finish, because --fail-fast stops at the first failure" in result.stderr
    assert bnbench("run", tiny, "--seeds", "0..3", "--fail-fast").exit_code == 0


@pytest.mark.slow
def test_fail_fast_with_workers_leaves_no_run_that_reads_as_running(tiny, tmp_path, data_folder):
    """The killed worker's run fails; the other run is stopped during training."""
    with command(tiny, tmp_path, data_folder, "--seeds", "0..3", "--jobs", "2", "--fail-fast") as process:
        wait_for_epochs(process, {"long seed 0", "long seed 1"})
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3 and "3 of 4 runs did not finish" in stderr
    folders = sorted((tmp_path / "r/long").iterdir())
    assert sorted(read_run(folder).status for folder in folders) == ["interrupted", "running"]  # one was killed
    until_none(held_by, folders)


@pytest.mark.slow
def test_force_trains_again_where_a_worker_has_died(tiny, tmp_path, data_folder):
    options = ("--seeds", "0..2", "--jobs", "2", "--force")
    with command(tiny, tmp_path, data_folder, *options, epochs=120) as process:
        wait_for_epochs(process, {"long seed 0", "long seed 1"})
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 3 and "1 of 3 runs failed" in stderr
    with command(tiny, tmp_path, data_folder, *options, epochs=120) as process:
        stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and stdout.count("valid accuracy") == 3 and "already" not in stdout


def test_a_reader_that_goes_away_is_no_fault_of_the_workers(tiny, tmp_path, data_folder):
    """`bnbench run ... 2>&1 | head -2`"""
    with command(tiny, tmp_path, data_folder, "--seeds", "0..5", "--jobs", "2", epochs=20) as process:
        for _ in range(2):
            process.stderr.readline()
        process.stderr.close()
        process.stdout.close()
        assert process.wait(60) == 141
    assert not [path for path in (tmp_path / "r").rglob("run.json") if read_run(path.parent).status == "failed"]


@pytest.mark.parametrize(
    ("jobs", "stream", "code"),
    [
        ("2", "2>/dev/full", 3),
        ("1", "2>&- >&-", 3),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("1", "2>/dev/full", 3), ("2", "2>&- >&-", 3))),
        *(pytest.param(jobs, "2>&-", 0, marks=pytest.mark.slow) for jobs in ("1", "2")),
    ],
)
def test_output_that_cannot_be_written_fails_no_run(tiny, tmp_path, data_folder, jobs, stream, code):
    command = f"{sys.executable} -m bnbench run {tiny} --seeds 0..1 --jobs {jobs} --out {tmp_path / 'r'} {stream}"
    environment = {**os.environ, "BNBENCH_DATA": str(data_folder)}
    result = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == code and "Traceback" not in result.stderr
    statuses = [read_run(path.parent).status for path in (tmp_path / "r").rglob("run.json")]
    assert "complete" in statuses and "failed" not in statuses


def test_a_run_that_is_gone_again_when_it_is_to_be_printed_is_named(bnbench, tiny, tmp_path, monkeypatch):
    """Another command has replaced or removed it while this command trained the next run."""
    import shutil

    real = executor.attempt

    def vanish(jobs, data, report):
        yield from real(jobs, data, report)
        if jobs[0].config.seed == 1:
            shutil.rmtree(tmp_path / "results/tiny/seed-0")

    monkeypatch.setattr(executor, "attempt", vanish)
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 3 and "tiny seed 1: valid accuracy" in result.stdout
    assert "tiny seed 0: results/tiny/seed-0/run.json: is missing" in result.stderr


def test_events_after_an_outcome_are_ignored(tiny, data_folder):
    """On a cluster, events and outcomes arrive through two channels."""
    said = []
    progress = type("Said", (), {name: lambda *a: said.append(a[1:]) for name in ("begin", "event", "end")})()
    session = Session(progress, saves_epochs=True)
    config = load_config(tiny)
    session.begin([Planned(config, Path("x"), None)])
    session.event(0, Started(1))
    session.end(0, Outcome(config, Path("x"), "complete", trained=True))
    count = len(said)
    session.event(0, Started(2))
    assert len(said) == count and "saved" not in str(session.interrupted(2, False))


# One writer


def test_a_held_run_is_named_with_who_holds_it_and_others_are_taken(bnbench, tiny, tmp_path):
    folder = tmp_path / "results/tiny/seed-0"
    with hold(folder, "process 77 on elsewhere since noon"):
        assert held_by(folder) == "process 77 on elsewhere since noon"
        result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 3
    assert "1 of 2 runs are held by another command:" in result.stderr
    assert "results/tiny/seed-0 is being trained by process 77 on elsewhere since noon" in result.stderr
    assert "tiny seed 1: valid accuracy" in result.stdout and not list(folder.iterdir())
    assert bnbench("run", tiny, "--seeds", "0..1").exit_code == 0


def test_force_does_not_take_a_run_from_who_trains_it(bnbench, tiny, tmp_path):
    bnbench("run", tiny)
    folder = tmp_path / "results/tiny/seed-0"
    before = (folder / "run.json").read_bytes()
    with hold(folder, "process 77"):
        assert bnbench("run", tiny, "--force").exit_code == 3
    assert (folder / "run.json").read_bytes() == before


def test_a_run_that_another_command_completes_meanwhile_is_complete(bnbench, tiny, tmp_path, monkeypatch):
    """It is held at its turn and complete at the end of the command, so nothing is left to do."""
    bnbench("run", tiny, "--seeds", "0", "--out", "theirs")
    real = executor.attempt

    def someone_else(jobs, data, report):
        (job,) = jobs
        if job.config.seed == 0:
            (tmp_path / "theirs/tiny/seed-0").rename(job.folder)
            yield job.number, Outcome(job.config, job.folder, "held", trained=False, reason="held")
        else:
            yield from real(jobs, data, report)

    (tmp_path / "results/tiny").mkdir(parents=True)
    monkeypatch.setattr(executor, "attempt", someone_else)
    result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 0 and result.stdout.count("valid accuracy") == 2


def test_a_run_whose_holder_dies_meanwhile_is_taken_over(bnbench, tiny, tmp_path, monkeypatch):
    real = executor.attempt
    turns = []

    def died_since(jobs, data, report):
        (job,) = jobs
        turns.append(job.config.seed)
        if turns == [0]:
            yield job.number, Outcome(job.config, job.folder, "held", trained=False, reason="held")
        else:
            yield from real(jobs, data, report)

    monkeypatch.setattr(executor, "attempt", died_since)
    assert bnbench("run", tiny, "--seeds", "0..1").exit_code == 0
    assert turns == [0, 1, 0]


def test_a_disk_without_locks_is_said(bnbench, tiny, monkeypatch):
    """filelock's fallback is a file that stays after a kill and blocks every later run."""
    import fcntl

    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    result = bnbench("run", tiny)
    assert result.exit_code == 3
    assert "results/tiny/seed-0/.lock cannot be locked: Function not implemented. Choose another" in result.stderr


def test_a_lock_of_another_is_not_removed(tmp_path):
    """The folder vanishes and another process makes it again. The first holder must not remove the second's lock."""
    import shutil

    folder = tmp_path / "run"
    with hold(folder, "a"):
        shutil.rmtree(folder)
        second = hold(folder, "b")
        second.__enter__()
    with pytest.raises(Held, match="by b"), hold(folder, "c"):
        pass
    second.__exit__(None, None, None)
    assert not list(folder.iterdir())


def test_a_run_that_another_command_replaces_meanwhile_is_not_tidied(bnbench, tiny, tmp_path):
    """It was complete when this command looked. Then another command replaced it with --force and was killed."""
    from bnbench.launch.run_one import tidy

    bnbench("run", tiny)
    folder = tmp_path / "results/tiny/seed-0"
    about = json.loads((folder / "run.json").read_text())
    (folder / "checkpoint").write_text("of the other")
    (folder / "run.json").write_text(json.dumps({**about, "status": "running", "final": None}))
    tidy(folder, load_config(tiny))
    assert (folder / "checkpoint").exists()


def test_a_run_that_is_being_written_is_reported_as_held(bnbench, tiny, tmp_path):
    """Another command has removed some of its files. This must not stop all runs of the command."""
    bnbench("run", tiny)
    folder = tmp_path / "results/tiny/seed-0"
    (folder / "metrics.csv").unlink()
    with hold(folder, "process 77"):
        result = bnbench("run", tiny, "--seeds", "0..1")
    assert result.exit_code == 3 and "is being trained by process 77" in result.stderr
    assert "tiny seed 1: valid accuracy" in result.stdout
    assert "not a readable run" in bnbench("run", tiny).stderr


def test_a_lock_dies_with_its_process(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from bnbench.runs.lock import hold\n"
        f"with hold(Path({str(tmp_path)!r}), 'a child'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Held, match="is being trained by a child"), hold(tmp_path, "me"):
            pass
        process.kill()
    assert (tmp_path / ".lock").exists() and held_by(tmp_path) is None
    with hold(tmp_path, "me"):
        assert held_by(tmp_path) == "me"
    assert not (tmp_path / ".lock").exists()


def test_a_lock_that_is_removed_under_a_waiter_is_taken_once(tmp_path):
    """A process that opened the old file must not hold its lock while another process holds the new file's lock."""
    code = (
        "import sys, time; from pathlib import Path; from bnbench.runs.lock import Held, hold\n"
        f"folder, log = Path({str(tmp_path / 'run')!r}), Path({str(tmp_path / 'log')!r})\n"
        "for _ in range(300):\n"
        "    try:\n"
        "        with hold(folder, 'x'):\n"
        "            (folder / 'inside').touch(exist_ok=False); (folder / 'inside').unlink()\n"
        "    except Held: pass\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4


def test_configs_keep_their_digests_in_yaml(tiny):
    """An empty grid does not change a config."""
    assert (
        load_config(with_grid(tiny, "{}")).digest()
        == Config.model_validate(
            {key: value for key, value in yaml.safe_load(tiny.read_text()).items() if key != "grid"}
        ).digest()
    )
