"""The arrows between packages: two halves that meet on disk, and no torch in the reading half."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

import bnbench

SOURCE = Path(bnbench.__file__).parent
HEAVY = {"torch", "torchvision", "mlxtend"}
# What each package, or module of the ground, may import of bnbench; a command imports the rest inside its function.
GROUND = {"errors", "console", "files", "randomness", "signals"}
ARROWS = {
    "errors": set(),
    "console": set(),
    "files": {"errors"},
    "randomness": set(),
    "signals": set(),
    "config": GROUND,
    "norms": set(),
    "data": {*GROUND, "config"},
    "models": GROUND,
    "runs": {*GROUND, "config"},
    "plugins": {*GROUND, "config", "models", "norms"},
    "training": {*GROUND, "config", "data", "models", "norms", "runs"},
    "launch": {*GROUND, "config", "data", "runs", "training"},
    "analysis": {*GROUND, "config", "runs"},
    "studies": {*GROUND, "analysis", "config", "runs"},
    "report": {*GROUND, "analysis", "config", "runs", "studies"},
    "verify": {"config", "console", "errors", "norms"},
    "check": {"console", "errors", "plugins", "signals"},
    "tuner": {*GROUND, "analysis", "config", "data", "launch", "plugins", "report", "runs"},
    "api": {*GROUND, "analysis", "config", "data", "launch", "plugins", "report", "runs", "tuner"},
    "cli": {"errors", "signals"},
    "__main__": {"cli"},
    "__init__": {"api", "norms"},
}
# The half that reads needs no torch; of a run's folder only its weights do.
READING = {"errors", "console", "files", "signals", "config", "runs", "analysis", "studies", "report", "cli"}
TORCH = {"runs.weights"}


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
            yield from (f"{node.module}.{alias.name}" for alias in node.names)  # a module of a package, or a name


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=[name for name, _ in modules()])
def test_imports_follow_the_arrows(name, path):
    package = name.split(".")[0]
    ours = {module.split(".")[1] for module in imports(path, top=package == "cli") if module.startswith("bnbench.")}
    assert ours - {package, "__version__"} <= ARROWS[package]
    if package in READING and name not in TORCH:
        assert not {module.split(".")[0] for module in imports(path, top=False)} & HEAVY


def test_the_table_has_no_circle_and_no_arrow_upward():
    """Every package stands above all that it imports: they can be put on floors."""
    assert {name.split(".")[0] for name, _ in modules()} == set(ARROWS)
    placed: set[str] = set()
    while len(placed) < len(ARROWS):
        floor = {package for package, below in ARROWS.items() if package not in placed and below <= placed}
        assert floor, set(ARROWS) - placed
        placed |= floor
    training_half = {"data", "norms", "models", "training", "launch"}
    assert not any(ARROWS[package] & training_half for package in READING)
    assert not any(ARROWS[package] & {"analysis", "report"} for package in training_half)


def test_modules_of_a_package_import_each_other_in_one_direction():
    arrows = {
        name: {".".join(module.split(".")[1:3]) for module in imports(path, top=True)}
        for name, path in modules()
        if "." in name
    }
    left = {name: below & arrows.keys() for name, below in arrows.items()}
    while left:
        free = {name for name, below in left.items() if not below & left.keys() - {name}}
        assert free, left
        left = {name: below for name, below in left.items() if name not in free}


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
