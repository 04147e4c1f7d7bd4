"""The command that `bnbench run` names at its end: it compares the folders just trained."""

from pathlib import Path

import pytest

from bnbench.config.load import load_configs
from bnbench.launch.advice import compare_command, swept_key

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.mark.parametrize(
    ("there", "arms", "command"),
    [
        (["a", "b"], ["a", "b", "a"], "bnbench compare results"),
        (["a", "b", "c"], ["a", "b"], "bnbench compare results/a results/b"),
        ([*"abcdefgh"], [*"abcdefg"], "bnbench compare " + " ".join(f"results/{name}" for name in "abcdefg")),
        (["c", *(f"a,k={k}" for k in range(9))], [f"a,k={k}" for k in range(9)], "bnbench compare results/a,*"),
        (["c", "a", *(f"a,k={k}" for k in range(9))], ["a", *(f"a,k={k}" for k in range(9))],
         "bnbench compare results/a results/a,*"),
        ([*(f"a,k={k}" for k in range(9))], [f"a,k={k}" for k in range(7)],
         "bnbench compare " + " ".join(f"results/a,k={k}" for k in range(7))),
    ],
    ids=["all", "few", "other names", "a grid", "a grid and its base", "a part of a grid"],
)  # fmt: skip
def test_it_names_the_arms_and_no_other(tmp_path, monkeypatch, there, arms, command):
    monkeypatch.chdir(tmp_path)
    for name in there:
        (tmp_path / "results" / name).mkdir(parents=True)
    assert compare_command(Path("results"), arms) == command
    shown = [path for part in command.split()[2:] for path in tmp_path.glob(part)]
    assert set(shown) in ({tmp_path / "results"}, {tmp_path / "results" / name for name in arms})


def test_a_key_with_three_numbers_is_a_sweep():
    def key(*overrides, configs=("mlp_bn.yaml", "mlp_no_bn.yaml")):
        return swept_key(load_configs([CONFIGS / name for name in configs], list(overrides)))

    assert key("grid={train.optimizer.lr: [0.1, 0.2, 0.3]}") == "train.optimizer.lr"
    assert key("grid={train.optimizer.lr: [0.1, 0.2]}") is None
    assert key("grid={train.epochs: [1, 2, 3]}") is None  # runs of other lengths are not compared
    several = sorted(f"norms/{path.name}" for path in (CONFIGS / "norms").glob("mlp_*.yaml"))
    assert key(configs=several) is None  # their options differ, but so do their norms
