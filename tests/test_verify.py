"""`bnbench verify`: everything passes, and what it prints is whole. That it can fail: test_verify_mutants.py."""

import json
import os
import pty
import re
import subprocess
import sys
from itertools import product

import pytest
import torch
from test_verify_mutants import MUTANTS

from bnbench.norms import NORMS
from bnbench.verify import names, processes, verify
from bnbench.verify.rows import Errors, Row

# Checks with a tolerance of their own, and why: docs/verify.md says it too.
OWN = {"gradcheck", "large mean", "tutorial's example", "Gaussian is batch", "noise as published", "start from data"}
OWN |= {"keeps a variance"}
EVERY = {"training output", "evaluation output", "gradcheck", "state_dict", "deep copy, .to()", "large mean"}
EVERY |= {"constant channels", "one image alone"}


def test_everything_passes_at_the_promised_tolerance(verified):
    assert [row for row in verified if not row.passed] == []
    for row in verified:
        promised = {"float64": 1e-10, "float32": 1e-5, "float16": 1e-3, "bfloat16": 8e-3}[row.dtype]
        assert row.tolerance == promised or row.check in OWN
        assert row.absolute >= 0 and 0 <= row.relative <= row.tolerance


@pytest.mark.slow
def test_everything_passes_in_all_of_its_steps():
    """The rest of the suite verifies fewer."""
    assert [row for row in verify(names()) if not row.passed] == []


def test_every_norm_goes_through_every_check_in_its_dtypes(verified):
    for norm in names():
        half = {(row.check, row.dtype) for row in verified if row.norm == norm and row.dtype in ("float16", "bfloat16")}
        assert half == set(product(("half precision", "under autocast"), ("float16", "bfloat16"))), norm
    for norm in set(NORMS) & set(names()):
        checks = {(row.check, row.dtype) for row in verified if row.norm == norm}
        assert {check for check, _ in checks} >= EVERY
        assert {dtype for check, dtype in checks if check == "training output"} == {"float64", "float32"}
        if "batch" in norm:
            assert {check for check, _ in checks} >= {"running statistics", "one value refused"}
    assert {row.norm for row in verified} == set(names())
    assert len({(row.norm, row.check, row.dtype) for row in verified}) == len(verified) > 350


def test_every_check_that_a_mutant_fails_passes_without_it(verified):
    checks = {(row.norm, row.check) for row in verified}
    assert {(norm, check) for *_, norm, check in MUTANTS.values()} <= checks


def test_the_errors_are_real_numbers_and_not_zeros(verified):
    """Rounding leaves its trace: a comparison of a thing with itself would be 0 everywhere."""
    for norm in names():
        training = [row for row in verified if row.norm == norm and row.check == "training output"]
        assert all(row.absolute > 0 for row in training), norm


def test_the_numbers_of_one_comparison():
    errors = Errors()
    errors.compare(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]), "a")
    assert (errors.absolute, errors.relative, errors.case) == (0.5, 0.25, "a")
    errors.compare(torch.tensor([0.1]), torch.tensor([0.0]), "zero has the scale 1")
    assert errors.relative == 0.25
    errors.compare(torch.tensor([float("nan")]), torch.tensor([1.0]), "nan")
    assert errors.relative == float("inf")
    other = Errors()
    other.compare(torch.ones(2), torch.ones(3), "b")
    assert other.relative == float("inf") and "shape (2,), expected (3,)" in other.case
    assert not Row("n", "c", "d", 0, float("nan"), 1, "").passed


def test_it_prints_a_row_a_check_and_the_worked_examples(bnbench):
    result = bnbench("verify", "batch", "rms")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"norm +check +in +absolute +relative +allowed *", lines[0])
    rows = [
        line
        for line in lines
        if re.fullmatch(r"(batch|rms) .+ b?float(64|32|16) +\S+e\S+ +\S+e\S+ +1?\de-\d\d ok", line)
    ]
    assert len(rows) == int(result.stderr.split(" checks")[0].splitlines()[-1])
    assert "-1.4142  -0.7071   0.0000   0.7071   1.4142" in result.stdout
    assert "σ² = 1.5    layer: μ = 0.5000, σ² = 1.5000" in result.stdout
    assert max(map(len, lines[: len(rows) + 2])) <= 80


def test_json_has_everything_at_full_precision(bnbench):
    result = bnbench("verify", "rms", "rms", "--format", "json")
    data = json.loads(result.stdout)
    assert data["passed"] is True and data["schema_version"] == 1
    names = [(check["norm"], check["check"], check["dtype"]) for check in data["checks"]]
    assert len(set(names)) == len(names) >= 15 and {norm for norm, *_ in names} == {"rms"}
    fields = {"norm", "check", "dtype", "absolute_error", "relative_error", "tolerance", "passed", "case"}
    assert all(check.keys() == fields for check in data["checks"])


def test_a_failed_check_is_named_and_ends_in_1(bnbench, monkeypatch):
    from bnbench.norms import layer

    def without_eps(x, weight, eps):
        return layer_rms(x, weight, 0.0)

    layer_rms = layer.rms_norm
    monkeypatch.setattr(layer, "rms_norm", without_eps)
    result = bnbench("verify", "rms")
    assert result.exit_code == 1
    assert re.search(r"^rms +training output +float64 .* FAIL$", result.stdout, flags=re.M)
    assert re.search(r"^FAIL rms, training output, float64: input \(.*, step \d+$", result.stdout, flags=re.M)
    assert re.search(r"^bnbench: \d+ of \d+ checks failed: rms training output \(float64\), ", result.stderr, re.M)
    data = json.loads(bnbench("verify", "rms", "--format", "json").stdout)
    assert data["passed"] is False and not all(check["passed"] for check in data["checks"])


def test_a_layer_that_raises_is_a_failed_check(bnbench, monkeypatch):
    from bnbench.norms import layer

    def broken(x, weight, eps):
        raise RuntimeError("no [bold]such\nthing[/bold]")

    monkeypatch.setattr(layer, "rms_norm", broken)
    result = bnbench("verify", "rms", "--format", "json")
    assert result.exit_code == 1
    cases = {check["case"] for check in json.loads(result.stdout)["checks"]}
    assert "RuntimeError: no [bold]such thing[/bold]" in cases


def test_an_unknown_norm_is_refused_with_the_choices(bnbench):
    result = bnbench("verify", "batch", "bacth", "xx")
    assert "no norm called 'xx'\n" in result.stderr
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("bnbench: there is no norm called 'bacth'; did you mean batch?\n")
    assert "bnbench: the norms are batch, layer, " in result.stderr


def test_a_norm_without_a_reference_is_named_and_not_verified(bnbench, monkeypatch):
    monkeypatch.setitem(NORMS, "mine", NORMS["rms"])
    result = bnbench("verify", "rms", "mine")
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("bnbench: mine has no reference to be held against; ")
    monkeypatch.setattr("bnbench.verify.verify", lambda chosen: iter(()))
    result = bnbench("verify")
    assert result.exit_code == 0 and "have no reference: mine\n" in result.stderr


def test_files_of_the_current_folder_stand_for_no_module(tmp_path, monkeypatch):
    """The two processes of sync_batch start in the person's folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("random.py", "bnbench.py"):
        (tmp_path / name).write_text("raise SystemExit('imported by mistake')")
    processes._run.cache_clear()
    errors = processes.two_processes(torch.float32)
    processes._run.cache_clear()
    assert errors.relative <= 1e-5, errors.case


@pytest.fixture
def ending(tmp_path, monkeypatch):
    """The outcome of two processes whose program is `body`, which knows `folder` and `rank` and imports no torch."""

    def run(body):
        fake = tmp_path / "bnbench" / "verify"
        fake.mkdir(parents=True)
        for package in (fake.parent, fake):
            (package / "__init__.py").touch()
        text = f"import os, pathlib, time\n\ndef main(folder, rank):\n    {body}\n    time.sleep(600)\n"
        (fake / "processes.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        processes._run.cache_clear()
        return processes._run()

    yield run
    processes._run.cache_clear()


@pytest.mark.parametrize("end", ["os.abort()", "time.sleep(600)"])
def test_processes_may_end_badly_after_their_results(ending, end, tmp_path):
    """gloo aborts some processes as they end ("terminate called without an active exception")."""
    torch.save({"a": {"b": torch.ones(1)}}, tmp_path / "result")
    part = "pathlib.Path(folder, rank + '.part')"
    found = ending(
        f"{part}.write_bytes(pathlib.Path({str(tmp_path / 'result')!r}).read_bytes());"
        f" {part}.rename({part}.with_suffix('.pt')); {end}"
    )
    assert found == [{"a": {"b": torch.ones(1)}}] * 2


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("os.abort()", "no results, exit code -6"),
        ("os._exit(0)", "no results, exit code 0"),
        ("raise SystemExit('no memory')", "no memory"),
    ],
)
def test_a_process_that_ends_before_its_results_is_named(ending, rank, end, why):
    assert ending(f"if rank == '{rank}': {end}") == f"a process failed: {why}"


def test_processes_that_do_not_finish_are_said(ending, monkeypatch):
    monkeypatch.setattr(processes, "TIMEOUT", 0.5)
    assert ending("pass") == "two processes did not finish in 0.5 s"


def test_a_run_of_two_processes_that_failed_is_a_failed_check(monkeypatch):
    monkeypatch.setattr(processes, "_run", lambda: "a process failed: no memory")
    errors = processes.two_processes(torch.float32)
    assert errors.relative > 1 and errors.case == "a process failed: no memory"


def test_leaving_the_thread_count_alone(bnbench):
    before = torch.get_num_threads()
    bnbench("verify", "rms")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "columns", [pytest.param(100, marks=pytest.mark.slow), 80, pytest.param(40, marks=pytest.mark.slow)]
)
def test_it_is_readable_on_a_terminal_of_any_width(columns):
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "NO_COLOR": "1"}
    environment.pop("_TYPER_FORCE_DISABLE_TERMINAL")
    command = [sys.executable, "-m", "bnbench", "verify", "weight"]
    with subprocess.Popen(command, stdout=child, stderr=subprocess.PIPE, env=environment) as process:
        os.close(child)
        text = b""
        while True:
            try:
                piece = os.read(parent, 65_536)
            except OSError:
                break
            if not piece:
                break
            text += piece
    assert process.returncode == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).splitlines()
    assert max(map(len, lines)) <= columns
    checks = [line for line in lines if re.search(r"^(weight )? *gradcheck +float64 .* ok *$", line)]
    assert len(checks) == 1 and "…" not in text.decode()
