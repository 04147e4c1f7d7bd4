"""The live display of many runs, and what `bnbench run` prints about them."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import make_config, make_run
from rich.console import Console

from bnbench.config.experiment import Config
from bnbench.config.naming import what_varies
from bnbench.launch import progress
from bnbench.launch.plan import Planned
from bnbench.launch.results import arm_line
from bnbench.runs.format import EpochRow, read_run
from bnbench.training.events import Notice, Started


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["mlp_bn"], ["mlp_bn"]),
        (["mlp_none,train.optimizer.lr=0.1", "mlp_batch,train.optimizer.lr=1"], ["none lr=0.1", "batch lr=1"]),
        (["mlp_bn", "mlp_bn_builtin"], ["bn", "bn_builtin"]),  # none is empty
        (["a,k.x=1,k.y=2", "a,k.x=1,k.y=3"], ["y=2", "y=3"]),
        (["a", "a,k.y=3"], ["a", "y=3"]),
        (["a,k.x=1,b.x=2", "a,k.x=2,b.x=1"], ["k.x=1 b.x=2", "k.x=2 b.x=1"]),
        (["a,2-keys-00000000", "a,2-keys-11111111"], ["2-keys-00000000", "2-keys-11111111"]),
        (["a,smoke", "b,smoke"], ["a", "b"]),
    ],
)
def test_rows_are_named_by_what_varies(names, labels):
    assert list(what_varies(names).values()) == labels


def runs(*names, epochs=2):
    configs = [
        Config.model_validate({**make_config(), "name": name, "seeds": [seed], "train": {
            "epochs": epochs, "optimizer": {"type": "sgd", "lr": 0.1}}}) for name in names for seed in range(2)
    ]  # fmt: skip
    return [Planned(config, Path("r"), None) for config in configs]


@pytest.fixture
def shown(monkeypatch):
    """A Progress on a terminal of a width, and its screen as lines."""

    def make(width, terminal=True, **options):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=width, height=20, color_system=None)
        console.soft_wrap = not terminal
        monkeypatch.setattr(progress, "stderr", lambda: console)
        live = progress.Progress(**options)

        def screen():
            with console.capture() as captured:
                for part in live._bars.get_renderables():
                    console.print(part)
            return [line.rstrip() for line in captured.get().splitlines()]

        return live, screen, console.file

    return make


def row(epoch, accuracy):
    return EpochRow(epoch, 0.5, 0.9, 0.5, accuracy, 1.0, 0.1)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_display_starts_at_once_and_collapses_what_has_ended(shown, width):
    live, screen, _ = shown(width)
    live.starting(4, 2)
    assert screen()[0] == "4 runs: starting 2 workers"
    live.begin(runs("mlp_none,train.optimizer.lr=0.1", "mlp_batch,train.optimizer.lr=0.1"), set())
    for number in range(3):
        live.event(number, Started(0))
        live.event(number, row(1, 0.5))
        live.event(number, row(2, 0.9 + number / 100))
    live.end(0, "complete", None)
    live.end(1, "diverged", None)
    lines = screen()
    assert max(map(len, lines)) <= width
    said = ["2 of 4 runs done, 1 diverged", "best so far 90.00 %, none seed 0"]
    assert lines[: 1 if width > 70 else 2] == (["; ".join(said)] if width > 70 else said)
    (running,) = [line for line in lines if "batch seed 0" in line]
    assert "2/2" in running and "92.00 %" in running and ("loss 0.5000" in running) is (width >= 80)
    assert sum("seed" in line for line in lines) == 2 and sum("all epochs" in line for line in lines) == 1


def test_piped_it_prints_a_line_at_once_and_a_line_an_epoch(shown):
    live, _, out = shown(80, terminal=False)
    live.starting(4, 2)
    live.begin(runs("a"), set())
    live.event(0, Started(0))
    live.event(0, row(1, 0.5))
    first, second = out.getvalue().splitlines()
    assert first == "starting 2 workers" and second.startswith("a seed 0  epoch 1/2  train loss 0.5")


def test_quiet_shows_errors_only(shown):
    live, _, out = shown(80, quiet=True)
    live.starting(4, 2)
    live.begin(runs("a"), set())
    live.event(0, Started(1))
    live.event(0, Notice("slow"))
    live.event(0, row(2, 0.5))
    assert out.getvalue() == ""
    live.end(0, "failed", "no memory")
    assert out.getvalue() == "a seed 0 failed: no memory\n"
    live, _, out = shown(80, quiet=True, notices=True)  # as in the Python API
    live.begin(runs("a"), set())
    live.event(0, Notice("slow"))
    assert out.getvalue() == "a seed 0: slow\n"


def test_an_arm_in_one_line(tmp_path):
    first, second, third = (read_run(make_run(tmp_path, "a", seed, [0.5, 0.9 + seed / 50])) for seed in range(3))
    assert arm_line([first, second, third]) == f"{tmp_path / 'a'}, 3 seeds: valid accuracy 92.00 % (90.00 to 94.00)"
    off = replace(third, status="diverged")
    assert arm_line([first, off]) == f"{tmp_path / 'a'}, 2 seeds: valid accuracy 90.00 %, 1 diverged"
    assert arm_line([off]) == f"{tmp_path / 'a'}, 1 seed: 1 diverged"


# Machine output


def objects(result):
    return [json.loads(line, parse_constant=pytest.fail) for line in result.stdout.splitlines()]


def test_json_has_an_object_a_run_and_a_summary_last(bnbench, tiny, tmp_path):
    bnbench("run", tiny, "--seeds", "0")
    result = bnbench("run", tiny, "--seeds", "0..1", "--format", "json")
    *found, summary = objects(result)
    assert [(one["type"], one["name"], one["seed"], one["status"]) for one in found] == [
        ("run", "tiny", 0, "complete"),
        ("run", "tiny", 1, "complete"),
    ]
    assert [one["trained"] for one in found] == [False, True]
    run = read_run(tmp_path / "results/tiny/seed-1")
    assert found[1]["final"]["valid_accuracy"] == run.rows[-1].valid_accuracy and found[1]["digest"] == run.digest
    assert summary == {
        "schema_version": 1, "type": "summary", "runs": 2, "complete": 2, "diverged": 0, "failed": 0, "held": 0,
        "not_ended": 0, "trained": 1, "exit_code": 0, "error": None, "compare": "bnbench compare results",
    }  # fmt: skip
    assert "epoch 1/2" in result.stderr and "{" not in result.stderr


def test_json_tells_of_failures_and_its_exit_code(bnbench, tiny, tmp_path):
    make_run(tmp_path / "results", "tiny", 1, [0.5, 0.5])  # another config
    result = bnbench("run", tiny, "--seeds", "0..1", "--format", "json", "--quiet")
    (summary,) = objects(result)
    assert result.exit_code == summary["exit_code"] == 3 and summary["not_ended"] == 2
    assert "tiny/seed-1" in summary["error"] and summary["compare"] is None


def test_a_dry_run_as_json(bnbench, tiny):
    bnbench("run", tiny, "--seeds", "0")
    result = bnbench("run", tiny, "--seeds", "0..1", "--dry-run", "--format", "json", "--quiet")
    first, second, summary = objects(result)
    assert (first["action"], first["epochs_done"], second["action"], second["epochs_done"]) == ("skip", 2, "start", 0)
    assert (summary["runs"], summary["skip"], summary["start"], result.stderr) == (2, 1, 1, "")
