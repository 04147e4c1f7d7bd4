"""What the README says is so: its commands parse, its numbers are the tracked runs', its tree is the source's."""

import re
import shlex
import statistics

import pytest
import typer.main
from conftest import REPOSITORY

import bnbench
from bnbench.cli import app
from bnbench.results import read_run

README = (REPOSITORY / "README.md").read_text()
REFERENCE = REPOSITORY / "results" / "reference"
COMMANDS = sorted(
    {
        match[0]
        for text in (README, (REPOSITORY / "results/README.md").read_text(), (REPOSITORY / "CHANGELOG.md").read_text())
        for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text, flags=re.M | re.S)
        for match in re.finditer(r"\bbnbench (?:run|compare|data) [^#\n]*", block)
    }
)
# The table of the tutorial's experiments: the config's column, and "mean ± sd".
ROWS = re.findall(r"^\| `([^`]+)` \|.*\| (\d\d\.\d\d ± \d\.\d\d) \|$", README, flags=re.M)


def test_there_are_two_set_up_commands_and_ci_runs_them():
    lines = [line for line in README.split("\n") if line.startswith("pip install")]
    assert lines == ["pip install -e . && bnbench run configs/mlp_bn.yaml", "pip install -e '.[dev]' && pytest"]
    assert "grep '^pip install' README.md" in (REPOSITORY / ".ci/run").read_text()


def test_there_are_commands_and_rows_to_check():
    assert len(COMMANDS) >= 8 and len(ROWS) == 8


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_parse_and_name_real_files(command):
    group = typer.main.get_command(app)
    words = [word for word in shlex.split(command)[1:] if word != "..."]
    while hasattr(group, "commands"):
        group = group.commands[words.pop(0)]
    context = group.make_context("bnbench", list(words))
    for path in context.params.get("configs") or []:
        assert list(REPOSITORY.glob(str(path))) or path.name == "wrong.yaml", path


@pytest.mark.parametrize(("config", "shown"), ROWS)
def test_its_numbers_are_those_of_the_tracked_runs(config, shown):
    folder = REFERENCE / config.replace(" --set ", ",")
    finals = [read_run(path).rows[-1].valid_accuracy for path in folder.iterdir()]
    assert len(finals) == 10
    assert shown == f"{100 * statistics.mean(finals):.2f} ± {100 * statistics.stdev(finals):.2f}"


def test_its_tree_is_the_source():
    tree = README.partition("## The source")[2]
    source = REPOSITORY / "bnbench"
    named = set(re.findall(r"^  ([a-z_/]+\.py)  ", tree, flags=re.M))
    there = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    assert named == there - {"__init__.py", "__main__.py", "norms/__init__.py"}


def test_the_changelog_gives_every_dependency_a_reason():
    from importlib.metadata import requires

    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    for requirement in requires("bnbench"):
        if "extra == 'dev'" not in requirement.replace('"', "'"):
            assert re.match(r"[a-z0-9]+", requirement.lower())[0] in changelog


def test_the_version_is_the_changelogs():
    assert "## Unreleased" in (REPOSITORY / "CHANGELOG.md").read_text() and bnbench.__version__ == "0.1.0"
