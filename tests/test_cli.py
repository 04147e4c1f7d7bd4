"""The command line: spelling, exit codes, help with examples, one clear sentence for every mistake."""

import subprocess
import sys

import pytest

from bnbench import __version__, errors
from bnbench.cli import app
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
    assert errors.ConfigError.exit_code == 2
    assert errors.RunError.exit_code == errors.ResultsError.exit_code == errors.BnbenchError.exit_code == 3
    assert errors.DataError.exit_code == errors.DataMissing.exit_code == 4


def test_debug_shows_the_traceback(tmp_path):
    command = [sys.executable, "-m", "bnbench", "--debug", "run", str(tmp_path / "no.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in result.stderr and "ConfigError" in result.stderr


def test_control_characters_are_shown_and_never_sent():
    assert clean("a\x1b[2Jb\x9bc\u202ed\re") == "a\\x1b[2Jb\\x9bc\\u202ed\\re"
    assert clean("μ ± σ → [red]x[/nope]\n") == "μ ± σ → [red]x[/nope]\n"


def test_a_hostile_path_is_printed_inert(bnbench):
    result = bnbench("run", "evil\x1b[31m[red]x[/nope].yaml")
    assert result.exit_code == 2
    assert result.stderr == "bnbench: evil\\x1b[31m[red]x[/nope].yaml: no such file\n"


def test_every_command_is_documented():
    assert {command.name or command.callback.__name__ for command in app.registered_commands} == {"run", "compare"}
