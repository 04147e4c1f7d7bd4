"""`evaluations:` one training, many evaluations: the config's key, the table on disk, and what each evaluation is."""

import pytest
from handmade import make_config, make_run

from bnbench.config.evaluations import label, order
from bnbench.config.experiment import Config
from bnbench.config.load import load_arms, load_config
from bnbench.errors import ConfigError, ResultsError
from bnbench.runs import evaluations
from bnbench.runs.evaluations import Evaluation, lacking, read_evaluations, read_table
from bnbench.runs.format import read_run

ALL = "[running, precise, {batch: 4}, {momentum: 0.01}]"
TABLE = """\
evaluation,loss,accuracy,images,mean_error,var_error
running,0.09,0.97,10000,0.08,0.1
precise,0.08,0.975,10000,,
batch=4,nan,0.5,10000,,
momentum=0.01,0.1,0.96,10000,0.02,
"""
ROWS = {
    "running": Evaluation(0.09, 0.97, 10_000, 0.08, 0.1),
    "precise": Evaluation(0.08, 0.975, 10_000),
    "batch=4": Evaluation(0.7, 0.5, 10_000),
    "momentum=0.01": Evaluation(0.1, 0.96, 10_000, 0.02),
}


def asked(evaluations, norm="batch", **options):
    return Config.model_validate({"name": "a", **make_config(norm, **options), "evaluations": evaluations})


# The key.


def test_evaluations_are_no_part_of_the_arm(tiny):
    plain, config = load_config(tiny), load_config(tiny, [f"evaluations={ALL}"])
    assert [label(one) for one in config.evaluations] == ["running", "precise", "batch=4", "momentum=0.01"]
    assert (config.name, config.digest(), config.arm()) == (plain.name, plain.digest(), plain.arm())
    assert config.digest_of_any_length() == plain.digest_of_any_length()
    assert "evaluations" not in plain.model_dump(mode="json")
    assert Config.model_validate(config.model_dump(mode="json")) == config
    assert config.averages == (0.01,) and asked([{"momentum": 0.5}], "layer").averages == ()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("precise", "must be a list, as in [running, precise, {batch: 4}]; got 'precise'"),
        ("[precis]", "'precis' is unknown; use running, precise, {batch: 4} or {momentum: 0.01}"),
        ("[{batch: 0}]", "batch must be a number of images from 1 to 1,000,000; got 0"),
        ("[{batch: true}]", "batch must be a number of images from 1 to 1,000,000; got True"),
        ("[{momentum: 0}]", "momentum must be a number above 0 and at most 1; got 0"),
        ("[{momentum: .nan}]", "momentum must be a number above 0 and at most 1; got nan"),
        ("[{batch: 4, momentum: 0.1}]", "{'batch': 4, 'momentum': 0.1} is unknown"),
        ("[{momentum: 1}, {momentum: 1.0}]", "names momentum=1.0 twice"),
    ],
)
def test_a_wrong_evaluation_is_refused_at_its_line(tiny, written, message):
    tiny.write_text(f"{tiny.read_text()}evaluations: {written}\n")
    with pytest.raises(ConfigError) as error:
        load_config(tiny)
    assert str(error.value).startswith(f"{tiny}:7: evaluations: {message}")


@pytest.mark.parametrize(
    ("norm", "options", "possible"),
    [
        ("batch", {}, {"running", "precise", "batch", "momentum"}),
        ("batch", {"eval_statistics": "precise"}, {"running", "precise", "batch"}),
        ("batch", {"eval_statistics": "batch"}, {"batch"}),
        ("batch", {"track_running_stats": False}, {"batch"}),
        ("evonorm_b0", {}, {"running", "precise", "batch", "momentum"}),
        ("instance", {"track_running_stats": True}, {"running"}),
        ("layer", {}, {"running", "precise", "batch", "momentum"}),
        ("none", {}, {"running", "precise", "batch", "momentum"}),
    ],
)
def test_what_a_norm_cannot_be_evaluated_by_is_refused(norm, options, possible):
    config = make_config(norm, model="cnn" if norm == "instance" else "mlp", **options)
    config["model"]["activation"] = "none" if norm == "evonorm_b0" else "relu"
    for kind, written in (("running",) * 2, ("precise",) * 2, ("batch", {"batch": 2}), ("momentum", {"momentum": 0.5})):
        settings = {"name": "a", **config, "evaluations": [written]}
        if kind in possible:
            Config.model_validate(settings)
            continue
        with pytest.raises(ValueError, match=f"with its options, the norm {norm} can only be evaluated"):
            Config.model_validate(settings)


def test_evaluations_cannot_vary_in_a_grid(tiny):
    with pytest.raises(ConfigError, match="'evaluations': cannot vary in a grid"):
        load_arms(tiny, ["grid={evaluations: [[running], [precise]]}"])


# The table.


def test_a_table_is_read_and_its_rows_have_one_order(tmp_path):
    run = read_run(make_run(tmp_path, "a", 0, [0.9]))
    assert read_evaluations(run) == {}
    evaluations.add(run.path, dict(reversed(ROWS.items())))
    assert read_evaluations(run) == ROWS and list(read_evaluations(run)) == list(ROWS)
    assert sorted(["momentum=0.5", "batch=10", "batch=9", "momentum=0.25", "precise", "running"], key=order) == [
        "running",
        "precise",
        "batch=9",
        "batch=10",
        "momentum=0.25",
        "momentum=0.5",
    ]
    other = Evaluation(9.0, 0.0, 10_000)
    evaluations.add(run.path, {"batch=1": other, "running": other})
    assert read_evaluations(run) == {**ROWS, "batch=1": other}, "rows that are there stay"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("evaluation,", "kind,", ": does not start with the header"),
        ("0.02,\n", "0.02,", ": is cut off in its last line"),
        ("batch=4,", "batch=04,", ":4: is not a row of an evaluation"),
        ("batch=4,", "running,", ":4: has running a second time"),
        ("momentum=0.01,", "momentum=inf1,", ":5: is not a row of an evaluation"),
        ("0.97,10000,0.08", "1.97,10000,0.08", ":2: is not a row of an evaluation"),
        ("10000,,\nbatch", "ten,,\nbatch", ":3: is not a row of an evaluation"),
        ("10000,,\nbatch", "10000,\nbatch", ":3: is not a row of an evaluation"),
    ],
)
def test_a_damaged_table_is_named(tmp_path, old, new, message):
    path = tmp_path / "evaluations.csv"
    path.write_text(TABLE)
    assert len(read_table(tmp_path)) == 4
    path.write_text(TABLE.replace(old, new))
    with pytest.raises(ResultsError) as error:
        read_table(tmp_path)
    assert str(error.value).startswith(f"{path}{message}")


def test_what_a_run_lacks(tmp_path):
    config = asked(["precise", {"batch": 4}, {"batch": 5}, {"momentum": 0.5}])
    assert lacking(tmp_path, config) == ["precise", "batch=4", "batch=5", "momentum=0.5"]
    (tmp_path / "evaluations.csv").write_text(TABLE)
    assert lacking(tmp_path, config) == ["batch=5", "momentum=0.5"]
    assert lacking(tmp_path, asked([])) == []
    (tmp_path / "evaluations.csv").write_text("damaged")
    assert len(lacking(tmp_path, config)) == 4
