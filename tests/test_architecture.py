"""The arrows between modules: two halves that meet on disk, and no torch in the reading half."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

import bnbench

SOURCE = Path(bnbench.__file__).parent
READING = {
    "errors",
    "config",
    "normconfig",
    "schema",
    "configfile",
    "problems",
    "strict_yaml",
    "events",
    "lock",
    "plan",
    "stopping",
    "files",
    "results",
    "writer",
    "inference",
    "arms",
    "find",
    "baselines",
    "compare",
    "columns",
    "summary",
    "epochs",
    "gate",
    "tables",
    "diff",
    "show",
    "plots",
    "report",
    "console",
    "progress",
    "provenance",
}
HEAVY = {"torch", "torchvision", "mlxtend"}
COMMANDS = {path.stem for path in (SOURCE / "cli").glob("*.py")} - {"__init__"}
FAMILIES = {path.stem for path in (SOURCE / "norms").glob("*.py")} - {"__init__"}
VERIFY = {path.stem for path in (SOURCE / "verify").glob("*.py")} - {"__init__"}
# What each module may import of bnbench at its top; cli (and executor, of its last two) imports inside its functions.
ARROWS = {
    "__init__": set(),
    "__main__": {"cli"},
    "errors": set(),
    "files": {"errors"},
    "randomness": set(),
    "strict_yaml": set(),
    "console": set(),
    "schema": set(),
    "normconfig": {"schema"},
    "config": {"normconfig", "schema"},
    "problems": {"config"},
    "configfile": {"strict_yaml", "config", "errors", "files", "problems"},
    "results": {"strict_yaml", "config", "errors", "files"},
    "writer": {"config", "errors", "files", "results", "schema", "strict_yaml"},
    "provenance": set(),
    "progress": {"console", "events", "results"},
    "datasets": {"errors", "files"},
    "data": {"config", "datasets", "randomness"},
    "norms": {"norms"},
    **{f"norms.{family}": {"norms"} for family in FAMILIES},
    "models": {"randomness"},
    "train": {"data", "norms", "results"},
    "experiment": {
        "checkpoint",
        "config",
        "data",
        "errors",
        "events",
        "models",
        "normconfig",
        "norms",
        "provenance",
        "randomness",
        "results",
        "train",
        "uncompiled",
        "writer",
    },
    "uncompiled": set(),
    "events": {"results"},
    "lock": {"errors", "files"},
    "plan": {"config", "errors", "lock", "results", "writer"},
    "prepare": {"config", "data", "datasets", "errors", "experiment"},
    "attempt": {"config", "errors", "events", "experiment", "lock", "results", "writer"},
    "stopping": set(),
    "workers": {"attempt", "data", "errors", "events", "experiment", "stopping"},
    "cluster": {"attempt", "data", "datasets", "errors", "events", "experiment", "prepare", "results", "writer"},
    "executor": {
        "attempt",
        "cluster",
        "config",
        "datasets",
        "errors",
        "events",
        "experiment",
        "lock",
        "plan",
        "prepare",
        "progress",
        "results",
        "stopping",
        "workers",
        "writer",
    },
    "inference": set(),
    "find": set(),
    "arms": {"config", "errors", "find", "results", "schema"},
    "baselines": {"arms", "errors"},
    "compare": {"arms", "baselines", "errors", "inference", "results"},
    "epochs": {"arms", "inference", "results"},
    "columns": {"compare", "errors", "inference"},
    "summary": {"columns", "compare", "inference"},
    "gate": {"columns", "compare", "errors", "files", "tables"},
    "diff": {"arms", "columns", "compare", "console", "errors", "inference", "results", "tables"},
    "show": {"console", "results", "strict_yaml"},
    "checkpoint": {"results"},
    "norm_values": {"errors"},
    "tables": {"arms", "columns", "compare", "epochs", "inference", "summary"},
    "plots": {"columns", "compare", "epochs", "inference"},
    "report": {"arms", "columns", "compare", "console", "errors", "plots", "results", "strict_yaml", "summary"},
    **{f"verify.{part}": {"norms", "verify"} for part in VERIFY},
    "verify": {"errors", "norms", "verify"},
    "verify.edges": {"normconfig", "verify"},
    "cli": {"cli"},
    **{f"cli.{command}": {"cli", "errors"} for command in COMMANDS},
}


def modules():
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        yield (name.removesuffix(".__init__") if name != "__init__" else name), path


def imports(path, *, top):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "bnbench":
                yield from (f"bnbench.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=[name for name, _ in modules()])
def test_imports_follow_the_arrows(name, path):
    ours = {
        module.split(".")[1] for module in imports(path, top=name.startswith("cli")) if module.startswith("bnbench.")
    }
    assert ours - {"__version__"} <= ARROWS[name]
    if name in READING or name.startswith("cli"):
        assert not {module.split(".")[0] for module in imports(path, top=False)} & HEAVY


def test_every_module_has_its_arrows():
    assert {name for name, _ in modules()} == set(ARROWS)


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=[name for name, _ in modules()])
def test_files_stay_readable_in_one_sitting(name, path):
    assert len(path.read_text().split("\n")) <= 300
    assert ast.get_docstring(ast.parse(path.read_text())), "every module says what it is"


def test_nothing_tracked_names_a_persons_folders():
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=SOURCE.parent, capture_output=True, text=True, check=True)
    paths = [SOURCE.parent / name for name in tracked.stdout.split("\0") if name]
    assert len(paths) > 100
    for path in paths:
        assert not re.search(r"/(home|root|Users)/\w", path.read_text()), path
