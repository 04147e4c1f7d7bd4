"""`bnbench compare` as evidence: baselines, differences, targets, gates, held-out images; every number checked."""

import csv
import io
import json
import statistics

import numpy as np
import pytest
from handmade import edit, make_config, make_run
from scipy import stats

NONE = [0.9000, 0.9020, 0.8970, 0.9010, 0.8990]
BATCH = [0.9110, 0.9100, 0.9085, 0.9125, 0.9095]
LAYER = [0.9005, 0.9000, 0.8995, 0.9015, 0.8990]


@pytest.fixture
def results(tmp_path):
    """Three arms of five seeds and three epochs; the first without a norm. No run has its mistakes.csv."""
    folder = tmp_path / "r"
    for arm, norm, finals in (("plain", "none", NONE), ("bn", "batch", BATCH), ("ln", "layer", LAYER)):
        for seed, final in enumerate(finals):
            make_run(folder, arm, seed, [final - 0.3, final - 0.1, final], config=make_config(norm))
    return folder


def rows_of(result):
    assert result.exit_code == 0, result.stderr
    return {row["arm"]: row for row in csv.DictReader(io.StringIO(result.stdout))}


def numbers(row, *fields):
    return tuple(float(row[field]) for field in fields)


def test_every_number_against_scipy(bnbench, results):
    rows = rows_of(bnbench("compare", results, "--target", "0.80", "--early", "2", "--format", "csv"))
    ps = {}
    for arm, finals in (("plain", NONE), ("bn", BATCH), ("ln", LAYER)):
        row = rows[arm]
        for field, values in (
            ("final_valid_accuracy", finals),
            ("best_valid_accuracy", finals),
            ("early_valid_accuracy", [value - 0.2 for value in finals]),
        ):
            interval = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
            got = numbers(row, field, f"{field}_sd", f"{field}_low", f"{field}_high")
            assert got == pytest.approx((np.mean(values), np.std(values, ddof=1), *interval), abs=1e-12), (arm, field)
        seconds = [3.0 + seed + epoch for seed in range(5) for epoch in range(3)]  # make_run's: 2 + epoch + seed
        assert float(row["epoch_seconds"]) == np.median(seconds)
        epochs = [2 if final - 0.1 >= 0.80 else 3 for final in finals]
        spent = [sum(2.0 + epoch + seed for epoch in range(1, last + 1)) for seed, last in enumerate(epochs)]
        assert (row["reached"], row["reached_of"], row["target"]) == ("5", "5", "0.8")
        assert numbers(row, "epochs_to_target", "seconds_to_target") == (np.median(epochs), np.median(spent))
        if arm != "plain":
            test = stats.ttest_rel(finals, NONE)
            interval = test.confidence_interval(0.95)
            got = numbers(row, "difference", "difference_low", "difference_high")
            assert got == pytest.approx((np.mean(finals) - np.mean(NONE), interval.low, interval.high), abs=1e-12)
            gaps = np.array(finals) - np.array(NONE)
            ps[arm] = stats.permutation_test((gaps,), np.mean, permutation_type="samples").pvalue
            assert float(row["p"]) == pytest.approx(ps[arm])
            assert (row["baseline"], row["paired"], row["pairs"]) == ("plain", "True", "5")
    assert rows["bn"]["p_adjusted"] == "" and rows["bn"]["not_tested"] == "too few seeds"
    assert rows["bn"]["difference_over"] == rows["bn"]["final_valid_accuracy_over"] == "seeds"
    for field in ("difference", "difference_low", "p", "p_adjusted", "pairs"):
        assert rows["plain"][field] == ""  # a baseline has no difference, not a difference of 0


def test_the_table_marks_what_is_not_told_apart(bnbench, results):
    lines = bnbench("compare", results).stdout.split("\n")
    cells = {line.split("  ")[0].strip(): line for line in lines[3:6]}
    gaps = np.array(BATCH) - np.array(NONE)
    half = 100 * stats.t.ppf(0.975, 4) * gaps.std(ddof=1) / np.sqrt(5)
    mean = 100 * gaps.mean()
    assert f"{mean:+.2f}? [{mean - half:+.2f}, {mean + half:+.2f}]" in cells["bn"] and "~" not in cells["bn"]
    assert "~ [" in cells["ln"] and "baseline" in cells["plain"]
    assert "too few seeds" in cells["bn"]  # in place of p
    assert lines[3].startswith("plain")  # the baseline comes first


def test_ten_seeds_establish_a_difference(bnbench, tmp_path):
    for seed in range(10):
        make_run(tmp_path / "r", "plain", seed, [0.90 + seed / 1e4], config=make_config())
        make_run(tmp_path / "r", "bn", seed, [0.91 + seed % 3 / 1e4], config=make_config("batch"))
    out = " ".join(bnbench("compare", tmp_path / "r").stdout.split())
    assert "Different: bn is ahead of plain: +0.96 points [" in out and "], p 0.002." in out and "Too few" not in out
    out = " ".join(bnbench("compare", tmp_path / "r", "--metric", "train_loss").stdout.split())
    assert "ahead" not in out and "behind" not in out  # make_run gives all the same loss
    assert "~ [0.0000, 0.0000] identical" in out and "Identical to plain in every seed: bn." in out


def test_one_seed_without_its_mistakes_has_no_interval_anywhere(bnbench, tmp_path):
    make_run(tmp_path / "r", "plain", 0, [0.90], config=make_config())
    make_run(tmp_path / "r", "bn", 0, [0.91], config=make_config("batch"))
    result = bnbench("compare", tmp_path / "r")
    assert "±" not in result.stdout.split("±, [ ]")[0] and "[" not in result.stdout.split("±, [ ]")[0]
    assert "+1.00" in result.stdout and "Take care: one seed (plain, bn)." in result.stdout
    row = rows_of(bnbench("compare", tmp_path / "r", "--format", "csv"))["bn"]
    assert float(row["difference"]) == pytest.approx(0.01) and row["pairs"] == "1"
    for field in ("final_valid_accuracy_sd", "final_valid_accuracy_low", "final_valid_accuracy_over", "p"):
        assert row[field] == ""
    for field in ("difference_low", "difference_over", "p_adjusted"):
        assert row[field] == ""
    (group,) = json.loads(bnbench("compare", tmp_path / "r", "--format", "json").stdout)["groups"]
    assert group["arms"][1]["difference_low"] is None and group["arms"][1]["p"] is None


def test_seeds_that_do_not_match_are_unpaired(bnbench, tmp_path):
    for seed, (a, b) in enumerate(zip(NONE, BATCH, strict=True)):
        make_run(tmp_path / "r", "plain", seed, [a], config=make_config())
        make_run(tmp_path / "r", "bn", seed + 100, [b], config=make_config("batch"))
    row = rows_of(bnbench("compare", tmp_path / "r", "--format", "csv"))["bn"]
    test = stats.ttest_ind(BATCH, NONE, equal_var=False)
    interval = test.confidence_interval(0.95)
    assert numbers(row, "difference_low", "difference_high", "p") == pytest.approx((*interval, test.pvalue), abs=1e-12)
    assert row["paired"] == "False" and row["pairs"] == ""
    assert "] unpaired" in bnbench("compare", tmp_path / "r").stdout


def test_a_lost_seed_costs_its_pair_alone_and_is_counted(bnbench, results):
    edit(results / "bn/seed-1", status="diverged")
    (results / "ln/seed-4/run.json").unlink()
    make_run(results, "ln", 7, [0.1], status="interrupted", epochs=3, config=make_config("layer"))
    result = bnbench("compare", results, "--format", "csv")
    rows = rows_of(result)
    test = stats.ttest_rel([BATCH[i] for i in (0, 2, 3, 4)], [NONE[i] for i in (0, 2, 3, 4)])
    assert numbers(rows["bn"], "difference_low", "difference_high") == pytest.approx(
        test.confidence_interval(), abs=1e-12
    )
    assert (rows["bn"]["seeds"], rows["bn"]["diverged"], rows["bn"]["pairs"]) == ("4", "1", "4")
    assert (rows["ln"]["seeds"], rows["ln"]["unfinished"]) == ("4", "1")
    assert (
        "diverged after epoch 3, so not in any mean" in result.stderr and "not finished (interrupted)" in result.stderr
    )
    out = bnbench("compare", results).stdout
    assert "4 + 1 diverged" in out and "4 + 1 unfinished" in out
    assert "diverged runs left out (bn (4 + 1 diverged))" in out
    out = bnbench("compare", results, "--explain").stdout
    assert "Means leave out diverged runs, so they are too good: bn (4 + 1 diverged)." in out


def test_each_model_has_its_own_baseline(bnbench, results):
    for seed, final in enumerate(NONE):
        make_run(results, "cnn", seed, [final] * 3, config=make_config(model="cnn"))
        make_run(results, "cnn_bn", seed, [final + 0.01] * 3, config=make_config("batch", model="cnn"))
        make_run(results, "plain_lr1", seed, [final] * 3, config=make_config(lr=1.0))
        make_run(results, "bn_lr1", seed, [final + 0.02] * 3, config=make_config("batch", lr=1.0))
    rows = rows_of(bnbench("compare", results, "--format", "csv"))
    assert {arm: row["baseline"] for arm, row in rows.items()} == {
        "cnn": "cnn",
        "cnn_bn": "cnn",
        "plain": "plain",
        "bn": "plain",
        "ln": "plain",
        "plain_lr1": "plain_lr1",
        "bn_lr1": "plain_lr1",
    }
    assert list(rows) == ["cnn", "cnn_bn", "plain", "bn", "ln", "plain_lr1", "bn_lr1"]  # each family together
    chosen = rows_of(bnbench("compare", results, "--baseline", "ln", "--format", "csv"))
    assert {row["baseline"] for row in chosen.values()} == {"ln"}


def test_the_nearest_of_several_baselines_is_taken(bnbench, results):
    for arm, norm, bias in (("plain_auto", "none", "auto"), ("bn_auto", "batch", "auto"), ("bn_false", "batch", False)):
        config = make_config(norm)
        config["model"]["bias"] = bias
        make_run(results, arm, 0, [0.9] * 3, config=config)
    rows = rows_of(bnbench("compare", results, "--format", "csv"))
    assert rows["bn_auto"]["baseline"] == "plain_auto" and rows["bn"]["baseline"] == "plain"
    assert rows["bn_false"]["baseline"] == ""  # one setting from either


def test_a_baseline_that_is_not_there_or_not_one(bnbench, results):
    result = bnbench("compare", results, "--baseline", "plane")
    assert result.exit_code == 2 and "--baseline plane: no such arm; did you mean plain?" in result.stderr
    for seed, final in enumerate(NONE):
        make_run(results / "again", "plain", seed, [final] * 3, config=make_config(lr=0.2))
    result = bnbench("compare", results, "--baseline", "plain")
    assert result.exit_code == 2 and "names 2 arms; choose one of plain#" in result.stderr
    for seed, final in enumerate(NONE):
        make_run(results / "twin", "twin", seed, [final] * 3, config=make_config())
    result = bnbench("compare", results)
    assert "no baseline" in result.stderr and "are equally near; --baseline names one" in result.stderr


def test_no_arm_without_a_norm_is_said(bnbench, tmp_path):
    for arm, norm in (("bn", "batch"), ("ln", "layer")):
        make_run(tmp_path / "r", arm, 0, [0.9], config=make_config(norm))
    out = bnbench("compare", tmp_path / "r").stdout
    assert "Nothing is compared: there is not exactly one arm without a norm. Choose a baseline with --baseline." in out


def test_a_baseline_that_diverged_or_stands_elsewhere_is_said(bnbench, results):
    for seed in range(5):
        edit(results / f"plain/seed-{seed}", status="diverged")
    out = bnbench("compare", results, "--explain").stdout
    assert "Nothing is compared: no run of plain, the baseline, is complete." in out
    assert "Every run diverged, so there is no mean: plain (0 + 5 diverged)." in out
    for arm, norm in (("a", "rms"), ("b", "layer")):
        make_run(results / "more", arm, 0, [0.9] * 4, config=make_config(norm))
    out = bnbench("compare", results, "--baseline", "bn").stdout
    assert "Nothing is compared: bn is not an arm in this table." in out


def test_the_metric_and_when(bnbench, results):
    rows = rows_of(bnbench("compare", results, "--metric", "valid_loss", "--at", "2", "--format", "csv"))
    assert float(rows["bn"]["epoch2_valid_loss"]) == 1.0 and float(rows["bn"]["best_valid_loss"]) == pytest.approx(
        2 / 3
    )
    rows = rows_of(bnbench("compare", results, "--at", "best", "--format", "csv"))
    assert float(rows["bn"]["best_valid_accuracy"]) == pytest.approx(statistics.mean(BATCH))
    care = "Take care: each run's best epoch is chosen on the images that measure it, so expect worse on new images."
    assert care in bnbench("compare", results, "--at", "best").stdout
    result = bnbench("compare", results, "--at", "4")
    assert result.exit_code == 2 and "--at 4 is beyond its last epoch" in result.stderr
    result = bnbench("compare", results, "--at", "0")
    assert result.exit_code == 2 and "must be final, best or an epoch, counted from 1" in result.stderr


def test_runs_that_never_reach_the_target_are_counted_as_later(bnbench, results):
    """The median over all runs; half or more without it, and it is beyond the last epoch."""
    make_run(results, "bn", 9, [0.1] * 3, status="diverged", config=make_config("batch"))
    rows = rows_of(bnbench("compare", results, "--target", "0.9", "--format", "csv"))
    assert (rows["plain"]["reached"], rows["plain"]["reached_of"], rows["plain"]["epochs_to_target"]) == (
        "3",
        "5",
        "3.0",
    )
    assert (rows["bn"]["reached"], rows["bn"]["reached_of"]) == ("5", "6")  # a diverged run has not reached it
    assert rows["ln"]["reached"] == "3"
    rows = rows_of(bnbench("compare", results, "--target", "0.9005", "--format", "csv"))
    assert (rows["plain"]["reached"], rows["plain"]["epochs_to_target"], rows["plain"]["seconds_to_target"]) == (
        "2",
        "",
        "",
    )
    out = bnbench("compare", results, "--target", "0.9005").stdout
    assert "2 of 5, >3 epochs" in out and "5 of 6, epoch 3" in out and "reached 90.05 %" in out
    rows = rows_of(bnbench("compare", results, "--metric", "valid_loss", "--target", "1", "--format", "csv"))
    assert rows["plain"]["epochs_to_target"] == "2.0"  # a loss is reached from above


def test_held_out_runs_stand_apart_and_show_the_test_set_in_its_own_column(bnbench, results):
    for seed, (a, b) in enumerate(zip(NONE, BATCH, strict=True)):
        make_run(results / "held", "plain", seed, [a] * 3, test=a - 0.01, config=make_config())
        make_run(results / "held", "bn", seed, [b] * 3, test=b - 0.02, config=make_config("batch"))
    groups = json.loads(bnbench("compare", results, "--format", "json").stdout)["groups"]
    assert [(group["held_out"], len(group["arms"])) for group in groups] == [(0, 3), (5_000, 2)]
    bn = groups[1]["arms"][1]
    assert bn["test_accuracy"] == pytest.approx(statistics.mean(BATCH) - 0.02) and bn["difference"] > 0.01
    assert "test_accuracy" not in groups[0]["arms"][0]
    out = bnbench("compare", results / "held").stdout
    assert "55,000 training and 5,000 held-out training images" in out and "test %" in out
    result = bnbench("compare", results, "--metric", "test_accuracy", "--format", "json")
    (group,) = json.loads(result.stdout)["groups"]
    assert group["arms"][1]["difference"] == pytest.approx(statistics.mean(BATCH) - statistics.mean(NONE) - 0.01)
    assert "not shown: mnist, 60,000 training and 10,000 test images, 3 epochs: --metric test_accuracy" in result.stderr


def test_the_interval_of_the_final_accuracy_is_over_seeds_and_images(bnbench, tmp_path):
    """Of 10,000 images the plain arm gets 1,000 wrong, the other 900 of them: only the images vary."""
    for seed in range(3):
        make_run(tmp_path / "r", "plain", seed, [0.90], config=make_config(), mistakes=range(1_000))
        make_run(tmp_path / "r", "bn", seed, [0.91], config=make_config("batch"), mistakes=range(900))
    row = rows_of(bnbench("compare", tmp_path / "r", "--format", "csv"))["bn"]
    gaps = np.repeat([0.0, 1.0], [9_900, 100])
    interval = stats.ttest_1samp(gaps, 0).confidence_interval()
    assert numbers(row, "difference_low", "difference_high") == pytest.approx(tuple(interval))
    assert row["difference_over"] == row["final_valid_accuracy_over"] == "seeds and images"
    assert numbers(row, "share_seeds", "share_images", "share_both") == (0, 1, 0)
    assert numbers(row, "best_valid_accuracy_low", "best_valid_accuracy_high") == (0.91, 0.91)
    assert row["best_valid_accuracy_over"] == "seeds"
    out = bnbench("compare", tmp_path / "r").stdout
    assert "95 % intervals over seeds and images." in out
    assert "0/100/0" in bnbench("compare", tmp_path / "r", "--columns", "shares").stdout and "0/100/0" not in out
    row = rows_of(bnbench("compare", tmp_path / "r", "--at", "1", "--format", "csv"))["bn"]
    assert row["difference_over"] == row["epoch1_valid_accuracy_over"] == "seeds"


def test_one_seed_has_an_interval_over_images_alone(bnbench, tmp_path):
    make_run(tmp_path / "r", "plain", 0, [0.90], config=make_config(), mistakes=range(1_000))
    make_run(tmp_path / "r", "bn", 0, [0.91], config=make_config("batch"), mistakes=range(900))
    row = rows_of(bnbench("compare", tmp_path / "r", "--format", "csv"))["bn"]
    wilson = stats.binomtest(9_100, 10_000).proportion_ci(method="wilson")
    low, high = numbers(row, "final_valid_accuracy_low", "final_valid_accuracy_high")
    assert high - low == pytest.approx(wilson.high - wilson.low)
    interval = stats.ttest_1samp(np.repeat([0.0, 1.0], [9_900, 100]), 0).confidence_interval()
    assert numbers(row, "difference_low", "difference_high") == pytest.approx(tuple(interval))
    assert row["difference_over"] == "images" and row["not_tested"] == "too few seeds"
    out = bnbench("compare", tmp_path / "r").stdout
    assert "95 % intervals over images." in out and "Take care: one seed (plain, bn)." in out


def test_a_cell_names_its_interval_where_the_others_have_another(bnbench, tmp_path):
    for seed in range(3):
        make_run(tmp_path / "r", "plain", seed, [0.90], config=make_config(), mistakes=range(1_000))
        make_run(tmp_path / "r", "bn", seed, [0.91], config=make_config("batch"), mistakes=range(900))
        make_run(tmp_path / "r", "ln", seed, [0.91 + seed / 100], config=make_config("layer"))
    make_run(tmp_path / "r", "rms", 0, [0.91], config=make_config("rms"), mistakes=range(900))
    result = bnbench("compare", tmp_path / "r")
    lines = {line.split("  ")[0]: line for line in result.stdout.split("\n")}
    assert "over" not in lines["plain"] + lines["bn"] and "over images  +1.00? [" in lines["rms"]
    assert lines["ln"].count("over seeds") == 2 and "+2.00? [" not in lines["ln"]
    assert "no interval over test images for ln: " in result.stderr and "ln/seed-0/mistakes.csv: is m" in result.stderr
    assert "is missing (normal for runs that are kept without it, as in results/norms)" in result.stderr


def test_bootstrap_is_gone_and_says_so(bnbench, results):
    result = bnbench("compare", results, "--bootstrap")
    assert result.exit_code == 2 and "--bootstrap: is gone; without it, the interval" in result.stderr
    assert "--bootstrap" not in bnbench("compare", "--help").stdout


def test_images_can_put_a_difference_in_doubt(bnbench, tmp_path):
    """Ten more of 10,000 images are right at every seed: certain over seeds, and nothing over images."""
    for seed in range(6):
        make_run(tmp_path / "r", "plain", seed, [0.9000], config=make_config(), mistakes=range(1_000))
        wrong = [*range(500, 1_000), *range(2_000, 2_490)]
        make_run(tmp_path / "r", "bn", seed, [0.9010], config=make_config("batch"), mistakes=wrong)
    assert "+0.10 [+0.10, +0.10]" in bnbench("compare", tmp_path / "r", "--at", "1").stdout
    out = bnbench("compare", tmp_path / "r").stdout
    assert "~ [-0.52, +0.72]" in out and "Different on these images, but unknown on other images: bn." in out
    assert "Of this uncertainty 0 % is seeds, 100 % images, 0 % both: more test images help" in out


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text(path.read_text() + "9999,1,2\n"),
        lambda path: path.write_text(path.read_text()[:-2]),
        lambda path: path.write_text(path.read_text().replace("7,3,5", "7,3,five")),
        lambda path: path.write_text(path.read_text().replace("\n7,", "\n6,")),
        lambda path: path.write_text("image\n"),
        lambda path: path.write_text(""),
        lambda path: path.write_bytes(b"\xff\xfe"),
    ],
)
@pytest.mark.parametrize("seeds", [1, 3])
def test_mistakes_that_are_missing_or_damaged_cost_the_interval_over_images(bnbench, tmp_path, damage, seeds):
    for seed in range(seeds):
        make_run(tmp_path / "r", "plain", seed, [0.90], config=make_config(), mistakes=range(1_000))
        make_run(tmp_path / "r", "bn", seed, [0.91], config=make_config("batch"), mistakes=range(900))
    damage(tmp_path / "r/bn/seed-0/mistakes.csv")
    result = bnbench("compare", tmp_path / "r", "--format", "csv")
    row = rows_of(result)["bn"]
    assert row["difference_over"] == ("seeds" if seeds > 1 else "") and float(row["difference"]) == pytest.approx(0.01)
    assert "no interval over test images for bn: " in result.stderr and "bn/seed-0/mistakes.csv" in result.stderr


def test_settings_that_differ_are_columns(bnbench, results):
    rows = rows_of(bnbench("compare", results, "--format", "csv"))
    assert {arm: row["norm.type"] for arm, row in rows.items()} == {"plain": "none", "bn": "batch", "ln": "layer"}
    assert "train.optimizer.lr" not in rows["bn"]
    assert "norm.affine" not in rows["bn"]  # the same in the arms that have it
    whole = rows_of(bnbench("compare", results, "--format", "csv", "--all-config"))["bn"]
    assert whole["train.optimizer.lr"] == "0.1" and whole["norm.affine"] == "True"


def test_columns_sort_and_top(bnbench, results):
    result = bnbench("compare", results, "--columns", "difference,norm.type", "--format", "markdown")
    assert "| arm | difference | norm.type |" in result.stdout
    ranked = list(rows_of(bnbench("compare", results, "--sort", "value", "--format", "csv")))
    assert ranked == ["bn", "ln", "plain"]
    assert list(rows_of(bnbench("compare", results, "--sort=-value", "--format", "csv"))) == ranked[::-1]
    assert list(rows_of(bnbench("compare", results, "--sort", "norm.type", "--format", "csv"))) == ["bn", "ln", "plain"]
    assert (
        list(rows_of(bnbench("compare", results, "--sort", "difference", "--format", "csv")))[-1] == "plain"
    )  # it has none
    top = bnbench("compare", results, "--top", "1", "--format", "csv")
    assert list(rows_of(top)) == ["bn", "plain"]  # the baseline stays
    assert "… and 1 more arm." in bnbench("compare", results, "--top", "1").stdout
    result = bnbench("compare", results, "--columns", "norm.typ")
    assert result.exit_code == 2 and "there is no column 'norm.typ'; did you mean norm.type?" in result.stderr
    assert bnbench("compare", results, "--sort", "nonsense").exit_code == 2


def test_latex(bnbench, results):
    out = bnbench("compare", results, "--format", "latex", "--columns", "value,difference,norm.type").stdout
    lines = out.split("\n")
    assert r"\begin{tabular}{lrrr}" in lines and r"\toprule" in lines and r"\bottomrule" in lines
    assert r"arm & final valid \% & difference & norm.type \\" in lines
    assert any(line.startswith(r"ln & 90.01 $\pm$ ") and r"$\sim$ [$-" in line for line in lines)
    assert all(line.startswith(("%", "\\")) or line.endswith(r"\\") for line in lines if line)


def test_a_gate_on_a_number(bnbench, results):
    assert bnbench("compare", results, "--fail-if", "valid_accuracy < 0.89").exit_code == 0
    result = bnbench("compare", results, "--fail-if", "valid_accuracy < 0.905", "--fail-if", "train_loss > 0.1")
    assert result.exit_code == 1 and "final valid %" in result.stdout  # the table is printed all the same
    assert "valid_accuracy < 0.905: plain has final_valid_accuracy 0.8998" in result.stderr
    assert "bn has final_valid_accuracy" not in result.stderr
    assert result.stderr.count("train_loss > 0.1: ") == 3  # another metric than the one shown
    assert "::error" not in result.stderr
    assert bnbench("compare", results, "--fail-if", "difference < -0.05").exit_code == 0  # a baseline has none
    assert bnbench("compare", results, "--fail-if", "diverged >= 1").exit_code == 0
    edit(results / "bn/seed-1", status="diverged")
    assert bnbench("compare", results, "--fail-if", "diverged >= 1").exit_code == 1


def test_a_gate_fails_where_there_is_nothing_to_judge(bnbench, tmp_path):
    make_run(tmp_path / "r", "a", 0, [0.1], status="diverged", epochs=3, config=make_config())
    result = bnbench("compare", tmp_path / "r", "--fail-if", "valid_accuracy < 0.5")
    assert result.exit_code == 1 and "a has no final_valid_accuracy to judge" in result.stderr


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        ("valid_accuracy", "must be FIELD < NUMBER"),
        ("valid_accuracy = 1", "must be FIELD < NUMBER"),
        ("valid_accuracy < 97", "accuracies are fractions here"),
        ("valid_accurracy < 0.9", "there is no number valid_accurracy"),
        ("norm.type < 1", "there is no number norm.type"),
        ("valid_accuracy < nowhere.json", "nowhere.json cannot be read: No such file"),
        ("valid_accuracy < r", "r is not a saved comparison"),
        (
            "valid_accuracy < broken.json",
            "broken.json is not a saved comparison; make one with bnbench compare PATH --format json",
        ),
        ("valid_accuracy < 1e999", "must have a finite number"),
    ],
)
def test_a_wrong_gate_is_refused(bnbench, results, tmp_path, gate, problem):
    (tmp_path / "broken.json").write_text('{"groups": [1]}')
    result = bnbench("compare", results, "--fail-if", gate)
    assert result.exit_code == 2 and problem in result.stderr, result.stderr
    assert "Traceback" not in result.stderr


def test_a_gate_against_a_saved_comparison(bnbench, results, tmp_path, monkeypatch):
    (tmp_path / "saved.json").write_text(bnbench("compare", results, "--format", "json").stdout)
    assert bnbench("compare", results, "--fail-if", "valid_accuracy < saved.json").exit_code == 0
    for seed, final in enumerate(BATCH):
        (results / f"bn/seed-{seed}/run.json").unlink()
        make_run(results / "worse", "bn", seed, [final - 0.001] * 3, config=make_config("batch"))
    result = bnbench("compare", results, "--fail-if", "valid_accuracy < saved.json")
    assert result.exit_code == 1 and "bn has final_valid_accuracy 0.9093" in result.stderr
    assert result.stderr.count("has final_valid_accuracy") == 1
    assert bnbench("compare", results, "--fail-if", "valid_accuracy < saved.json - 0.002").exit_code == 0
    assert bnbench("compare", results, "--fail-if", "valid_accuracy < saved.json + 0.1").exit_code == 1
    make_run(results, "new", 0, [0.5] * 3, config=make_config("rms"))
    result = bnbench("compare", results, "--fail-if", "valid_accuracy < saved.json - 0.002")
    assert result.exit_code == 0 and "new is not in the saved comparison, so not judged" in result.stderr
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = bnbench("compare", results / "new", "--fail-if", "valid_accuracy < saved.json")
    assert "\n::error title=bnbench compare::valid_accuracy < saved.json: " in result.stderr
    assert "\n::warning title=bnbench compare::--fail-if valid_accuracy < saved.json: " in result.stderr
    assert result.exit_code == 1 and "plain is in the saved comparison and not in this one" in result.stderr


def test_a_config_that_is_not_the_runs_is_named(bnbench, results):
    path = results / "bn/seed-0/config.yaml"
    path.write_text(path.read_text().replace("lr: 0.1", "lr: 0.2"))
    result = bnbench("compare", results)
    assert result.exit_code == 0 and "bn/seed-0 is not the one that run.json gives the digest of" in result.stderr
    path.write_text("norm: [")
    result = bnbench("compare", results, "--format", "csv")
    assert rows_of(result)["bn"]["baseline"] == "" and "bn: its settings are not known" in result.stderr


def test_the_arms_of_one_baseline_are_one_family(bnbench, tmp_path):
    """The CNN's arms do not change the p of the MLP's; and what --top hides was compared all the same."""
    rng = np.random.default_rng(0)
    for model in ("mlp", "cnn"):
        for arm, norm, gain in (("plain", "none", 0.0), ("bn", "batch", 0.0025), ("ln", "layer", 0.001)):
            for seed in range(8):
                final = 0.9 + gain + rng.normal(0, 0.001)
                make_run(tmp_path / model, f"{model}_{arm}", seed, [final], config=make_config(norm, model=model))
    both = ("compare", tmp_path / "mlp", tmp_path / "cnn", "--format", "csv")
    rows, apart = rows_of(bnbench(*both)), rows_of(bnbench("compare", tmp_path / "mlp", "--format", "csv"))
    row = rows["mlp_bn"]
    assert (
        row["p_adjusted"]
        == apart["mlp_bn"]["p_adjusted"]
        == rows_of(bnbench(*both, "--top", "1"))["mlp_bn"]["p_adjusted"]
    )
    assert (row["correction"], row["comparisons"]) == ("max-T", "2") and float(row["p"]) <= float(row["p_adjusted"])


def test_a_renamed_copy_is_no_second_comparison(bnbench, tmp_path):
    rng = np.random.default_rng(0)
    for seed in range(8):
        final = 0.9 + rng.normal(0, 0.001)
        make_run(tmp_path / "r", "plain", seed, [final], config=make_config())
        final += 0.001 + rng.normal(0, 0.001)
        for arm in ("bn", "copy", "again"):
            make_run(tmp_path / arm, arm, seed, [final], config=make_config("batch"))
        make_run(tmp_path / "r", "ln", seed, [0.9 + rng.normal(0, 0.001)], config=make_config("layer"))
    before = rows_of(bnbench("compare", tmp_path / "r", tmp_path / "bn", "--format", "csv"))
    result = bnbench("compare", *(tmp_path / name for name in ("r", "bn", "copy", "again")), "--format", "csv")
    after = rows_of(result)
    for arm in ("bn", "copy", "again"):
        assert after[arm]["p_adjusted"] == before["bn"]["p_adjusted"] and after[arm]["comparisons"] == "2"
    assert (after["again"]["alias_of"], after["bn"]["alias_of"], after["copy"]["alias_of"]) == ("", "again", "again")


def test_sorting_keeps_each_arm_with_its_baseline(bnbench, results):
    for seed, final in enumerate(NONE):
        make_run(results, "cnn", seed, [final] * 3, config=make_config(model="cnn"))
        make_run(results, "cnn_bn", seed, [final + 0.05] * 3, config=make_config("batch", model="cnn"))
    rows = list(rows_of(bnbench("compare", results, "--sort", "value", "--format", "csv")))
    assert rows == ["cnn_bn", "cnn", "bn", "ln", "plain"]
    rows = list(rows_of(bnbench("compare", results, "--top", "1", "--format", "csv")))
    assert rows == ["cnn_bn", "cnn", "bn", "plain"]


def test_a_column_that_only_some_groups_have(bnbench, results):
    for seed, final in enumerate(NONE):
        make_run(results / "held", "plain", seed, [final] * 3, test=final, config=make_config())
    result = bnbench("compare", results, "--columns", "arm,value,test")
    assert result.exit_code == 0 and result.stdout.count("test %") == 1
    assert bnbench("compare", results, "--sort", "test").exit_code == 0
    result = bnbench("compare", results, "--fail-if", "test_accuracy_low < 0.5")
    assert result.exit_code == 0, result.stderr
    assert bnbench("compare", results, "--fail-if", "test_accuracy_low < 0.95").exit_code == 1


def test_a_gate_on_pairs_and_shares_passes_over_baselines(bnbench, tmp_path):
    for seed in range(3):
        make_run(tmp_path / "r", "plain", seed, [0.90], config=make_config(), mistakes=range(1_000))
        make_run(tmp_path / "r", "bn", seed, [0.91], config=make_config("batch"), mistakes=range(900))
    command = ("compare", tmp_path / "r", "--fail-if")
    assert bnbench(*command, "share_images < 0.9").exit_code == 0
    assert bnbench(*command, "share_images > 0.9").exit_code == 1
    assert bnbench(*command, "pairs < 3").exit_code == 0 and bnbench(*command, "pairs <= 3").exit_code == 1


def test_only_the_accuracy_on_test_images_has_an_interval_over_them(bnbench, tmp_path):
    for seed in range(3):
        make_run(tmp_path / "r", "plain", seed, [0.90], test=0.9, config=make_config(), mistakes=range(1_000))
        make_run(tmp_path / "r", "bn", seed, [0.95], test=0.9, config=make_config("batch"), mistakes=range(1_000))
    row = rows_of(bnbench("compare", tmp_path / "r", "--format", "csv"))["bn"]
    assert row["difference_over"] == row["final_valid_accuracy_over"] == "seeds"
    assert row["test_accuracy_over"] == "seeds and images"
    row = rows_of(bnbench("compare", tmp_path / "r", "--metric", "test_accuracy", "--format", "csv"))["bn"]
    assert row["difference_over"] == "seeds and images" and row["not_tested"] == "identical"
    for option in (("--metric", "train_accuracy"), ("--at", "1"), ("--at", "best")):
        assert (
            rows_of(bnbench("compare", tmp_path / "r", *option, "--format", "csv"))["bn"]["difference_over"] == "seeds"
        )


def test_one_pair_supports_no_conclusion(bnbench, tmp_path):
    for seed in range(3):
        wrong = range(900 - 100 * seed)
        make_run(tmp_path / "r", "bn", seed, [0.91 + seed / 100], config=make_config("batch"), mistakes=wrong)
    make_run(tmp_path / "r", "plain", 1, [0.90], config=make_config())
    result = bnbench("compare", tmp_path / "r", "--explain")
    assert "+2.00 (1 pair)" in result.stdout
    assert "One pair of seeds supports no conclusion about other seeds: bn." in result.stdout


def test_an_arm_with_too_few_seeds_leaves_the_family(bnbench, tmp_path):
    for seed in range(10):
        make_run(tmp_path / "r", "plain", seed, [0.90], config=make_config())
        make_run(tmp_path / "r", "bn", seed, [0.91 + seed / 1e4], config=make_config("batch"))
        if seed < 5:
            make_run(tmp_path / "r", "ln", seed, [0.95 + seed / 1e4], config=make_config("layer"))
    rows = rows_of(bnbench("compare", tmp_path / "r", "--format", "csv"))
    assert float(rows["bn"]["p_adjusted"]) == 2 / 2**10 and rows["bn"]["comparisons"] == "1"
    assert rows["ln"]["p_adjusted"] == "" and rows["ln"]["not_tested"] == "too few seeds"
    lines = bnbench("compare", tmp_path / "r").stdout.split("\n")
    (line,) = (line for line in lines if line.startswith("ln "))
    assert "+5.02? [" in line and "(5 pairs)" not in line and "too few seeds" in line
    assert "Too few seeds to test: ln. A test needs 6 seeds that both arms have." in lines


def test_where_no_test_can_be_made_it_is_said(bnbench, tmp_path):
    for seed in range(3):
        make_run(tmp_path / "r", "plain", seed, [0.90], config=make_config())
        make_run(tmp_path / "r", "bn", seed + 10, [0.91], config=make_config("batch"))
    out = bnbench("compare", tmp_path / "r").stdout
    assert "No test is possible if every seed gives the same value: bn." in out and "hint" not in out


def test_an_unfinished_twin_of_the_baseline_changes_nothing(bnbench, results):
    before = bnbench("compare", results, "--format", "csv").stdout
    make_run(results, "twin", 0, [0.1], status="interrupted", epochs=3, config=make_config())
    rows = rows_of(bnbench("compare", results, "--format", "csv"))
    assert rows["bn"]["baseline"] == "plain" and rows["bn"]["difference_low"] in before


@pytest.mark.parametrize("status", ["interrupted", "diverged"])
def test_of_two_runs_of_a_seed_the_complete_one_counts(bnbench, tmp_path, status):
    make_run(tmp_path / "r/a", "bn", 0, [0.1], status=status, epochs=3, config=make_config("batch"))
    make_run(tmp_path / "r/b", "bn", 0, [0.8, 0.85, 0.9], config=make_config("batch"))
    row = rows_of(bnbench("compare", tmp_path / "r", "--format", "csv"))["bn"]
    assert (row["seeds"], row["diverged"], row["unfinished"]) == ("1", "0", "0")
    assert float(row["final_valid_accuracy"]) == 0.9


@pytest.mark.parametrize("target", ["nan", "inf", "-1", "97"])
def test_a_target_that_no_accuracy_is(bnbench, results, target):
    result = bnbench("compare", results, f"--target={target}", "--format", "json")
    assert result.exit_code == 2 and "accuracies are fractions here: write 0.97 for 97 %" in result.stderr


def test_the_sampling_error_is_of_the_best_arm_and_of_the_right_images(bnbench, tmp_path):
    for seed in range(2):
        make_run(tmp_path / "r", "plain", seed, [0.80], test=0.7, config=make_config())
        make_run(tmp_path / "r", "bn", seed, [0.90], test=0.6, config=make_config("batch"))
    out = " ".join(bnbench("compare", tmp_path / "r", "--explain").stdout.split())
    half = (lambda ci: 50 * (ci.high - ci.low))(stats.binomtest(4_500, 5_000).proportion_ci(method="wilson"))
    on_others = f"an accuracy near 90.00 % could differ by {half:.2f} points"
    assert f"on the same 5,000 held-out images. On other images, {on_others}" in out
    out = " ".join(bnbench("compare", tmp_path / "r", "--metric", "test_accuracy", "--explain").stdout.split())
    assert "on the same 10,000 test images. On other images, an accuracy near 70.00 %" in out


def test_a_folders_name_forges_no_line(bnbench, results):
    (results / "x\nbnbench: all is well").mkdir()
    (results / "x\nbnbench: all is well" / "run.json").write_text("{")
    result = bnbench("compare", results)
    assert result.exit_code == 0 and "\nbnbench: all is well" not in result.stderr
    result = bnbench("compare", results / "x\nbnbench: all is well")
    assert result.exit_code == 3 and "\nbnbench: all is well" not in result.stderr


def test_a_saved_comparison_of_a_newer_bnbench_is_refused(bnbench, results, tmp_path):
    saved = json.loads(bnbench("compare", results, "--format", "json").stdout)
    (tmp_path / "saved.json").write_text(json.dumps({**saved, "schema_version": 3}))
    result = bnbench("compare", results, "--fail-if", "valid_accuracy < saved.json")
    assert result.exit_code == 2 and "was written by a newer bnbench" in result.stderr


def test_a_gate_fails_where_something_was_not_read_or_shown(bnbench, results):
    gate = ("--fail-if", "valid_accuracy < 0.5")
    make_run(results, "longer", 0, [0.9] * 9, config=make_config())
    assert bnbench("compare", results, *gate).exit_code == 0
    result = bnbench("compare", results, "--at", "5", *gate)
    assert result.exit_code == 1 and "cannot judge all runs: not shown: mnist" in result.stderr
    (results / "bn/seed-0/run.json").write_text("{")
    result = bnbench("compare", results, *gate)
    assert result.exit_code == 1 and "cannot judge all runs: left out, unreadable" in result.stderr


def test_a_path_that_cannot_even_be_looked_at_hides_no_other(bnbench, results):
    result = bnbench("compare", "a" * 300, results)
    assert result.exit_code == 0 and "File name too long" in result.stderr


def test_runs_judged_on_different_images_have_no_interval_over_images(bnbench, tmp_path):
    for seed in range(2):
        make_run(tmp_path / "r", "plain", seed, [0.9], test=0.9, config=make_config(), mistakes=range(1_000))
        path = make_run(tmp_path / "r", "bn", seed, [0.9], config=make_config("batch"), test=0.9, mistakes=range(100))
        edit(path, test={"images": 1_000, "loss": 0.1, "accuracy": 0.9})
    rows = rows_of(bnbench("compare", tmp_path / "r", "--metric", "test_accuracy", "--format", "csv"))
    assert rows["bn"]["test_accuracy_over"] == "seeds and images" and rows["bn"]["difference_over"] == "seeds"
    edit(path, test={"images": 100, "loss": 0.1, "accuracy": 0.9})
    (path / "mistakes.csv").write_text("image,label,predicted\n" + "".join(f"{i},3,5\n" for i in range(10)))
    result = bnbench("compare", tmp_path / "r", "--metric", "test_accuracy", "--format", "csv")
    assert rows_of(result)["bn"]["test_accuracy_over"] == "seeds"
    assert "no interval over test images for bn: its runs were judged on different images" in result.stderr


def test_a_comparison_saved_before_the_new_correction_is_read(bnbench, results, tmp_path):
    """Schema version 1 had p_holm. Its numbers still serve as limits."""
    saved = json.loads(bnbench("compare", results, "--format", "json").stdout)
    assert saved["schema_version"] == 2
    for group in saved["groups"]:
        for arm in group["arms"]:
            del arm["p_adjusted"]
            arm["p_holm"] = 0.04
    (tmp_path / "old.json").write_text(json.dumps({**saved, "schema_version": 1}))
    assert bnbench("compare", results, "--fail-if", "valid_accuracy < old.json - 0.002").exit_code == 0
    for seed in range(5, 8):
        make_run(results, "plain", seed, [0.9] * 3, config=make_config())
        make_run(results, "bn", seed, [0.89] * 3, config=make_config("batch"))
    result = bnbench("compare", results, "--fail-if", "p_adjusted > old.json")
    assert result.exit_code == 1 and "bn has p_adjusted" in result.stderr
    result = bnbench("compare", results, "--fail-if", "p_holm < 0.05")
    assert result.exit_code == 2 and "p_holm has another name now: write p_adjusted" in result.stderr


def test_same_is_a_verdict_for_each_row(bnbench, results):
    (group,) = json.loads(bnbench("compare", results, "--same", "0.3", "--format", "json").stdout)["groups"]
    found = {arm["arm"]: (arm["verdict"], arm["seeds_needed"]) for arm in group["arms"]}
    assert found["plain"] == (None, None) and found["ln"] == ("same", None)
    assert found["bn"][0] == "unknown" and found["bn"][1] == 6  # five seeds are too few to test a difference
    table = bnbench("compare", results, "--same", "0.3").stdout
    assert "same within 0.3?" in table and "unknown (about 6 seeds would decide)" in table
    (group,) = json.loads(bnbench("compare", results, "--format", "json").stdout)["groups"]
    assert {arm["verdict"] for arm in group["arms"]} == {None, "unknown"}  # without a margin, nothing is the same
    assert "verdict" not in bnbench("compare", results).stdout
    losses = bnbench("compare", results, "--same", "0.01", "--metric", "valid_loss", "--format", "csv")
    assert rows_of(losses)["bn"]["verdict"] == "same"


@pytest.mark.parametrize("margin", ["-0.3", "0", "100", "1e9", "nan", "inf"])
def test_a_margin_that_makes_no_sense(bnbench, results, margin):
    result = bnbench("compare", results, f"--same={margin}")
    assert result.exit_code == 2 and "must be above 0 and below 100: points of accuracy, as in 0.3" in result.stderr
    result = bnbench("compare", results, "--same=-1", "--metric", "valid_loss")
    assert result.exit_code == 2 and "--same -1: must be above 0 and below 1000: a loss, as in 0.01" in result.stderr
