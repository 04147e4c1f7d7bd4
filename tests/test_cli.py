"""The command line: spelling, exit codes, help with examples, one clear sentence for every mistake."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import REPOSITORY

from bnbench import __version__, errors
from bnbench.console import clean

OPTIONS = {
    "run": "--set --seeds --name --out --data-dir --no-fallback --device --threads --smoke --force --quiet",
    "compare": "--format --per-epoch",
}


@pytest.mark.parametrize("command", OPTIONS)
def test_help_names_every_option_and_has_examples(bnbench, command):
    result = bnbench(command, "--help")
    assert result.exit_code == 0
    for option in OPTIONS[command].split():
        assert option in result.stdout
    assert f"bnbench {command} " in result.stdout.partition("Examples")[2]


def test_version(bnbench):
    assert bnbench("--version").stdout == f"bnbench {__version__}\n"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from bnbench.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'pandas', 'pydantic', 'yaml', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("[]\n") and "compare" in result.stdout


def test_run_imports_no_pandas(tiny, data_folder):
    """It would cost half a second and 60 MB."""
    code = (
        "import sys; from bnbench.cli import app\n"
        f"try: app(['run', {str(tiny)!r}, '--out', {str(tiny.parent / 'r')!r}])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('pandas', 'scipy', 'torchvision', 'mlxtend') if m in sys.modules])"
    )
    environment = {**os.environ, "BNBENCH_DATA": str(data_folder)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.endswith("[]\n") and "valid accuracy" in result.stdout


def test_a_wrong_config_is_refused_without_torch(tmp_path):
    code = (
        "import sys; from bnbench.cli import app\n"
        f"try: app(['run', {str(tmp_path / 'no.yaml')!r}])\n"
        "except SystemExit as stop: print(stop.code, 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "2 False\n"
    assert result.stderr == f"bnbench: {tmp_path / 'no.yaml'}: no such file\n"


@pytest.mark.parametrize(
    "content",
    [None, "", "[", "a: 1\n", b"\xff", "model: {type: mlp}\ntrain: {epochs: 0, optimizer: {type: sgd, lr: 1}}\n"],
)
def test_a_bad_config_is_exit_2_and_writes_nothing(bnbench, tmp_path, content):
    path = tmp_path / "c.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = bnbench("run", path)
    assert result.exit_code == 2 and result.stdout == ""
    assert str(path) in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "results").exists()


def test_a_folder_is_no_config(bnbench, tmp_path):
    assert bnbench("run", tmp_path).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["run"],
        ["run", "x.yaml", "--nope"],
        ["compare", "r", "--format", "xml"],
        ["run", "x", "--threads", "a"],
        [],
    ],
)
def test_wrong_usage_is_exit_2(bnbench, arguments):
    result = bnbench(*arguments)
    assert result.exit_code == 2 and "Traceback" not in result.output


def test_the_exit_codes_are_the_documented_ones():
    documented = set(re.findall(r"^\| ([\d, ]+) \|", (REPOSITORY / "docs/cli.md").read_text(), flags=re.M))
    assert documented == {"0", "1", "2", "3", "4", "141", "129, 130, 143"}
    assert errors.CheckFailed.exit_code == 1
    assert errors.ConfigError.exit_code == 2
    assert errors.RunError.exit_code == errors.ResultsError.exit_code == errors.BnbenchError.exit_code == 3
    assert errors.DataError.exit_code == errors.DataMissing.exit_code == 4


def test_debug_shows_the_traceback(tmp_path):
    command = [sys.executable, "-m", "bnbench", "--debug", "run", str(tmp_path / "no.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in result.stderr and "ConfigError" in result.stderr
    assert result.returncode == 2  # and changes no exit code


def test_ctrl_c_while_torch_is_imported(tiny):
    """At any moment of the start, one line and 130."""
    # A shell's background jobs ignore SIGINT, and what they start would too.
    heeding = [
        sys.executable,
        "-c",
        "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(*eval(sys.argv[1]))",
    ]
    command = [sys.executable, "-m", "bnbench", "run", str(tiny), "--quiet", "--set", "train.epochs=10000"]
    for moment in (1.0, 1.5, 2.5):
        start = [*heeding, repr((sys.executable, command))]
        with subprocess.Popen(
            start, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=tiny.parent
        ) as process:
            time.sleep(moment)
            process.send_signal(signal.SIGINT)
            try:
                _, stderr = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 130, stderr
        assert stderr.startswith("bnbench: stopped by Ctrl-C") and stderr.count("\n") == 1


def test_control_characters_are_shown_and_never_sent():
    assert clean("a\x1b[2Jb\x9bc\u202ed\re") == "a\\x1b[2Jb\\x9bc\\u202ed\\re"
    assert clean("μ ± σ → [red]x[/nope]\n") == "μ ± σ → [red]x[/nope]\n"


def test_a_hostile_path_is_printed_inert(bnbench):
    result = bnbench("run", "evil\x1b[31m[red]x[/nope].yaml")
    assert result.exit_code == 2
    assert result.stderr == "bnbench: evil\\x1b[31m[red]x[/nope].yaml: no such file\n"


def test_live_bars_are_drawn_on_a_terminal_and_data_stays_clean(tiny, tmp_path, data_folder):
    """stderr is a terminal, stdout is not: bars there, one plain line a run here."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "bnbench", "run", str(tiny), "--out", str(tmp_path / "r"), "--seeds", "0..1"]
    environment = {**os.environ, "BNBENCH_DATA": str(data_folder), "TERM": "xterm", "COLUMNS": "100"}
    environment.pop("_TYPER_FORCE_DISABLE_TERMINAL")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=child, text=True, env=environment) as process:
        os.close(child)
        drawn = b""
        with contextlib.suppress(OSError):  # the terminal is gone when the process is
            while piece := os.read(parent, 65_536):
                drawn += piece
        stdout = process.stdout.read()
    os.close(parent)
    assert process.returncode == 0
    assert "━".encode() in drawn and b"tiny seed 1" in drawn and b"epoch 1/2" not in drawn
    assert b"2 runs: starting" in drawn and b"1 of 2 runs done; best so far " in drawn
    assert stdout.count("\n") == 2 and "\x1b" not in stdout and "━" not in stdout


@pytest.mark.parametrize("command", ["--version > /dev/full", "compare --help > /dev/full", "compare --help >&-"])
def test_help_that_cannot_be_written_is_said(command):
    command = f"{sys.executable} -m bnbench {command}"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.returncode == 3 and "the output cannot be written" in result.stderr
    assert result.stderr.count("\n") == 1


def test_output_that_cannot_be_written_is_said(tiny):
    command = f"{sys.executable} -m bnbench run {tiny} > /dev/full"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, cwd=tiny.parent)
    assert result.returncode == 3 and "the output cannot be written" in result.stderr
    assert "Traceback" not in result.stderr


def test_quiet_prints_errors_only(bnbench, tiny):
    result = bnbench("run", tiny, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    result = bnbench("run", tiny, "--quiet", "--set", "data.batch_size=199")
    assert (result.exit_code, result.output) == (0, "")  # no warning of the tiny last batch
    result = bnbench("run", tiny, "--quiet", "--name", "a", "--set", "norm.momentun=1")
    assert result.exit_code == 2 and result.stdout == "" and "did you mean momentum?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("run tiny.yaml --epochs 3", "--epochs: no such option; write --set train.epochs=3"),
        ("run tiny.yaml --lr=0.1", "--lr: no such option; write --set train.optimizer.lr=0.1"),
        ("run tiny.yaml --moving-momentum 0.1", "--moving-momentum: no such option; write --set norm.momentum=0.9"),
        ("run tiny.yaml --norm layer", "--norm: no such option; write --set norm.type=layer"),
        ("run tiny.yaml --batch-size", "--batch-size: no such option; write --set data.batch_size=VALUE"),
        ("run tiny.yaml --seed 3", "--seed: no such option; write --seeds 3"),
        ("run tiny.yaml --qiet", "--qiet: no such option; did you mean --quiet?"),
        ("compare r --zzzzz", "--zzzzz: no such option; root compare --help lists them"),
        ("run tiny.yaml --seeds 0 1 2", "--seeds 0 1 2: the seeds are one word; write --seeds 0,1,2"),
        ("run tiny.yaml --jobs 0", "--jobs 0: must be greater than or equal to 1"),
        ("run tiny.yaml --set epochs=3", "--set epochs=3: epochs: unknown key; did you mean train.epochs?"),
        ("compare r --same 0.3%", "--same 0.3%: write 0.3"),
        ("compare r --target 97%", "--target 97%: write 0.97"),
        ("plan a.yaml b.yaml --power 80%", "--power 80%: write 0.8"),
        ("check n.py --against rms_norm", "--against rms_norm: must be one of batch, layer, group, instance, rms"
         "; did you mean rms?"),
        ("report r --at", "Option '--at' requires an argument."),
    ],
)  # fmt: skip
def test_a_slip_ends_in_one_sentence_with_the_next_step(bnbench, tiny, arguments, sentence):
    result = bnbench(*arguments.split())
    assert result.exit_code == 2
    assert result.stderr.split("\n")[-2].startswith((f"bnbench: {sentence}", f"Error: {sentence}")), result.stderr
