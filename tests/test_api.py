"""The Python API: its examples run, it says what the commands say, and it imports no more than it needs."""

import doctest
import io
import subprocess
import sys

import pandas as pd
import pytest

import bnbench as package
from bnbench import api
from tests.conftest import REPOSITORY
from tests.handmade import make_config, make_run


def test_the_examples_run(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    failed, tried = doctest.testmod(api)
    assert failed == 0 and tried >= 12


def test_all_names_are_there_and_no_other():
    assert set(api.__all__) < set(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="'bnbench' has no attribute 'trian'"):
        _ = package.trian


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import bnbench", {"torch", "pydantic", "rich", "pandas", "scipy"}),
        ("import bnbench; bnbench.load_config('configs/mlp_bn.yaml')", {"torch", "torchvision", "pandas"}),
        ("import bnbench; bnbench.compare('results/reference').to_frame()", {"torch", "torchvision", "matplotlib"}),
    ],
)
def test_nothing_is_imported_before_it_is_needed(code, absent):
    code += "; import sys; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert not absent & set(out.stdout.split())


def test_runs_train_and_are_read_back(tiny, tmp_path):
    configs = package.load_config(tiny, set=["train.epochs=1"], seeds=[3, 1])
    runs = package.run(configs, out=tmp_path / "r", data_dir=None)
    assert [(run.seed, run.status, len(run.rows)) for run in runs] == [(3, "complete", 1), (1, "complete", 1)]
    times = [(run.path / "run.json").stat().st_mtime_ns for run in runs]
    again = package.run(configs, out=tmp_path / "r")
    assert again == runs and times == [(run.path / "run.json").stat().st_mtime_ns for run in again]
    frame = package.read_runs(tmp_path / "r").to_frame()
    assert list(frame["seed"]) == [1, 3] and list(frame["valid_accuracy"]) == [
        runs[1].rows[0].valid_accuracy,
        runs[0].rows[0].valid_accuracy,
    ]


def test_a_failed_run_is_the_error_of_the_command(tiny, tmp_path, monkeypatch):
    from bnbench.training import experiment

    def fail(*_):
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(experiment, "build_optimizer", fail)
    with pytest.raises(package.RunError, match="1 of 1 runs failed:\n  tiny seed 0: not enough memory") as failure:
        package.run(package.load_config(tiny), out=tmp_path / "r")
    assert failure.value.exit_code == 3


def test_a_comparison_prints_and_saves_what_the_command_does(bnbench, tmp_path):
    for seed in range(3):
        make_run(tmp_path / "r", "plain", seed, [0.5, 0.9 + seed / 100], config=make_config())
        make_run(tmp_path / "r", "bn", seed, [0.6, 0.92 + seed / 90], config=make_config("batch"))
    comparison = package.compare(package.read_runs(tmp_path / "r"))
    result = bnbench("compare", "r")
    assert str(comparison).split() == result.stdout.split()
    texts = bnbench("compare", "r", "--format", "csv").stdout, comparison.to_frame().to_csv(index=False)
    saved, frame = (pd.read_csv(io.StringIO(text), dtype={"dataset_sha256": str}) for text in texts)
    pd.testing.assert_frame_equal(frame, saved, check_dtype=False)
    assert package.compare([tmp_path / "r"]).to_frame().equals(comparison.to_frame())


@pytest.mark.parametrize(
    ("misuse", "kind", "message"),
    [
        (lambda: package.load_config("no.yaml"), "ConfigError", "no.yaml: no such file"),
        (lambda: package.load_config({"model": 1}), "ConfigError", "takes the path of a YAML file, not a dict"),
        (lambda: package.load_config("a.yaml", set="a=1"), "ConfigError", r"takes a list, as in set=\['a=1'\]"),
        (lambda: package.load_config("a.yaml", set={"a": object()}), "ConfigError", "cannot be written as YAML"),
        (lambda: package.run("a.yaml"), "ConfigError", r"from load_config\(\), not a str"),
        (lambda: package.run([]), "ConfigError", r"from load_config\(\), not a list"),
        (lambda: package.run(None), "ConfigError", r"from load_config\(\), not a NoneType"),
        (lambda: package.read_runs(), "ResultsError", r"read_runs\(\) takes paths"),
        (lambda: package.read_runs(3), "ResultsError", "takes paths, not a int"),
        (lambda: package.read_runs("nowhere"), "ResultsError", "nowhere: no such folder; "),
        (lambda: package.compare("nowhere"), "ResultsError", "nowhere: no such folder"),
        (lambda: package.compare("nowhere", metric="loss"), "ConfigError", "must be one of train_loss, train_accuracy"),
        (lambda: package.compare("nowhere", at=0), "ConfigError", "must be 'final', 'best' or an epoch"),
    ],
)
def test_misuse_is_one_sentence(tmp_path, monkeypatch, misuse, kind, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(getattr(package, kind), match=message) as error:
        misuse()
    assert isinstance(error.value, package.BnbenchError)
