"""Configs: one error names every mistake with its file, line and key before anything is written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench.config import hints, strict_yaml
from bnbench.config.experiment import NAME, Config, parse_seeds
from bnbench.config.load import load_config, load_configs
from bnbench.config.models import MODELS
from bnbench.config.norms import NORMS
from bnbench.config.problems import closest
from bnbench.errors import ConfigError

NORM_TYPES = ", ".join(NORMS)

GOOD = """\
name: good
model: {type: mlp}
norm:
  type: batch
  momentum: 0.9
train:
  epochs: 3
  optimizer: {type: sgd, lr: 1e-3}
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="c.yaml"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def problems(path, *overrides, **options):
    with pytest.raises(ConfigError) as error:
        load_config(path, overrides, **options)
    return [line.replace(f"{path.parent}/", "") for line in str(error.value).split("\n")]


def test_a_config_is_a_diff_from_defaults(write):
    config = load_config(write(GOOD))
    assert config.train.optimizer.lr == 0.001
    assert config.model.hidden == [100]
    assert config.data.batch_size == 64
    assert config.seeds == [0]


@pytest.mark.parametrize("text", ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD.replace("lr: 1e-3", "lr: 1")])
def test_valid_is_accepted(write, text):
    load_config(write(text))


def test_all_problems_of_all_files_come_at_once(write):
    first = write("model: {type: mpl}\nnorm: no\ntrain: {epochs: 1.5, optimizer: {lr: 3}}\n", "first.yaml")
    second = write(GOOD.replace("momentum", "momentun").replace("epochs: 3", "epochs: 0"), "second.yaml")
    with pytest.raises(ConfigError) as error:
        load_configs([first, second])
    lines = str(error.value).replace(f"{first.parent}/", "").split("\n")
    assert lines == [
        f"first.yaml:1: model.type: got 'mpl'; did you mean mlp? It must be one of {', '.join(MODELS)}",
        "first.yaml:2: norm: must be a mapping, as in {type: ...}; got 'no'",
        "first.yaml:3: train.epochs: must be a whole number; got 1.5",
        "first.yaml:3: train.optimizer.type: is required; one of sgd, adam; got {'lr': 3}",
        "second.yaml:5: norm.momentun: unknown key; did you mean momentum?",
        "second.yaml:7: train.epochs: must be greater than or equal to 1; got 0",
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("epochs: 3", "epochs: true", "c.yaml:7: train.epochs: must be a whole number; got true"),
        ("epochs: 3", "epochs: '3'", "c.yaml:7: train.epochs: must be a whole number; got '3'"),
        ("lr: 1e-3", "lr: .nan", "c.yaml:8: train.optimizer.lr: must be a finite number; got .nan"),
        ("lr: 1e-3", "lr: .inf", "c.yaml:8: train.optimizer.lr: must be a finite number; got .inf"),
        ("lr: 1e-3", "lr: -1", "c.yaml:8: train.optimizer.lr: must be greater than 0; got -1"),
        ("momentum: 0.9", "momentum: 1.5", "c.yaml:5: norm.momentum: must be less than or equal to 1; got 1.5"),
        ("momentum: 0.9", "affine: yes", "c.yaml:5: norm.affine: must be true or false; got 'yes'"),
        (
            "type: batch",
            "type: bacth",
            f"c.yaml:4: norm.type: got 'bacth'; did you mean batch? It must be one of {NORM_TYPES}",
        ),
        ("type: batch", "type: none", "c.yaml:5: norm.momentum: unknown key; the keys of type none are type"),
        ("name: good", "name: ../x", "c.yaml:1: name: '../x' is not a name: use letters, digits, '.', '_' and '-'"),
        ("name: good", "name: 3", "c.yaml:1: name: must be text; got 3"),
        ("name: good", "seeds: 3..1", "c.yaml:1: seeds: the range 3..1 is empty; write the lower seed first"),
        ("name: good", "seeds: [1, 1]", "c.yaml:1: seeds: names a seed twice"),
        (
            "name: good",
            "data: {batch_size: 1}",
            "c.yaml:1: data.batch_size: batch norm of a vector needs at least 2 images in a batch: with one, every"
            " value is its own mean",
        ),
        (
            "name: good",
            "data: {train_limit: 10}",
            "c.yaml:1: data.batch_size: 64 is more than the 10 training images",
        ),
        (
            "{type: mlp}",
            "{type: mlp, hidden: []}",
            "c.yaml:3: norm: there is no hidden layer to normalize; use norm: {type: none}",
        ),
        (
            "momentum: 0.9",
            "{implementation: builtin, running_var: biased}",
            "c.yaml:6: not valid YAML: could not find expected ':'",
        ),
        (
            "momentum: 0.9",
            "implementation: builtin\n  running_var: biased",
            "c.yaml:6: norm.running_var: torch's batch norm keeps the unbiased variance; biased needs"
            " implementation: custom",
        ),
        (
            "momentum: 0.9",
            "affine: false\n  weight_init: normal",
            "c.yaml:6: norm.weight_init: has no effect with affine: false; remove it",
        ),
    ],
)
def test_each_mistake_in_words(write, old, new, problem):
    assert old in GOOD
    assert problems(write(GOOD.replace(old, new))) == [problem]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "c.yaml: is empty; a config needs at least model and train"),
        ("# only a comment\n", "c.yaml: is empty; a config needs at least model and train"),
        ("- a\n", "c.yaml:1: must be a mapping of keys to values, not ['a']"),
        (b"name: a\nmodel: \xff\n", "c.yaml:2: is not UTF-8 text; save the file as UTF-8"),
        ("a: 1\na: 2\n", "c.yaml:2: key 'a' is repeated (first on line 1)"),
        (b"x" * 300_001, "c.yaml: is not a config: it is larger than 300,000 bytes"),
    ],
)
def test_a_file_that_is_no_config(write, content, problem):
    assert problems(write(content)) == [problem]


def test_a_changed_type_says_how_to_replace_the_mapping(write):
    lines = problems(write(GOOD), "norm.type=none")
    assert lines[-1] == (
        "--set norm.type=none: keeps the other keys of norm; to replace them all: --set 'norm={type: ...}'"
    )


def test_the_last_of_two_overrides_counts_and_is_named(write):
    path = write(GOOD)
    assert load_config(path, ["norm.eps=0.5", "norm.eps=0.2"]).name == "good,norm.eps=0.2"
    assert load_config(path, ["norm.eps=0.5", "norm={type: none}"]).name == "good,norm=type-none"


def test_smoke_and_an_override_of_what_it_sets_are_refused(write):
    assert problems(write(GOOD), "train.epochs=5", smoke=True) == [
        "--set train.epochs: --smoke sets it to 1; leave one of the two out"
    ]


def test_a_config_without_a_name_gets_the_files(write):
    text = GOOD.replace("name: good\n", "")
    assert load_config(write(text, "my config.yaml")).name == "my-config"


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "mlp_bn.yaml").write_text(GOOD)
    assert problems(tmp_path / "mlp-bn.yaml") == ["mlp-bn.yaml: no such file; did you mean mlp_bn.yaml?"]
    assert problems(tmp_path)[0].endswith("is a folder; name a config file in it")


def test_a_pipe_does_not_hang(tmp_path):
    import os

    os.mkfifo(tmp_path / "c.yaml")
    assert problems(tmp_path / "c.yaml") == ["c.yaml: is not a config: it is not a regular file"]


def test_overrides_change_the_config_and_its_name(write):
    path = write(GOOD)
    config = load_config(path, ["train.optimizer.lr=0.5", "model.hidden=[100, 50]"])
    assert config.train.optimizer.lr == 0.5
    assert config.model.hidden == [100, 50]
    assert config.name == "good,model.hidden=100-50,train.optimizer.lr=0.5"
    assert load_config(path, ["norm.eps=1e-3", "device=cpu", "threads=2"]).name == "good,norm.eps=0.001"
    assert load_config(path, ["data.fallback=error", "seeds=0..3"]).name == "good"
    assert load_config(path, ["train.epochs=1"], name="other").name == "other"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train.optimizer.lr=0", "--set train.optimizer.lr=0: train.optimizer.lr: must be greater than 0; got 0"),
        ("model.hidden=[0]", "--set model.hidden=[0]: model.hidden.0: must be greater than or equal to 1; got 0"),
        ("gird={}", "--set gird={}: gird: unknown key; did you mean grid?"),
        (
            "x=1",
            "--set x=1: x: unknown key; the keys here are name, data, model, norm, train, device, threads, dtype,"
            " seeds, evaluations, grid",
        ),
        ("train.lr=0.5", "--set train.lr=0.5: train.lr: unknown key; did you mean train.optimizer.lr?"),
        (
            "train.x=0.5",
            "--set train.x=0.5: train.x: unknown key; the keys here are epochs, optimizer, only, schedule",
        ),
        ("lr", "--set lr: must be KEY=VALUE with a dotted key, as in train.optimizer.lr=0.5"),
        ("name.x=1", "--set name.x=1: name is not a mapping in the file"),
        (
            "data.valid_limit=10001",
            "--set data.valid_limit=10001: data.valid_limit: 10,001 is more than the 10,000 images of mnist",
        ),
        (
            "data.valid=60000",
            "--set data.valid=60000: data.valid: must be less than the 60,000 training images; got 60,000",
        ),
        ("norm=[1", "--set norm=[1: not valid YAML: expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_a_wrong_override_is_named(write, override, problem):
    assert problems(write(GOOD), override) == [problem]


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["data.valid=5000", "data.train_limit=55001"], "55,001 is more than the 55,000 images that"),
        (["data.valid=5000", "data.valid_limit=5001"], "5,001 is more than the 5,000 images that data.valid takes"),
        (["data.valid=59990"], "64 is more than the 10 training images"),
        (["data.test=false"], "data.test: false needs held-out images to validate on; add data.valid"),
        (["data.valid=1", "norm={type: batch, track_running_stats: false}"], "data.valid: batch norm of a vector"),
    ],
)  # fmt: skip
def test_what_is_held_out_leaves_enough(write, overrides, problem):
    with pytest.raises(ConfigError, match=problem):
        load_config(write(GOOD), overrides)


def test_a_smoke_run_holds_out_no_more_than_it_validates_on(write):
    config = load_config(write(GOOD), ["data.valid=5000"], smoke=True)
    assert (config.data.valid, config.data.valid_limit, config.data.train_limit) == (256, 256, 512)


def test_two_configs_of_one_name_are_refused(write):
    with pytest.raises(ConfigError, match=r"is also the name of .*needs its own name"):
        load_configs([write(GOOD, "a.yaml"), write(GOOD, "b.yaml")])


def test_the_same_file_twice_is_refused(write):
    path = write(GOOD)
    with pytest.raises(ConfigError, match="is also the name of"):
        load_configs([path, path])


def test_a_bomb_is_refused_at_once(write):
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 4)]
    lines = problems(write("\n".join(rows)))
    assert len("\n".join(lines)) < 4_000  # within the limit of nodes, and the message is short


def test_the_digest_is_of_the_arm(write):
    base = load_config(write(GOOD))
    assert base.digest() == load_config(write(GOOD), name="x", seeds="5").digest()
    assert base.digest() == load_config(write(GOOD), ["data.fallback=error"]).digest()
    assert base.digest() != load_config(write(GOOD), ["norm.eps=1e-6"]).digest()
    assert base.digest() == load_config(write(GOOD), ["norm.eps=1e-5", "data.batch_size=64"]).digest()  # the defaults


def test_a_digest_is_what_it_was():
    """A new key with a default must not change the digests, because they identify runs on disk."""
    config = Config.model_validate(
        {"name": "x", "model": {"type": "mlp"}, "train": {"epochs": 1, "optimizer": {"type": "adam"}}, "device": "cpu"}
    )
    assert config.digest() == "d3aafdbde5757503887ce8f0b8c7b11b4efc484570cbaca515d54b0d30ec1b7b"


def test_the_resolved_config_loads_as_itself(write, tmp_path):
    import yaml

    config = next(load_config(write(GOOD), ["norm.eps=0.1"], smoke=True, seeds="7").one_per_seed())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("spelling", "seeds"), [(3, [3]), ("3", [3]), ("0..3", [0, 1, 2, 3]), ("0..1,7", [0, 1, 7]), ([2, 0], [2, 0])]
)
def test_seeds_in_every_spelling(spelling, seeds):
    assert parse_seeds(spelling) == seeds


@pytest.mark.parametrize("spelling", ["", "a", "1..", "-1", "0..99999", [True], [], 1.5, "1,1", 2**63, "9" * 30])
def test_seeds_that_are_none(spelling):
    with pytest.raises(ValueError, match=r"seed|whole numbers|between|range"):
        parse_seeds(spelling)


@given(st.from_regex(NAME, fullmatch=True))
def test_no_name_leaves_the_results_folder(name):
    assert Path("results", name).parent == Path("results") and name not in (".", "..")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-x", "a b", "x\n", "é", "a,", "x" * 151]
)
def test_names_that_are_refused(write, name):
    assert "name" in problems(write(GOOD), name=name)[0]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=10,
    )
)
def test_no_data_makes_a_traceback(tmp_path_factory, value):
    """Any YAML gives a config or a ConfigError."""
    import yaml

    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(yaml.safe_dump({"model": value, "train": value, "norm": {"type": "batch", "x": value}}))
    with pytest.raises(ConfigError):
        load_config(path)


def test_every_default_is_written_out():
    config = Config.model_validate(
        {"name": "x", "model": {"type": "cnn"}, "train": {"epochs": 1, "optimizer": {"type": "adam"}}}
    )
    assert config.arm()["train"]["optimizer"] == {
        "type": "adam",
        "lr": 0.001,
        "betas": [0.9, 0.999],
        "weight_decay": 0.0,
        "weight_decay_on": "all",
    }


@pytest.mark.parametrize(
    ("word", "meant"),
    [("BatchNorm2d", "batch"), ("batch_norm", "batch"), ("LayerNorm", "layer"), ("rms_norm", "rms"), ("bacth", "batch"),
     ("norm", None)],
)  # fmt: skip
def test_a_norm_is_known_as_other_libraries_spell_it(word, meant):
    assert closest(word, ["batch", "batch_renorm", "layer", "rms"]) == meant


HINTS = [
    # another tool's key: its key here, with the value as it is written here
    ("momentum: 0.9", "moving_momentum: 0.1", "here it is norm.momentum: 0.9, the weight of the new batch"),
    ("momentum: 0.9", "moving_momentum: x", "here it is norm.momentum, which is 1 minus this value"),
    ("momentum: 0.9", "decay: 0.99", "here it is norm.momentum: 0.01, the weight of the new batch"),
    ("momentum: 0.9", "epsilon: 1e-3", "here it is norm.eps: 0.001"),
    ("lr: 1e-3", "lr: 1, decay: 1e-3", "here it is train.optimizer.weight_decay: 0.001"),
    ("lr: 1e-3", "learning_rate: 0.1", "here it is train.optimizer.lr: 0.1"),
    ("type: mlp}", "type: mlp, layers: [3]}", "here it is model.hidden"),
    ("name: good", "bs: 32", "here it is data.batch_size: 32"),
    # a key in the wrong part
    ("name: good", "lr: 0.1", "did you mean train.optimizer.lr?"),
    ("name: good", "momentum: 0.1", "did you mean norm.momentum or train.optimizer.momentum?"),
    ("type: mlp}", "type: mlp, seeds: 3}", "did you mean seeds, at the top of the file?"),
    ("type: mlp}", "type: mlp, grid: {}}", "did you mean grid, at the top of the file?"),
    (
        "name: good",
        "x: 1",
        "the keys here are name, data, model, norm, train, device, threads, dtype, seeds, evaluations, grid",
    ),
    # a norm without its type, a wrong type
    ("type: batch", "nrom: batch", "norm.type: is required; write type: batch in place of nrom: 'batch'"),
    ("type: batch", "typ: bacth", "norm.type: is required; write type: batch in place of typ: 'bacth'"),
    ("type: batch", "bacth: x", "got {'bacth': 'x', 'momentum': 0.9}"),
    # several values where one belongs
    ("lr: 1e-3", "lr: [0.1, 0.2]", "got [0.1, 0.2]; for an arm of each, grid: {train.optimizer.lr: [0.1, 0.2]}"),
    ("lr: 1e-3", "lr: '0,1'", "got '0,1'; a decimal number has a point: 0.1"),
    ("type: batch", "type: 'batch,layer'", "got 'batch,layer'; for an arm of each, grid: {norm.type: [batch, layer]}"),
]


@pytest.mark.parametrize(("old", "new", "hint"), HINTS)
def test_a_key_of_another_tool_or_place_gets_a_hint(write, old, new, hint):
    assert any(line.endswith(hint) for line in problems(write(GOOD.replace(old, new))))


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("epochs=3", "did you mean train.epochs?"),
        ("eps=1", "did you mean norm.eps?"),
        ("bs=32", "here it is data.batch_size=32"),
        ("lr=0.1,0.2", "lr? For an arm of each, --set 'grid={train.optimizer.lr: [0.1, 0.2]}'"),
        ("train.optimizer.lr=0.1,0.2", "for an arm of each, --set 'grid={train.optimizer.lr: [0.1, 0.2]}'"),
        ("norm.momentun=0.1", "did you mean momentum?"),
    ],
)  # fmt: skip
def test_an_override_gets_the_hint_as_an_override(write, override, hint):
    (problem,) = problems(write(GOOD), override)
    assert problem.startswith(f"--set {override}: ") and problem.endswith(hint)


def test_every_hint_leads_to_a_key():
    keys = hints.keys_of({"train": {"schedule": {"type": "step"}}})
    for word, found in hints.SPELLINGS.items():
        assert word not in {key.rpartition(".")[2] for key in keys}, word
        assert {one.removeprefix(hints.TURNED) for one in found} <= keys.keys(), word


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: good", "name： good", "c.yaml:1: has '：' where YAML needs ':'; text may have it between quotes"),
        ("{type: sgd, ", "{type: sgd， ", "c.yaml:8: has '，' where YAML needs ','; text may have it between quotes"),
        ("lr: 1e-3", "lr: ０.1", "c.yaml:8: has '０' where YAML needs '0'; text may have it between quotes"),
        ("type: batch", "type: “batch”", "c.yaml:4: has '“' where YAML needs '\"'; text may have it between quotes"),
        ("  momentum: 0.9", "\tmomentum: 0.9", "c.yaml:5: not valid YAML: a tab; write spaces"),
        ("name: good", "name:\tgood", "c.yaml:1: not valid YAML: a tab; write spaces"),
        ("name: good", "<<: {a: 1}", "c.yaml:1: merge keys (<<) are not read; write the keys out"),
        ("epochs: 3", "epochs: 3\x00", "c.yaml:7: not valid YAML: has the control character '\\x00'"),
    ],
)
def test_what_only_looks_like_yaml(write, old, new, problem):
    assert problems(write(GOOD.replace(old, new))) == [problem]


def test_letters_and_sentences_may_have_what_looks_like_ascii():
    text = "a: ℓ and σ²\nb: It doesn’t matter – they are the same."
    assert strict_yaml.parse(text)[0] == {"a": "ℓ and σ²", "b": "It doesn’t matter – they are the same."}


def test_comments_and_quoted_text_may_have_any_letters(write):
    load_config(write(GOOD.replace("name: good", "name: good # 注：全角，也可以")))
    assert "is not a name" in problems(write(GOOD.replace("name: good", "name: 'a：b'")))[0]
    (problem,) = problems(write(GOOD), "lr＝0.1")
    assert problem.startswith("--set lr＝0.1: has '＝' where YAML needs '=';")


def test_file_names_in_other_scripts(write):
    text = GOOD.replace("name: good\n", "")
    assert load_config(write(text, "实验-bn.yaml")).name == "bn"
    assert load_config(write(text, "实验.yaml"), name="a").name == "a"
    assert load_config(write(GOOD, "实验.yaml")).name == "good"
    assert problems(write(text, "实验.yaml")) == [
        "实验.yaml: gives no name, because only letters from a to z count; write name: or use --name"
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mlp_bn", "mlp_bn: no such file; did you mean configs/mlp_bn.yaml?"),
        ("mlp_rms.yaml", "mlp_rms.yaml: no such file; did you mean configs/norms/mlp_rms.yaml?"),
        ("norm.eps=1", "norm.eps=1: no such file; each KEY=VALUE has its own --set: --set norm.eps=1"),
        ("other", "other: no such file"),
    ],
)
def test_a_config_by_its_name_alone_is_found(tmp_path, monkeypatch, name, hint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs/norms").mkdir(parents=True)
    (tmp_path / "configs/mlp_bn.yaml").write_text(GOOD)
    (tmp_path / "configs/norms/mlp_rms.yaml").write_text(GOOD)
    assert problems(Path(name)) == [hint]


def test_a_grid_of_the_command_that_replaces_the_files_grid_says_so(write):
    said = []
    path = write(GOOD + "grid: {train.optimizer.lr: [0.1, 0.5]}\n")
    (arm,) = load_configs([path], ["grid={norm.eps: [0.1]}"], say=said.append)
    assert arm.name == "good,norm.eps=0.1"
    assert said == [f"--set grid={{norm.eps: [0.1]}}: replaces the grid of {path}, which varies 'train.optimizer.lr'"]
    load_configs([path], ["grid={train.optimizer.lr: [0.1, 0.5]}"], say=pytest.fail)
    (problem,) = problems(path, "grid=7")
    assert problem.startswith("--set grid=7: grid: must map dotted keys to lists")
