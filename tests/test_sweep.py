"""A sweep is one picture: the right lines, an honest range of usable values, and a sentence where there is no sweep."""

import csv
import io
import json
import re
import statistics

import pytest
from handmade import make_config, make_run
from rich.console import Console

from bnbench.analysis.arms import collect
from bnbench.analysis.compare import Question, compare
from bnbench.analysis.statistics import difference
from bnbench.analysis.sweep import Axis, Usable, sweeps, swept
from bnbench.report.charts.drawing import Box, Line, Mark, Words
from bnbench.report.page import page
from bnbench.report.sweep import print_sweeps
from bnbench.report.sweep_plots import pictures

LR = "train.optimizer.lr"
# The final accuracies of seeds 0, 1 and 2.
PLAIN = {0.01: [0.80, 0.81, 0.79], 0.1: [0.90, 0.91, 0.92], 1: [0.10, 0.10, 0.10]}
BATCH = {0.01: [0.85, 0.86, 0.87], 0.1: [0.93, 0.95, 0.94], 1: [0.92, 0.95, 0.91]}


def make_sweep(folder, name, accuracies, *, norm="none", diverged=(), **settings):
    for lr, of_seeds in accuracies.items():
        for seed, accuracy in enumerate(of_seeds):
            status = "diverged" if (lr, seed) in diverged else "complete"
            config = make_config(norm, lr=float(lr), **settings)
            make_run(folder, f"{name},{LR}={lr}", seed, [accuracy], config=config, status=status)


@pytest.fixture
def results(tmp_path):
    make_sweep(tmp_path / "r", "plain", PLAIN)
    make_sweep(tmp_path / "r", "bn", BATCH, norm="batch")
    return tmp_path / "r"


def found(folder, *keys, question=None):
    (one,) = sweeps(collect([folder]), question or Question(), keys or [LR], [])
    return one


def text(one, width=80):
    out = io.StringIO()
    print_sweeps([one], [], "table", Console(file=out, width=width, markup=False, highlight=False))
    return out.getvalue()


def test_a_line_is_an_arm_without_the_key(results):
    one = found(results)
    assert [line.name for line in one.lines] == ["plain", "bn"]  # without a norm first
    assert one.axes == (Axis(LR, (0.01, 0.1, 1.0)),) and one.axes[0].log
    for line, accuracies in zip(one.lines, (PLAIN, BATCH), strict=True):
        means = [point.mean.mean for point in line.points.values()]
        assert means == [pytest.approx(statistics.mean(of_seeds)) for of_seeds in accuracies.values()]


def test_usable_values_follow_from_the_means_or_the_paired_interval(results):
    bn = found(results).lines[1]
    assert bn.best.place == (1,)
    assert [point.usable for point in bn.points.values()] == [Usable.NO, Usable.YES, Usable.MAYBE]
    seeds = {value: dict(enumerate(accuracies)) for value, accuracies in BATCH.items()}
    assert difference(seeds[0.1], seeds[0.01]).low > 0.01 > difference(seeds[0.1], seeds[1]).low


def test_a_value_that_is_certainly_worse_by_less_than_a_point_is_not_ruled_out(tmp_path):
    make_sweep(tmp_path, "a", {0.1: [0.95, 0.95, 0.95], 1: [0.939, 0.938, 0.937]})
    (line,) = found(tmp_path).lines
    gap = difference(line.points[(0,)].seeds, line.points[(1,)].seeds)
    assert 0 < gap.low < 0.01 < gap.mean and line.points[(1,)].usable is Usable.MAYBE


def test_a_value_with_a_diverged_run_is_never_usable_nor_best(tmp_path):
    make_sweep(tmp_path, "a", {0.1: [0.8, 0.8], 1: [0.9, 0.9]}, diverged={(1, 1)})
    (line,) = found(tmp_path).lines
    assert line.best.place == (0,) and line.points[(1,)].usable is Usable.NO
    shown = text(found(tmp_path))
    assert "1/2 div." in shown and "a at lr 1 (1 of 2)" in shown


def test_of_equal_means_the_smaller_value_is_best(tmp_path):
    make_sweep(tmp_path, "a", {3: [0.9, 0.7], 0.1: [0.7, 0.9], 1: [0.5, 0.5]})
    assert found(tmp_path).lines[0].best.place == (0,)


def test_one_config_under_two_names_is_two_lines(tmp_path):
    make_sweep(tmp_path, "a", PLAIN)
    make_sweep(tmp_path, "b", PLAIN)
    assert [line.name for line in found(tmp_path).lines] == ["a", "b"]


def test_the_config_without_the_suffix_is_a_point_of_the_same_line(tmp_path):
    make_sweep(tmp_path, "a", {1: [0.8], 3: [0.7]})
    make_run(tmp_path, "a", 0, [0.9], config=make_config(lr=0.1))
    make_run(tmp_path, f"a,{LR}=0.1", 0, [0.9], config=make_config(lr=0.1))  # the same arm under another name
    (line,) = found(tmp_path).lines
    assert line.name == "a" and [point.mean.mean for point in line.points.values()] == [0.9, 0.8, 0.7]


@pytest.mark.parametrize("width", [80, 40])
def test_the_table_fits_and_cuts_nothing(results, width):
    make_sweep(results, "a-very-long-name-of-an-arm", PLAIN, norm="layer")
    shown = text(found(results), width)
    assert max(map(len, shown.split("\n"))) <= width
    for number in ("80.00", "91.00", "10.00", "86.00", "94.00", "92.67"):
        assert number in shown
    assert "a-very-long-name-of-an-arm" in shown
    assert re.search(r"0\.1 +91\.00 █+. +●", shown) and "About 10 % is guessing." in shown


def test_bars_start_at_zero(results):
    """A bar that leaves out 0 shows a small difference as a large one."""
    bars = [line.count("█") for line in text(found(results), 40).split("\n")]
    assert max(bars) <= 1.2 * sorted(bars)[-2] and bars.count(0) > 5
    lines = [line for line in text(found(results), 40).split("\n") if line.startswith(("0.01 ", "1 "))]
    plain = [line.count("█") for line in lines[:2]]
    assert plain[0] == pytest.approx(8 * plain[1], abs=8)  # 80 % and 10 %


def test_the_best_value_at_an_end_is_said(tmp_path):
    make_sweep(tmp_path, "a", {0.1: [0.7], 1: [0.9]})
    assert "a: its best lr is the largest here" in text(found(tmp_path))


def test_records_hold_the_numbers(bnbench, results):
    rows = list(csv.DictReader(io.StringIO(bnbench("compare", results, "--by", LR, "--format", "csv").stdout)))
    assert [(row["arm"], row[LR]) for row in rows] == [
        (arm, lr) for arm in ("plain", "bn") for lr in ("0.01", "0.1", "1.0")
    ]
    assert float(rows[1]["mean"]) == pytest.approx(0.91) and rows[1]["within_1_point"] == "yes"
    value = json.loads(bnbench("compare", results, "--by", LR, "--format", "json").stdout)
    assert value["sweeps"][0]["arms"][1]["best"] == [0.1]
    assert "| 0.1 | 91.00 ± " in bnbench("compare", results, "--by", LR, "--format", "markdown").stdout


def test_two_keys_give_a_grid_and_a_missing_corner_is_named(tmp_path):
    for size in (16, 64):
        for lr in (0.1, 1.0):
            if (size, lr) != (64, 1.0):
                config = {**make_config(lr=lr), "data": {"batch_size": size}}
                make_run(tmp_path, f"a,data.batch_size={size},{LR}={lr}", 0, [size / 100], config=config)
    one = found(tmp_path, LR, "data.batch_size")
    shown = text(one)
    assert [line.name for line in one.lines] == ["a"] and "No runs: a at lr 1 with batch_size 64." in shown
    assert re.search(r"0\.1 +16\.00 +64\.00●", shown) and re.search(r"\n1 +16\.00 +–", shown)


def test_strings_are_values_without_an_order(tmp_path):
    for kind in ("relu", "sigmoid"):
        config = make_config()
        config["model"]["activation"] = kind
        make_run(tmp_path, f"a,model.activation={kind}", 0, [0.9 if kind == "relu" else 0.5], config=config)
    one = found(tmp_path, "model.activation")
    assert one.axes[0].values == ("relu", "sigmoid") and not one.axes[0].log
    shown = text(one)
    assert "a is best at activation relu: 90.00 %" in shown and "may lie outside" not in shown


def test_a_sweep_of_diverged_runs_only_has_no_numbers(tmp_path):
    make_sweep(tmp_path, "a", {0.1: [0.1], 1: [0.1]}, diverged={(0.1, 0), (1, 0)})
    shown = text(found(tmp_path))
    assert "a: every run diverged." in shown and shown.count("1/1 div.") == 2


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (["train.epochs"], "--by train.epochs: every run has the value 3. A sweep: bnbench run CONFIG --set"),
        (["lr"], f"--by lr: no run has this key; did you mean {LR}?"),
        (["x"], f"--by x: no run has this key; the keys that differ are .*{LR}"),
        (["norm.eps"], "--by norm.eps: every run has the value 1e-05"),
        ([LR, LR], "--by takes one key, or two different keys"),
        (["norm.type"], "--by norm.type: never varies alone; wherever it differs, other settings differ too, such as"),
    ],
)
def test_a_key_that_does_not_vary_is_a_sentence(bnbench, results, keys, says):
    result = bnbench("compare", results, *(part for key in keys for part in ("--by", key)))
    assert result.exit_code == 2 and re.search(re.escape(says).replace(r"\.\*", ".*"), result.stderr)
    assert not result.stdout


def test_by_refuses_options_of_the_table(bnbench, results):
    result = bnbench("compare", results, "--by", LR, "--per-epoch", "--sort", "p")
    assert result.exit_code == 2 and "leave out --per-epoch, --sort" in result.stderr


def test_arms_outside_of_the_sweep_are_named(bnbench, results):
    make_run(results, "other", 0, [0.5], config=make_config("layer"))
    result = bnbench("compare", results, "--by", LR)
    assert result.exit_code == 0 and "has one value there, or none: other" in result.stderr


def test_a_report_finds_the_sweeps(results):
    arms = collect([results]).arms()
    assert swept(arms) == [(LR,)]
    assert swept([arm for arm in arms if arm.config[LR] != 1]) == []  # two values are no sweep


def test_losses_have_no_usable_range(results):
    one = found(results, question=Question("valid_loss"))
    assert {point.usable for line in one.lines for point in line.points.values()} == {Usable.NO}
    assert "●" not in text(one)


def test_an_epoch_beyond_the_last_is_a_sentence(bnbench, results):
    result = bnbench("compare", results, "--by", LR, "--at", "5")
    assert result.exit_code == 2 and "--at 5 is beyond its last epoch" in result.stderr


def test_the_report_shows_the_sweep_with_its_numbers_in_words(results):
    text = page(compare(collect([results]), Question()))
    headline = re.sub("<[^>]*>", "", re.search(r"<h2[^>]*>(.*?)</h2>", text)[1])
    assert headline == "plain is near its best at lr 0.1; bn at lr 0.1 to 1."
    alternative = re.search(r'<p class="unseen" [^>]*>(final valid %, 3 seeds, by train.optimizer.lr[^<]*)', text)[1]
    assert "plain is near its best at lr 0.1; bn is near its best at lr 0.1 to 1." in alternative
    folded = text[text.index("<summary>Each value by itself") :]
    assert folded.count("seeds are too few to say which arm is ahead of") == 3  # one comparison for each value
    assert "too few to say" not in text.removesuffix(folded)


def drawn(one, wide=1120):
    (picture,) = pictures(one)
    return picture, picture.draw(wide)


def said(drawing):
    return [part.text for part in drawing.parts if isinstance(part, Words)]


def test_a_line_is_not_drawn_over_a_value_without_a_mean(tmp_path):
    make_sweep(tmp_path, "a", {0.1: [0.9], 0.3: [0.1], 1: [0.8], 3: [0.7]}, diverged={(0.3, 0)})
    _, drawing = drawn(found(tmp_path))
    marks = [part.x for part in drawing.parts if isinstance(part, Mark) and part.size == 9]
    lines = [part for part in drawing.parts if isinstance(part, Line) and part.width == 2.5]
    assert len(marks) == 3 and sorted(len(line.spots) for line in lines) == [1, 2]
    assert "Diverged runs" in said(drawing) and "1/1" in said(drawing)


@pytest.mark.parametrize("wide", [1120, 760, 358])
def test_every_value_of_a_sweep_is_written_below_it(results, wide):
    _, drawing = drawn(found(results), wide)
    assert {"0.01", "0.1", "1"} <= set(said(drawing))
    usable = [part for part in drawing.parts if isinstance(part, Box)]
    assert [box.colour == "paper" for box in usable] == [False, False, True]  # bn at 1 is not ruled out


def test_heat_maps_share_one_scale_and_leave_a_missing_corner_empty(tmp_path):
    for norm, base in (("none", 0.2), ("batch", 0.6)):
        for size in (16, 64):
            for lr in (0.1, 1.0):
                if (norm, size, lr) != ("none", 64, 1.0):
                    config = {**make_config(norm, lr=lr), "data": {"batch_size": size}}
                    make_run(tmp_path, f"{norm},data.batch_size={size},{LR}={lr}", 0, [base + lr / 10], config=config)
    picture, drawing = drawn(found(tmp_path, LR, "data.batch_size"))
    texts = [text for text in said(drawing) if re.fullmatch(r"\d\d\.\d\d|–", text)]
    assert texts == ["21.00", "21.00", "30.00", "–", "61.00", "61.00", "70.00", "70.00"]
    faces = dict(zip(texts, [part.colour for part in drawing.parts if isinstance(part, Box)], strict=True))
    assert len(set(faces.values())) == 5 and faces["–"] == "none"
    assert "No runs: none at lr 1 with batch_size 64." in picture.text
