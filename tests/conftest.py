"""Shared fixtures. The suite needs no network: it reads mnist5k, and full MNIST only with --mnist-dir."""

import os

# Typer reads these when it is imported: help and errors then look alike in every environment.
os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"
os.environ["TERMINAL_WIDTH"] = "120"
for variable in ("FORCE_COLOR", "GITHUB_ACTIONS"):
    os.environ.pop(variable, None)

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bnbench.config.load import load_config
from bnbench.config.norms import NORMS as NORM_OPTIONS
from bnbench.data import datasets
from bnbench.verify import checks, names, verify
from bnbench.verify.rows import Row

REPOSITORY = Path(__file__).parent.parent
torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--mnist-dir", type=Path, help="a data folder with the four original files in MNIST/raw: runs full_mnist tests"
    )

    parser.addoption("--slow", action="store_true", help="also run the tests that take long, as .ci/full does")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        slow = [item for item in items if "slow" in item.keywords]
        items[:] = [item for item in items if "slow" not in item.keywords]
        config.hook.pytest_deselected(items=slow)
    if config.getoption("--mnist-dir") is None:
        for item in items:
            if "full_mnist" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs the four MNIST files: pytest --mnist-dir=FOLDER"))


@pytest.fixture
def mnist_dir(pytestconfig: pytest.Config) -> Path:
    """The folder given by --mnist-dir; never written to."""
    folder: Path = pytestconfig.getoption("--mnist-dir")
    return folder


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the suite's own, with mnist5k cached."""
    folder = tmp_path_factory.mktemp("data")
    datasets.load("mnist5k", folder)
    return folder


@pytest.fixture(autouse=True)
def _no_other_data(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the person's own cache is read or written, and torchvision has no mirror to reach."""
    import torchvision.datasets

    monkeypatch.setenv("BNBENCH_DATA", str(data_folder))
    monkeypatch.delenv("CI", raising=False)  # with it, mnist5k does not replace mnist
    monkeypatch.setenv("BNBENCH_JOBS", "1")  # in this process, where a test can reach it; worker processes by --jobs
    for name in ("MNIST", "FashionMNIST", "KMNIST"):
        monkeypatch.setattr(getattr(torchvision.datasets, name), "mirrors", ["http://127.0.0.1:9/"])


@pytest.fixture(scope="session")
def mnist5k(data_folder: Path) -> datasets.Dataset:
    return datasets.load("mnist5k", data_folder)[0]


def required_options(norm: str) -> dict[str, object]:
    """The options without a default of a norm, as its shipped config gives them."""
    required = [name for name, field in NORM_OPTIONS[norm].model_fields.items() if field.is_required()]
    path = next(iter(sorted((REPOSITORY / "configs" / "norms").glob(f"*_{norm}.yaml"))), None)
    shipped = load_config(path).norm if path else None
    assert shipped or required == ["type"], (
        f"{norm} has options without a default, so it needs a config in configs/norms"
    )
    return {name: getattr(shipped, name) for name in required if name != "type"}


@pytest.fixture(scope="session")
def verified() -> list[Row]:
    """Every row of `bnbench verify`, of 20 steps instead of 100: a quarter of a minute."""
    state = torch.random.get_rng_state()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "STEPS", checks.FEW_STEPS)
        rows = list(verify(names()))
    assert torch.equal(torch.random.get_rng_state(), state), "it drew from the global generator"
    return rows


@pytest.fixture
def bnbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Run the command in an empty folder: bnbench("run", "a.yaml").exit_code, .stdout, .stderr."""
    from bnbench.cli import app

    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def run(*arguments: object) -> object:
        return runner.invoke(app, [str(argument) for argument in arguments])

    return run


TINY = """\
name: tiny
data: {dataset: mnist5k, batch_size: 50, train_limit: 200, valid_limit: 100}
model: {type: mlp, hidden: [8]}
norm: {type: batch}
train: {epochs: 2, optimizer: {type: sgd, lr: 0.1}}
device: cpu
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A config that trains in a fraction of a second."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path
