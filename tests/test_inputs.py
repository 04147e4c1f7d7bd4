"""Inputs that people have: one arm by two names, long names, a CI job without a network. docs/inputs.md lists them."""

import pytest

from bnbench.config.load import load_config, load_configs
from bnbench.config.naming import in_words
from bnbench.errors import ConfigError, DataMissing
from bnbench.launch.plan import moved, plan
from tests.handmade import make_run

FILE = """\
name: a
model: {type: mlp}
norm: {type: batch, momentum: 0.9}
train: {epochs: 3, optimizer: {type: sgd, lr: 0.1}}
device: cpu
"""


@pytest.fixture
def file(tmp_path):
    def write(more="", old="", new=""):
        path = tmp_path / "a.yaml"
        path.write_text(FILE.replace(old, new) + more)
        return path

    return write


def names(path, *overrides, **options):
    said = []
    arms = load_configs([path], overrides, say=said.append, **options)
    return [arm.name for arm in arms], [sentence.removeprefix(f"{path.parent}/") for sentence in said]


def make(out, config, name=None):
    """A complete run of `config` in the folder `name`."""
    settings = config.model_dump(mode="json", exclude={"name", "seeds"})
    return make_run(out, name or config.name, config.seed, [0.5, 0.6, 0.7], config=settings)


def test_arms_of_a_grid_with_the_same_settings_are_one_arm(file):
    found, said = names(file("grid: {norm.momentum: [1, 1.0, 0.5]}\n"))
    assert found == ["a,norm.momentum=1", "a,norm.momentum=0.5"]
    assert said == ["a.yaml:6: grid: a,norm.momentum=1.0 is the same arm as a,norm.momentum=1; it is trained once"]


@pytest.mark.parametrize(
    ("overrides", "name", "idle"),
    [
        (["norm.momentum=0.9"], "a", ["norm.momentum=0.9"]),
        (["norm.eps=1e-5", "norm.momentum=0.5"], "a,norm.momentum=0.5", ["norm.eps=1e-5"]),
        (["norm={type: batch, momentum: 0.90}"], "a", ["norm={type: batch, momentum: 0.90}"]),
        # Each of the two alone could be left out, but not both: the file has another momentum.
        (
            ["norm={type: batch, momentum: 0.1}", "norm.momentum=0.1"],
            "a,norm.momentum=0.1",
            ["norm={type: batch, momentum: 0.1}"],
        ),
        (["norm={type: group, num_groups: 4}"], "a,norm=type-group-num_groups-4", []),
    ],
)  # fmt: skip
def test_an_override_that_changes_nothing_adds_no_suffix(file, overrides, name, idle):
    found, said = names(file(), *overrides)
    assert found == [name]
    assert said == [f"--set {text}: changes nothing, so it is not part of the name" for text in idle]


def test_an_override_of_the_grid_with_the_files_value_leaves_the_files_arm(file):
    path = file("grid: {train.optimizer.lr: [0.1, 0.5]}\n")
    assert names(path, "train.optimizer.lr=0.1")[0] == ["a"]
    assert names(path)[0] == ["a,train.optimizer.lr=0.1", "a,train.optimizer.lr=0.5"]  # a grid shows what varies


def test_the_same_arm_under_an_older_name_is_found(file, tmp_path):
    config = load_config(file(), seeds="0..1")
    one, _ = config.one_per_seed()
    make(tmp_path / "r", one, "a,norm.momentum=0.9")
    make(tmp_path / "r", load_config(file(), ["norm.momentum=0.8"]))
    runs = plan([config], tmp_path / "r", force=False)
    assert [(run.folder.parent.name, run.status) for run in runs] == [
        ("a,norm.momentum=0.9", "complete"),
        ("a,norm.momentum=0.9", None),  # a new seed goes to the seeds of its arm
    ]
    assert moved([config], runs) == ["a is the same arm as a,norm.momentum=0.9, so it uses that folder"]
    assert {run.folder.parent.name for run in plan([config], tmp_path / "r", force=True)} == {"a"}


def test_another_arm_or_the_name_of_another_config_is_not_taken(file, tmp_path):
    config = load_config(file())
    make(tmp_path / "r", config, "ab,norm.momentum=0.9")  # the same digest, but of another name
    make(tmp_path / "r", load_config(file(), ["norm.eps=0.1"]))
    (run,) = plan([config], tmp_path / "r", force=False)
    assert (run.folder.parent.name, run.status) == ("a", None)
    make(tmp_path / "r", config, "a,x")
    other = load_config(file(), ["norm.eps=0.5"]).model_copy(update={"name": "a,x"})
    assert plan([config], tmp_path / "r", force=False)[0].folder.parent.name == "a,x"
    with pytest.raises(Exception, match="holds a run of another config"):
        plan([config, other], tmp_path / "r", force=False)


def test_the_folder_with_the_name_itself_comes_first(file, tmp_path):
    config = load_config(file())
    make(tmp_path / "r", config, "a,norm.momentum=0.9")
    (tmp_path / "r" / "a").mkdir()
    assert plan([config], tmp_path / "r", force=False)[0].folder.parent.name == "a"


EIGHT = (
    "data.batch_size: [32, 128], data.train_limit: [1000], data.valid_limit: [1000], norm.eps: [1e-3],"
    " norm.momentum: [0.5], model.hidden: [[64, 64]], model.activation: [gelu], train.optimizer.momentum: [0.9]"
)


def test_a_long_name_has_the_number_of_its_keys_and_the_digest(file, tmp_path):
    arms = load_configs([file(f"grid: {{{EIGHT}}}\n")])
    assert [arm.name for arm in arms] == [f"a,8-keys-{arm.digest()[:8]}" for arm in arms]
    assert load_configs([file(f"grid: {{{EIGHT}}}\n")], name="b", smoke=False)[0].name.startswith("b,8-keys-")
    assert in_words(arms) == {arm.name: f"data.batch_size={arm.data.batch_size}" for arm in arms}
    assert "model.activation=gelu" in in_words(arms[:1])[arms[0].name]  # a single arm: every setting
    make(tmp_path / "r", arms[0], "a,data.batch_size=32,and.what.older.versions.wrote")
    assert plan(arms, tmp_path / "r", force=False)[0].status == "complete"


@pytest.mark.parametrize(("length", "whole"), [(120, True), (121, False)])
def test_a_name_of_up_to_120_characters_keeps_its_bytes(file, length, whole):
    suffix = ",norm.eps=0.1"
    name = "n" * (length - len(suffix))
    config = load_config(file(), ["norm.eps=0.1"], name=name)
    assert config.name == name  # --name takes the place of the suffixes
    path = file(old="name: a", new=f"name: {name}")
    found = load_config(path, ["norm.eps=0.1"])
    assert found.name == (name + suffix if whole else f"{name},1-keys-{found.digest()[:8]}")


def test_smoke_runs_of_long_names_end_with_smoke(file):
    name = "n" * 100
    path = file(old="name: a", new=f"name: {name}")
    config = load_config(path, ["norm.eps=0.1", "norm.momentum=0.25"], smoke=True)
    assert config.name == f"{name},2-keys-{config.digest()[:8]},smoke"


def test_a_name_that_stays_too_long_is_refused_at_its_line(file):
    path = file(old="name: a", new=f"name: {'n' * 140}")
    with pytest.raises(ConfigError, match=r"a\.yaml:1: name: .* longer than 150 characters; choose a shorter name"):
        load_config(path, ["norm.eps=0.1"])


def test_a_dry_run_shows_what_a_shortened_name_stands_for(bnbench, file):
    result = bnbench("run", file(f"grid: {{{EIGHT}}}\n"), "--set", "data.dataset=mnist5k", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert [line.partition("(")[2] for line in result.stdout.split("\n")[:2]] == [
        "data.batch_size=32)",
        "data.batch_size=128)",
    ]


@pytest.mark.parametrize(
    "options", [[], ["--per-epoch"], ["--columns", "value"], ["--by", "data.batch_size"], ["--format", "csv"]]
)
def test_a_comparison_shows_what_a_shortened_name_stands_for(bnbench, file, tmp_path, options):
    for arm in load_configs([file(f"grid: {{{EIGHT}}}\n")]):
        make(tmp_path / "r", arm)
    result = bnbench("compare", "r", *options)
    shown = result.stdout + result.stderr
    assert result.exit_code == 0 and shown.count("a,8-keys-") >= 2
    columns = "data.batch_size" in result.stdout
    assert columns or all(f"has data.batch_size={size}\n" in result.stderr for size in (32, 128)), shown


@pytest.fixture
def prepared(monkeypatch, mnist5k, tmp_path):
    """prepared(config): what is trained where MNIST cannot be had."""
    from bnbench.data import datasets
    from bnbench.launch.prepare import prepare

    def load(name, folder, *, say, show):
        if name == "mnist":
            raise DataMissing("mnist is not here")
        return mnist5k, "5"

    monkeypatch.setattr(datasets, "load", load)
    return lambda config: prepare([config], tmp_path, lambda _: None)[0].config.data.dataset


@pytest.mark.parametrize("ci", ["true", "1", "yes"])
def test_in_ci_the_fallback_needs_a_word(file, prepared, monkeypatch, ci):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(DataMissing, match=r"CI is set in the environment.*--fallback or write data\.fallback: mnist5k"):
        prepared(load_config(file()))
    assert prepared(load_config(file("data: {fallback: mnist5k}\n"))) == "mnist5k"
    assert prepared(load_config(file(), ["data.fallback=mnist5k"])) == "mnist5k"  # this is what --fallback sets


@pytest.mark.parametrize("ci", [None, "", "false"])
def test_elsewhere_the_fallback_needs_none(file, prepared, monkeypatch, ci):
    monkeypatch.delenv("CI", raising=False)
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    assert prepared(load_config(file())) == "mnist5k"


def test_the_option_allows_it_and_a_dry_run_says_what_would_happen(bnbench, file, tmp_path, monkeypatch):
    monkeypatch.setenv("CI", "true")
    dry = ("run", file(), "--data-dir", tmp_path / "none", "--dry-run")
    assert "exits with 4" in bnbench(*dry).stderr
    assert "if that fails, mnist5k replaces it" in bnbench(*dry, "--fallback").stderr
    assert "if that fails" not in bnbench(*dry, "--no-fallback").stderr
