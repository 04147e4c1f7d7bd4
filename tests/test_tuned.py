"""`bnbench tune` and `compare --tuned`: a rule that is fixed first, fresh seeds for the winners, and honest sentences.

Most tests replace the training: a function gives the accuracy of each run, and the folders are written by hand.
"""

import json
import statistics
from pathlib import Path

import pytest
from handmade import edit, make_run

from bnbench import tuner
from bnbench.analysis.statistics import difference
from bnbench.errors import ConfigError, Interrupted
from bnbench.runs.format import read_run
from bnbench.runs.tune import read
from bnbench.tuner import load_tuning, parse_grid

LR = "train.optimizer.lr"
ARM = """\
data: {{dataset: mnist5k, valid: 1000, valid_limit: 500, train_limit: 200, batch_size: 50}}
model: {{type: mlp, hidden: [8]}}
norm: {{type: {norm}}}
train: {{epochs: 1, optimizer: {{type: sgd, lr: 0.1}}}}
"""
# The accuracies of the arms at each value, without the noise of a seed.
BEST = {"plain": {0.01: 0.80, 0.1: 0.90, 1: 0.85, 10: 0.10}, "bn": {0.01: 0.70, 0.1: 0.80, 1: 0.91, 10: 0.60}}


def accuracy(config, seed):
    return BEST[config.name.partition(",")[0]][config.train.optimizer.lr] + 0.001 * (seed % 3)


class Training:
    """Stands in for `bnbench.launch.train.train`. `asked` has the folder, the name and the seed of each new run."""

    def __init__(self):
        self.asked = []
        self.accuracy = accuracy
        self.stop_after = None
        self.sha256 = "0" * 64

    def __call__(self, configs, out, data_folder, places, progress, *, force):
        assert (out.parent / "tune.json").is_file(), "the rule is fixed before the first run"
        runs = []
        for config in (one for arm in configs for one in arm.one_per_seed()):
            folder = out / config.name / f"seed-{config.seed}"
            if not folder.exists():
                if self.stop_after == len(self.asked):
                    raise Interrupted("stopped by Ctrl-C", exit_code=130)
                self._write(out, config)
                self.asked.append((out.name, config.name, config.seed))
            runs.append((read_run(folder), True))
        return runs, []

    def _write(self, out, config):
        final = self.accuracy(config, config.seed)
        split = {"train_images": 200, "valid_images": 500, "valid_from": "train", "held_out": config.data.valid}
        tested = config.data.test and final is not None
        path = make_run(
            out,
            config.name,
            config.seed,
            [0.5 if final is None else final],
            config=config.model_dump(exclude={"name", "seeds"}),
            status="diverged" if final is None else "complete",
            test=round(final - 0.02, 4) if tested else None,
            split=split if config.data.test else {**split, "test_images": 0},
        )
        edit(path, dataset={"name": "mnist5k", "sha256": self.sha256})


@pytest.fixture
def training(monkeypatch):
    fake = Training()
    monkeypatch.setattr(tuner, "train", fake)
    return fake


@pytest.fixture
def tune(bnbench, training):
    Path("plain.yaml").write_text(ARM.format(norm="none"))
    Path("bn.yaml").write_text(ARM.format(norm="batch"))

    def run(*options, grid="0.01,0.1,1", configs=("plain.yaml", "bn.yaml")):
        seeds = () if "--seeds" in options else ("--seeds", "0..2")
        return bnbench("tune", *configs, "--grid", f"{LR}={grid}", *seeds, "--tuning-seeds", "7..9", *options)

    return run


def shown(bnbench, *paths):
    result = bnbench("compare", "--tuned", *(paths or ["results/tuned"]), "--format", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_each_arm_is_chosen_on_held_out_images_and_only_the_winners_read_the_test_images(bnbench, tune, training):
    result = tune()
    assert result.exit_code == 0, result.stderr
    grid = [(name, seed) for name in ("plain", "bn") for _ in range(3) for seed in (7, 8, 9)]
    first = [(name.partition(",")[0], seed) for folder, name, seed in training.asked if folder == "tuning"]
    assert first == grid and all("data.test=false" in name for folder, name, _ in training.asked if folder == "tuning")
    final = [(name, seed) for folder, name, seed in training.asked if folder == "final"]
    assert final == [(name, seed) for name in ("plain", f"bn,{LR}=1") for seed in (0, 1, 2)]
    assert {
        path.parent.parent.parent.name for path in Path("results").rglob("run.json") if read_run(path.parent).test
    } == {"final"}
    plain, bn = shown(bnbench)["arms"]
    assert (plain["arm"], plain[LR], bn["arm"], bn[LR]) == ("plain", 0.1, "bn", 1)


def test_equal_settings_and_best_against_best_stand_side_by_side(bnbench, tune):
    tune()
    value = shown(bnbench)
    plain, bn = value["arms"]
    assert value["baseline"] == "plain" and plain["equal_difference"] is None
    # At the baseline's 0.1, batch norm is far behind; each at its best, it is ahead.
    assert bn["equal_difference"] == pytest.approx(-0.10) and bn["best_difference"] == pytest.approx(0.01)
    test = {
        name: {seed: BEST[name][lr] + 0.001 * (seed % 3) - 0.02 for seed in range(3)}
        for name, lr in (("plain", 0.1), ("bn", 1))
    }
    gap = difference(test["bn"], test["plain"])
    assert bn["final_difference"] == pytest.approx(gap.mean) and bn["final_seeds"] == 3
    assert bn["final_accuracy"] == pytest.approx(statistics.mean(test["bn"].values()))  # of the test images
    text = bnbench("compare", "--tuned", "results/tuned").stdout
    assert "equal: lr 0.1" in text and "best against best, test" in text and "which chose nothing" in text
    for form in ("markdown", "csv", "latex"):
        result = bnbench("compare", "--tuned", "results/tuned", "--format", form)
        assert result.exit_code == 0 and "best" in result.stdout


def test_how_flat_each_optimum_is(bnbench, tune):
    tune()
    plain, bn = shown(bnbench)["arms"]
    assert plain[f"{LR}_smaller_costs"] == pytest.approx(0.1) and plain[f"{LR}_larger_costs"] == pytest.approx(0.05)
    assert bn[f"{LR}_edge"] == "largest" and bn[f"{LR}_larger_costs"] is None
    assert [tried["within_1_point"] for tried in plain["tried"]] == ["no", "yes", "no"]


def test_the_same_command_resumes_and_then_trains_nothing(bnbench, tune, training):
    training.stop_after = 10
    assert tune().exit_code == 130
    half = bnbench("compare", "--tuned", "results/tuned")
    assert half.exit_code == 2 and "results/tuned: 10 of 18 tuning runs are finished" in half.stderr
    training.stop_after = 20
    assert tune().exit_code == 130
    half = bnbench("compare", "--tuned", "results/tuned")
    assert half.exit_code == 2 and "2 of 6 final runs are finished" in half.stderr
    training.stop_after = None
    before = Path("results/tuned/tune.json").read_bytes()
    assert tune().exit_code == 0 and len(training.asked) == 24 == len(set(training.asked))
    assert tune().exit_code == 0 and len(training.asked) == 24
    assert Path("results/tuned/tune.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "grid", "sentence"),
    [
        ((), "0.1,1", "train.optimizer.lr lacks 0.01"),
        ((), "0.01,0.1,3", "train.optimizer.lr lacks 1"),
        (("--seeds", "0..4"), "0.01,0.1,1", "the final seeds are 0,1,2, not 0,1,2,3,4"),
        (("--tuning-seeds", "8..9"), "0.01,0.1,1", "the tuning seeds are 7,8,9, not 8,9"),
        (("--set", "data.valid=900"), "0.01,0.1,1", "the held-out images are 1000, not 900"),
        (("edited",), "0.01,0.1,1", "the settings of plain are not those of before"),
    ],
)
def test_another_tuning_in_the_same_folder_is_refused(tune, training, options, grid, sentence):
    tune()
    if options == ("edited",):
        options = ()
        Path("plain.yaml").write_text(Path("plain.yaml").read_text().replace("batch_size: 50", "batch_size: 20"))
    before, trained = Path("results/tuned/tune.json").read_bytes(), len(training.asked)
    result = tune(*options, grid=grid)
    assert result.exit_code == 2 and sentence in result.stderr and "choose another --out" in result.stderr
    assert Path("results/tuned/tune.json").read_bytes() == before and len(training.asked) == trained


def test_a_wider_grid_continues_and_says_that_the_test_images_were_read_twice(bnbench, tune, training):
    BEST["bn"][10] = 0.95
    result = tune()
    assert "WARNING: bn: its best lr is the largest of the grid, so a better one may lie outside" in result.stderr
    assert f"run the same command with --grid {LR}=0.01,0.1,1,10" in result.stderr
    trained = len(training.asked)
    result = tune(grid="0.01,0.1,1,10")
    BEST["bn"][10] = 0.60
    assert result.exit_code == 0, result.stderr
    assert len(training.asked) == trained + 2 * 3 + 3  # the new value of each arm, and the new winner
    value = shown(bnbench)
    assert value["arms"][1][LR] == 10 and value["grid"] == {LR: [0.01, 0.1, 1, 10]}
    assert any("bn read the test images at 2 values (lr 1; lr 10)" in text for text in value["sentences"])
    assert read(Path("results/tuned")).widened == ({LR: (0.01, 0.1, 1)},)


def test_with_no_final_the_choices_are_shown_and_the_test_images_stay_unread(tune, training):
    result = tune("--no-final")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "plain: lr 0.1, 90.10 % on the held-out images",
        "bn: lr 1, 91.10 % on the held-out images",
    ]
    assert {folder for folder, *_ in training.asked} == {"tuning"} and "WARNING: bn: its best lr" in result.stderr
    assert tune().exit_code == 0 and len(training.asked) == 18 + 6


def test_a_wider_grid_is_for_every_arm_and_an_arm_may_join(tune, training):
    tune(configs=("plain.yaml",))
    assert tune(configs=("bn.yaml",)).exit_code == 0  # the same grid, rule and seeds
    result = tune(configs=("bn.yaml",), grid="0.01,0.1,1,10")
    assert result.exit_code == 2 and "a wider grid is for every arm; name the configs of plain too" in result.stderr
    assert tune(grid="0.01,0.1,1,10").exit_code == 0


def test_a_dry_run_lists_the_runs_and_writes_nothing(tune, training):
    result = tune("--dry-run")
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 18
    assert "18 runs: 0 complete, 0 to resume, 18 to start" in result.stderr and "then 6 final runs" in result.stderr
    assert not Path("results").exists() and training.asked == []


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        (f"{LR}=0.1", "needs two values or more to choose from"),
        (f"{LR}=0.1,0.1", "names a value twice"),
        (f"{LR}=0.1,1e-1", "names a value twice"),
        (f"{LR}=0.1,high", "high is no number"),
        ("data.drop_last=true,false", "true is no number"),
        (f"{LR}=", "must be KEY=VALUE,VALUE"),
        (f"{LR}", "must be KEY=VALUE,VALUE"),
        (f"{LR}=0.1,[1", "not valid YAML"),
        ("train.epochs=1,2", "every arm and value has the same train.epochs"),
        ("data.valid=1,2", "every arm and value has the same data.valid"),
        ("seeds=1,2", "every arm and value has the same seeds"),
    ],
)
def test_a_grid_that_cannot_be_tuned_over_is_named(grid, sentence):
    with pytest.raises(ConfigError, match="--grid") as error:
        parse_grid([grid])
    assert sentence in str(error.value)


def test_two_keys_make_a_product_and_one_key_stands_once():
    assert parse_grid([f"{LR}=1,0.1", "train.optimizer.momentum=0.9,0"]) == {
        LR: (0.1, 1),
        "train.optimizer.momentum": (0, 0.9),
    }
    with pytest.raises(ConfigError, match="is there twice"):
        parse_grid([f"{LR}=1,2", f"{LR}=3,4"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("valid: 1000", "valid: 500"), "data.valid is 1000 in plain and 500 in bn"),
        (("valid_limit: 500", "valid_limit: 400"), "data.valid_limit is 500 in plain and 400 in bn"),
        (("epochs: 1", "epochs: 2"), "train.epochs is 1 in plain and 2 in bn"),
    ],
)
def test_arms_that_would_not_be_tuned_alike_are_refused(tune, training, change, sentence):
    Path("bn.yaml").write_text(Path("bn.yaml").read_text().replace(*change))
    result = tune()
    assert result.exit_code == 2 and sentence in result.stderr and not Path("results").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--seeds", "5..7"), "--tuning-seeds: 7 is a final seed too"),
        (("--seeds", "x"), "--seeds x: 'x' is not a seed"),
        (("--set", "seeds=3"), "--set seeds=3: is fixed in a tuning"),
        (("--set", "data.test=false"), "--set data.test=false: is fixed in a tuning"),
        (("--set", "norm.x=3"), "norm.x"),
    ],
)
def test_options_that_would_spoil_the_tuning_are_refused(tune, training, options, sentence):
    result = tune(*options)
    assert result.exit_code == 2 and sentence in result.stderr and not Path("results").exists()


def test_without_held_out_images_a_sixth_is_held_out_and_that_is_said(bnbench, tmp_path):
    Path("a.yaml").write_text(ARM.format(norm="none").replace("valid: 1000, valid_limit: 500, ", ""))
    said = []
    tuning = load_tuning([Path("a.yaml")], parse_grid([f"{LR}=0.1,1"]), say=said.append)
    assert tuning.plan.held_out == 4_000 // 6 and "the last 666 training images are held out" in said[0]
    assert list(tuning.configs) == ["a"]
    for (first, winner), lr in zip(tuning.configs["a"].values(), (0.1, 1), strict=True):
        assert first.train.optimizer.lr == winner.train.optimizer.lr == lr
        assert first.seeds == [1000, 1001, 1002] and winner.seeds == list(range(10))
        assert not first.data.test and winner.data.test and first.data.fallback == "error"


def test_an_arm_that_diverges_at_every_value_has_no_choice_and_the_others_are_compared(bnbench, tune, training):
    training.accuracy = lambda config, seed: (
        None if config.norm.type == "none" and seed == 8 else accuracy(config, seed)
    )
    result = tune()
    assert result.exit_code == 0, result.stderr
    assert "plain: a run diverged at every value, so it has no choice" in result.stdout
    plain, bn = shown(bnbench)["arms"]
    assert plain[LR] is None and bn[LR] == 1 and bn["final_seeds"] == 3 and bn["equal_accuracy"] is None


def test_if_every_arm_diverges_at_every_value_nothing_reads_the_test_images(bnbench, tune, training):
    training.accuracy = lambda config, seed: None
    result = tune()
    assert result.exit_code == 2 and "a run diverged at every value of every arm" in result.stderr
    assert not Path("results/tuned/final").exists()
    result = bnbench("compare", "--tuned", "results/tuned")
    assert result.exit_code == 2 and "a run diverged at every value of every arm" in result.stderr


def test_a_diverged_value_is_never_chosen_and_the_step_to_it_says_so(bnbench, tune, training):
    training.accuracy = lambda config, seed: (
        None if config.train.optimizer.lr == 1 and seed == 8 else accuracy(config, seed)
    )
    text = tune().stdout
    assert [arm[LR] for arm in shown(bnbench)["arms"]] == [0.1, 0.1] and "/ diverges" in text


def test_two_tunings_are_compared_only_if_they_are_alike(bnbench, tune, training):
    tune("--out", "one", configs=("plain.yaml",))
    tune("--out", "two", configs=("bn.yaml",))
    assert [arm["arm"] for arm in shown(bnbench, "one", "two")["arms"]] == ["plain", "bn"]
    tune("--out", "wide", configs=("bn.yaml",), grid="0.01,0.1,1,10")
    tune("--out", "fewer", "--set", "data.valid=900", configs=("bn.yaml",))
    training.sha256 = "1" * 64
    tune("--out", "other", configs=("bn.yaml",))
    for folder, sentence in (
        ("wide", "the grid of train.optimizer.lr is 0.01,0.1,1, not 0.01,0.1,1,10"),
        ("fewer", "the held-out images are 1000, not 900"),
        ("other", "plain and bn were not tuned alike: dataset_sha256 is 0000"),
        ("one", "plain is an arm of another tuning too"),
    ):
        result = bnbench("compare", "--tuned", "one", folder)
        assert result.exit_code == 2 and sentence in result.stderr, result.stderr


def test_what_is_no_tuning_is_a_sentence(bnbench, tune):
    result = bnbench("compare", "--tuned", "results")
    assert result.exit_code == 2 and "results: has no tune.json" in result.stderr
    tune()
    assert "perhaps results/tuned" in bnbench("compare", "--tuned", "results").stderr
    result = bnbench("compare", "--tuned", "results/tuned", "--by", LR, "--same", "1")
    assert result.exit_code == 2 and "leave out --same, --by" in result.stderr
    result = bnbench("compare", "--tuned", "results/tuned", "--baseline", "plian")
    assert result.exit_code == 2 and "did you mean plain?" in result.stderr
    path = Path("results/tuned/tune.json")
    for damaged in ("{", "[]", path.read_text().replace('"grid"', '"grids"'), path.read_text().replace("0.01", "true")):
        path.write_text(damaged)
        result = bnbench("compare", "--tuned", "results/tuned")
        assert result.exit_code == 3 and f"{path}: is" in result.stderr


def test_tune_trains_and_leaves_the_test_images_unread(bnbench):
    """The real training, once: small, and from a config whose grid is of another key."""
    text = ARM.format(norm="none") + "grid: {norm.type: [none, batch]}\n"
    Path("both.yaml").write_text(text)
    command = ("tune", "both.yaml", "--grid", f"{LR}=0.05,0.5", "--seeds", "0", "--tuning-seeds", "1..2", "--quiet")
    result = bnbench(*command)
    assert result.exit_code == 0, result.stderr
    runs = [read_run(path.parent) for path in sorted(Path("results").rglob("run.json"))]
    assert len(runs) == 2 * 2 * 2 + 2 and sorted(run.tested for run in runs) == [False] * 8 + [True] * 2
    assert "both,norm.type=batch" in result.stdout
    assert bnbench(*command).stdout == result.stdout
