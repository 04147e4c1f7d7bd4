"""`bnbench plan`: numbers from hand-made runs, what cannot be shown, bad input, a pilot, and the line of `run`."""

import doctest
import json

import numpy as np
import pytest
import yaml
from conftest import TINY
from handmade import edit, make_config, make_run

from bnbench.analysis import planning
from bnbench.analysis.maxt import max_t
from bnbench.analysis.planning import dunnett_level, seeds, simulated_power, smallest_difference
from bnbench.analysis.power import Spread, seeds_to_detect
from bnbench.runs.provenance import provenance

GAPS = [0.010, 0.014, 0.006, 0.012, 0.008, 0.010]  # sd 0.283 points


@pytest.fixture
def study(tmp_path):
    """Two configs, and six finished runs of each, made on this machine: 5 + 0.5 · epoch seconds an epoch."""
    here = {"provenance": {key: provenance()[key] for key in ("processor", "platform", "cores")}}
    for name, norm in (("none", "none"), ("batch", "batch")):
        config = make_config(norm)
        config = {**config, "device": "cpu"}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config))
        for seed, gap in enumerate(GAPS):
            final = 0.95 + (gap if norm == "batch" else 0.0)
            make_run(tmp_path / "results", name, seed, [0.8, 0.9, final], config=config, **here)
    return tmp_path


def plan(bnbench, *arguments):
    return bnbench("plan", "none.yaml", "batch.yaml", *arguments)


def test_seeds_time_and_power_from_finished_runs(bnbench, study):
    result = plan(bnbench, "--detect", "0.3", "--format", "json", "--jobs", "2", "--seeds", "0..7")
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    (row,) = value["arms"]
    sd = np.std(GAPS, ddof=1)
    assert (row["arm"], row["baseline"], row["pairs"], row["comparisons"]) == ("batch", "none", 6, 1)
    assert row["difference_sd"] == pytest.approx(sd) and row["images_sd"] == 0
    expected = seeds(0.003, Spread.of(sd), 6, 1, 0.8)
    assert (row["seeds"], row["seeds_cautious"], row["seeds_same"]) == tuple(vars(expected).values())
    assert row["seeds"] == pytest.approx(seeds_to_detect(0.003, Spread.of(sd)), abs=1)
    assert row["seeds_cautious"] > row["seeds"] and value["seeds_needed"] == row["seeds_cautious"]
    assert row["seeds_asked"] == 8 and row["power_asked"] < 0.8 and row["difference_asked"] > 0.003
    epoch = np.median([2.5 + i + seed for i in (1, 2, 3) for seed in range(6)])
    assert row["run_seconds"] == pytest.approx(3 * epoch)
    assert value["seconds"] == pytest.approx(2 * 3 * epoch * value["seeds_needed"] / 2)


def test_the_table_and_its_sentences(bnbench, study):
    result = plan(bnbench, "--detect", "0.3", "--jobs", "1", "--seeds", "0..2")
    out = result.stdout
    assert result.exit_code == 0 and "none" in out and "0.28" in out
    assert "of each arm. A true difference of 0.30 points is then found in 80 of 100 studies." in out
    assert "The configs ask for 3 seeds. These cannot show a difference: the test needs 6 pairs." in out
    assert "on this machine" in out and "the same within 0.30 points" in out
    enough = plan(bnbench, "--detect", "0.3", "--seeds", "0..99").stdout
    assert "The 100 seeds of the configs are enough" in enough
    few = plan(bnbench, "--detect", "0.3", "--seeds", "0..6").stdout
    assert "cannot be shown reliably" in few


def test_a_run_of_another_machine_tells_no_time(bnbench, study):
    edit(study / "results/batch/seed-0", provenance={"processor": "another"})
    for seed in range(1, 6):
        edit(study / f"results/batch/seed-{seed}", provenance={})
    result = plan(bnbench)
    assert "The time is not known: the finished runs are from another machine." in result.stdout
    assert json.loads(plan(bnbench, "--format", "json").stdout)["seconds"] is None


def test_images_that_vary_too_much_are_said(bnbench, study):
    """In every seed, 200 images are wrong in one arm and 200 others in the other: images alone give ± 0.4 points."""
    for name, start in (("none", 0), ("batch", 200)):
        for seed in range(6):
            wrong = [*range(start, start + 200), *range(5_000, 5_000 + (5 * seed % 7 if name == "batch" else 0))]
            config = {**make_config(name), "device": "cpu"}
            make_run(study / "images", name, seed, [0.8, 0.9, 1 - len(wrong) / 10_000], config=config, mistakes=wrong)
    result = plan(bnbench, "--from", "images")
    assert result.exit_code == 0, result.stderr
    assert "No number of seeds finds a difference of 0.30 points" in result.stdout and "never" in result.stdout
    assert "The 10,000 test images alone vary too much" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--power", "1"], "--power 1: must be between 0.5 and 0.99"),
        (["--power", "nan"], "--power nan"),
        (["--power", "80"], "--power 80: must be between 0.5 and 0.99; write 0.8 for 80 %"),
        (["--detect", "0"], "--detect 0: must be above 0"),
        (["--detect", "-0.3"], "--detect -0.3"),
        (["--detect", "inf"], "--detect inf"),
        (["--detect", "101"], "points of accuracy"),
        (["--at", "9"], "--at 9 is beyond the last epoch"),
        (["--metric", "test_accuracy"], "data.valid"),
        (["--from", "nowhere"], "nowhere has no complete run of none, batch; --from names another folder"),
        (["--set", "train.epochs=7"], "has no complete run of"),
        (["--baseline", "batche"], "did you mean batch?"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_2(bnbench, study, arguments, said):
    result = plan(bnbench, *arguments)
    assert result.exit_code == 2 and said in result.stderr, result.stderr
    assert result.stdout == "" and "Traceback" not in result.stderr


def test_one_config_under_two_names_counts_once(bnbench, study):
    (study / "again.yaml").write_text((study / "batch.yaml").read_text())
    result = bnbench("plan", "none.yaml", "batch.yaml", "again.yaml", "--format", "json")
    assert [row["comparisons"] for row in json.loads(result.stdout)["arms"]] == [1, 1]


def test_one_config_is_no_study(bnbench, study):
    result = bnbench("plan", "none.yaml")
    assert result.exit_code == 2 and "name a second config" in result.stderr


def test_one_seed_or_no_spread_cannot_be_planned_from(bnbench, study):
    for seed in range(1, 6):
        edit(study / f"results/batch/seed-{seed}", status="interrupted")
    result = plan(bnbench)
    assert result.exit_code == 2 and "batch - none: one seed in common" in result.stderr
    result = bnbench("plan", "none.yaml", "none.yaml")
    assert result.exit_code == 2
    (study / "again.yaml").write_text((study / "none.yaml").read_text())
    result = bnbench("plan", "none.yaml", "again.yaml", "--baseline", "none")
    assert result.exit_code == 2 and "the same difference in all 6 seeds, so there is no spread" in result.stderr


def test_a_pilot_is_trained_and_kept(bnbench, tmp_path):
    for name, norm in (("a", "none"), ("b", "batch")):
        text = TINY.replace("name: tiny", f"name: {name}").replace("{type: batch}", f"{{type: {norm}}}")
        (tmp_path / f"{name}.yaml").write_text(text)
    result = bnbench("plan", "a.yaml", "b.yaml", "--pilot", "2", "--quiet", "--detect", "5")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "results/a").iterdir()) == ["seed-0", "seed-1"]
    assert "2 pairs of seeds hardly show the spread" in result.stdout and "on this machine" in result.stdout
    again = bnbench("plan", "a.yaml", "b.yaml", "--detect", "5")
    assert again.stdout == result.stdout
    trained = bnbench("run", "a.yaml", "b.yaml", "--seeds", "0..1")
    assert "2 seeds cannot show a difference: the test needs 6 pairs. To plan the seeds: bnbench plan" in trained.stderr


def test_run_is_silent_where_nothing_is_known(bnbench, study):
    from bnbench.analysis.pilot import known
    from bnbench.config.load import load_configs
    from bnbench.report.plan import line

    configs = load_configs([study / "none.yaml", study / "batch.yaml"])
    assert known(configs, study / "nowhere") == []
    (measured,) = known(configs, study / "results")
    assert line([measured], 10, 0.8).startswith("10 seeds find a difference of 0.29 points")
    for seed in range(1, 6):
        edit(study / f"results/batch/seed-{seed}", status="failed")
    assert known(configs, study / "results") == []


def test_the_example_of_the_docstring():
    assert doctest.testmod(planning).failed == 0


@pytest.mark.parametrize(("n", "comparisons"), [(6, 1), (8, 4)])
def test_simulated_power_is_that_of_the_tests_themselves(n, comparisons):
    """Against max_t and scipy's interval, study by study, with random numbers of their own."""
    from scipy import stats

    rng, found = np.random.default_rng(7), 0
    for _ in range(600):
        noise = rng.normal(size=(n, comparisons + 1))
        gaps = noise[:, :1] if comparisons == 1 else (noise[:, 1:] - noise[:, :1]) / np.sqrt(2)
        gaps = gaps + 1.3 * (np.arange(comparisons) == 0)
        p = max_t([dict(enumerate(arm)) for arm in gaps.T])[0]
        low, high = stats.ttest_1samp(gaps[:, 0], 0).confidence_interval()
        found += p <= 0.05 and not low <= 0 <= high
    assert simulated_power(1.3, Spread.of(1.0), n, comparisons) == pytest.approx(found / 600, abs=0.06)


def test_the_level_of_each_test_is_dunnetts():
    """scipy's Dunnett quantile, for many degrees of freedom and two, three and five arms of one size."""
    from scipy import stats

    for arms in (2, 4):
        c = stats.norm.isf(dunnett_level(arms) / 2)
        corner = np.full((arms, arms), 0.5) + 0.5 * np.eye(arms)
        inside = stats.multivariate_normal(cov=corner).cdf(np.full(arms, c), lower_limit=np.full(arms, -c))
        assert inside == pytest.approx(0.95, abs=2e-3)


def test_more_arms_and_images_need_more_seeds():
    alone = seeds(0.3, Spread.of(0.39), 10, 1, 0.8)
    assert alone.needed == 16 and seeds(0.3, Spread.of(0.39), 10, 14, 0.8).needed > 16
    assert seeds(0.3, Spread(0.39**2, 0.03**2, 9_999), 10, 1, 0.8).needed > 16
    assert seeds(0.3, Spread.of(0.39), 3, 1, 0.8).cautious > 2 * alone.needed
    assert seeds(0.3, Spread(0.39**2, 0.2**2, 9_999), 10, 1, 0.8).needed is None
    assert smallest_difference(Spread.of(0.39), 5, 1, 0.8) is None
