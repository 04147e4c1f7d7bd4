"""The pictures of the report as functions: round axes, labels apart, whole names, lasting colours, plain sentences."""

import itertools

import pytest
from handmade import make_config, make_run

from bnbench.analysis.arms import collect
from bnbench.analysis.compare import Question, compare
from bnbench.report import verdict
from bnbench.report.charts import lines, words
from bnbench.report.charts.drawing import Line, Mark, Words
from bnbench.report.charts.heat import RAMP, ramp
from bnbench.report.charts.palette import ARMS, BASELINE, chosen
from bnbench.report.charts.scale import limits, texts, ticks
from bnbench.report.names import shared, short_names


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.0123, 0.4), (96.2, 97.9), (1e-4, 3e-4), (0, 1e5), (1, 100)])
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high, 6)
    assert 2 <= len(found) <= 6 and low <= found[0] and found[-1] <= high
    step = found[1] - found[0]
    assert any(abs(step / 10**power - round_one) < 1e-6 for power in range(-6, 6) for round_one in (1, 2, 2.5, 5))
    assert len(set(texts(found))) == len(found)  # enough decimals to tell them apart


def test_epochs_have_whole_ticks():
    assert ticks(1, 3, 10, whole=True) == [1, 2, 3] and all(tick == int(tick) for tick in ticks(1, 200, 10, whole=True))


def test_an_axis_shows_the_means_and_cuts_only_intervals():
    low, high = limits([1.0, 2.0], [-50.0, 2.1])
    assert -50 < low < 1 and 2.1 < high < 3


@pytest.mark.parametrize("wanted", [[10, 10, 10], [0, 100], [95, 99, 100, 20], [3, 1, 2], [50]])
def test_labels_stand_apart_and_inside_and_keep_their_order(wanted):
    heights = [12 + place for place in range(len(wanted))]
    middles = words.spread(wanted, heights, 0, 100)
    boxes = sorted((m - h / 2, m + h / 2) for m, h in zip(middles, heights, strict=True))
    assert boxes[0][0] >= -1e-9 and boxes[-1][1] <= 100 + 1e-9
    assert all(after[0] >= before[1] - 1e-9 for before, after in itertools.pairwise(boxes))
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    assert [middles[place] for place in order] == sorted(middles)


def test_a_name_breaks_after_punctuation_and_is_whole():
    assert words.lines("bn momentum=0.1", 16, 110) == ["bn", "momentum=", "0.1"]
    assert "".join(words.lines("a_name_without_a_space", 16, 80)) == "a_name_without_a_space"
    cut = words.lines("x" * 300, 16, 80)
    assert len(cut) == words.MOST_LINES and cut[-1].startswith("…")


def test_short_names_leave_out_what_all_share():
    assert short_names(["mlp_no_bn", "mlp_bn", "mlp_bn,norm.momentum=0.1"]) == {
        "mlp_no_bn": "no_bn",
        "mlp_bn": "bn",
        "mlp_bn,norm.momentum=0.1": "bn momentum=0.1",
    }
    assert shared(["a", "b"]) == "" and shared(["mlp_bn", "mlp_"]) == "" and shared(["mlp_bn"]) == ""
    alike = ["a,norm.eps=1", "a,model.eps=1"]
    assert short_names(alike) == {name: name for name in alike}  # shorter, they would be one


def test_a_name_keeps_its_look_and_no_picture_has_one_twice():
    first, second, third = chosen([["a", "b"], ["c", "b"], [*"defghija"[:7], "a"]])
    assert first["b"] == second["b"] and third["a"] == first["a"]
    for picture in (first, second, third):
        assert len(set(picture.values())) == len(picture) and BASELINE not in picture.values()
    assert set(third.values()) == set(ARMS)


def test_heat_goes_from_dark_to_light():
    assert ramp(0) == "#00224e" and ramp(1) == "#fee838" and ramp(-1) == ramp(0) and len(RAMP) == 6
    shades = [sum(int(ramp(level / 20)[i : i + 2], 16) for i in (1, 3)) for level in range(21)]  # red and green
    assert shades == sorted(shades)


def trace(name, values, half=None):
    ends = [None if half is None else value + sign * half for sign in (-1, 1) for value in values]
    n = len(values)
    return lines.Trace(name, ARMS[0], range(1, n + 1), values, ends[:n], ends[n:], f"{values[-1]:g}")


@pytest.mark.parametrize("wide", [1120, 358])
def test_many_epochs_have_few_marks_at_their_true_places(wide):
    many = [trace(name, [50 + epoch / 10 + shift for epoch in range(200)], 1.0) for name, shift in (("a", 0), ("b", 3))]
    drawing = lines.draw([*many, trace("c", [40.0] * 200, 1.0)], lines.Axes("epoch"), wide)
    marks = [part for part in drawing.parts if isinstance(part, Mark)]
    assert 30 < len(marks) < 400
    curves = [part for part in drawing.parts if isinstance(part, Line) and len(part.spots) == 200]
    assert len(curves) == 3 and len({curve.spots[7][0] for curve in curves}) == 1  # not set apart sideways
    assert {"a", "b", "c"} <= {part.text for part in drawing.parts if isinstance(part, Words)}


# Sentences.


def table(folder, seeds=8, **gains):
    """A baseline with 0.90 and arms that differ by a mean and a spread; the tables' first."""
    for seed in range(seeds):
        make_run(folder, "none", seed, [0.9, 0.9], config=make_config())
        for place, (name, (start, mean, spread)) in enumerate(gains.items()):
            sway = spread * (seed - (seeds - 1) / 2)
            accuracies = [0.9 + start + sway / 5, 0.9 + mean + sway]
            make_run(folder, name, seed, accuracies, config=make_config("batch", momentum=0.1 + place / 100))
    return compare(collect([folder]), Question()).tables[0]


@pytest.mark.parametrize(
    ("gains", "says"),
    [
        ({"bn": (0.0, 0.012, 0.0005)}, "bn ends ahead of none by 1.20 points."),
        ({"bn": (0.0, -0.02, 0.0005)}, "bn ends behind none by 2.00 points."),
        ({"bn": (0.0, 0.001, 0.003)}, "Unknown: bn, from 0.51 behind to 0.71 ahead, compared with none."),
        (
            {"a": (0.0, 0.02, 0.0005), "b": (0.0, 0.03, 0.0005), "c": (0.0, -0.02, 0.0005)},
            "2 of 3 arms end ahead of none, by 2.00 to 3.00 points; c ends behind, by 2.00 points.",
        ),
        (
            {"a": (0.01, 0.02, 0.0005), "b": (0.02, -0.01, 0.0005)},
            "All 2 arms start ahead of none; after 2 epochs, only a is still ahead, by 2.00 points.",
        ),
        ({"a": (0.01, 0.02, 0.0005), "b": (0.02, 0.02, 0.0005)}, "All 2 arms start ahead of none, and all end ahead"),
        (
            {"a": (0.0, 0.001, 0.003), "b": (0.0, 0.0, 0.003)},
            "Unknown: no arm is shown to be ahead of none or behind it.",
        ),
    ],
)
def test_the_headline_says_what_the_verdicts_say(tmp_path, gains, says):
    of = table(tmp_path, **gains)
    assert verdict.headline(of, lambda row: row.arm.label).startswith(says)


def test_equal_runs_are_identical_and_not_unknown(tmp_path):
    of = table(tmp_path, a=(0.0, 0.0, 0.0), b=(0.0, 0.0, 0.0))
    assert verdict.headline(of, lambda row: row.arm.label) == "All 2 arms give the same results as none, in every seed."
    assert [verdict.standing(row, of) for row in of.rows] == ["baseline", "identical", "identical"]


def test_an_interval_beside_0_and_a_large_p_is_a_hint(tmp_path):
    for seed, gain in enumerate([0.01, 0.01, 0.01, 0.01, 0.01, -0.001]):
        make_run(tmp_path, "none", seed, [0.9], config=make_config())
        make_run(tmp_path, "bn", seed, [0.9 + gain], config=make_config("batch"))
    (of,) = compare(collect([tmp_path]), Question()).tables
    says = "Unknown: bn, 0.35 to 1.29 ahead, but p is 0.062, compared with none."
    assert verdict.headline(of, lambda row: row.arm.label) == says


def test_the_headline_names_what_is_missing(tmp_path):
    few = table(tmp_path / "few", seeds=3, bn=(0.0, 0.02, 0.0005))
    assert verdict.headline(few, lambda row: row.arm.label) == (
        "3 seeds are too few to say which arm is ahead of none: a test needs 6."
    )
    one = table(tmp_path / "one", seeds=1, bn=(0.0, 0.02, 0.0005))
    assert "One seed supports no conclusion" in verdict.headline(one, lambda row: row.arm.label)


def test_a_name_with_markup_stays_text(tmp_path):
    of = table(tmp_path, bn=(0.0, 0.012, 0.0005))
    assert "&lt;b&gt;" in verdict.headline(of, lambda row: f"<b>{row.arm.label}")
