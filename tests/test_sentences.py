"""Each kind of sentence below a table: when it appears. Runs are written by hand; nothing is trained."""

import numpy as np
import pytest
from handmade import edit, make_config, make_run

from bnbench.analysis.arms import collect
from bnbench.analysis.compare import Question, compare
from bnbench.report.sentences import summary

PLAIN = [0.9000, 0.9020, 0.8970, 0.9010, 0.8990, 0.9005, 0.8985, 0.9015]
WOBBLE = [0.0004, -0.0003, 0.0002, -0.0004, 0.0003, -0.0001, 0.0001, -0.0002]


@pytest.fixture
def say(tmp_path):
    """Arms as {name: accuracies by seed}, or {name: (accuracies, mistakes by seed)} → the sentences of their table."""

    def sentences(arms, *, explain=False, change=None, **question):
        for place, (name, values) in enumerate(arms.items()):
            accuracies, mistakes = values if isinstance(values, tuple) else (values, {})
            norm = "none" if name == "plain" else "batch"
            settings = {} if name == "plain" else {"eps": 1e-5 * (1 + place)}
            for seed, accuracy in accuracies.items():
                config = make_config(norm, **settings)
                make_run(tmp_path / "r", name, seed, [accuracy], config=config, mistakes=mistakes.get(seed))
        if change:
            change(tmp_path / "r")
        (table,) = compare(collect([tmp_path / "r"]), Question(**question)).tables
        return summary(table, explain=explain)

    return sentences


def by_seed(values, first=0):
    return dict(enumerate(map(float, values), start=first))


def shifted(gain, n=8, wobble=1.0):
    return by_seed(np.array(PLAIN[:n]) + gain + wobble * np.array(WOBBLE[:n]))


def wrong(accuracies, images):
    """The mistakes of each seed: the first of these images, as many as the accuracy says."""
    return accuracies, {seed: sorted(images[: round(10_000 * (1 - value))]) for seed, value in accuracies.items()}


def test_different(say):
    out = say({"plain": by_seed(PLAIN), "up": shifted(0.01), "down": shifted(-0.01)})
    assert out[0].startswith("Different: up is ahead of plain: +1.00 points [+0.98, +1.02], p 0.0")
    assert out[1].startswith("Different: down is behind plain: -1.00 points [-1.02, -0.98], p 0.0")
    assert not any("Unknown" in sentence or "Too few" in sentence for sentence in out)


def test_of_many_arms_that_differ_six_have_a_sentence(say):
    arms = {f"arm{place}": shifted(0.01 + place / 1_000) for place in range(8)}
    out = say({"plain": by_seed(PLAIN), **arms})
    assert sum(sentence.startswith("Different: ") for sentence in out) == 6
    assert "Also different: arm1 (ahead), arm0 (ahead)." in out


def test_perhaps_different(say):
    gaps = [0.010, 0.011, 0.012, 0.009, 0.010, -0.0001]
    out = say({"plain": by_seed(PLAIN[:6]), "bn": by_seed(np.add(PLAIN[:6], gaps))})
    assert out[0].startswith("Perhaps different, but p is above 0.05: bn is ahead of plain: +0.87 points [+0.4")
    assert out[0].endswith(", p 0.062.")


def test_unknown_says_how_large_a_difference_is_possible(say):
    arms = {"plain": by_seed(PLAIN), "bn": shifted(0.0), "ln": shifted(-0.0002, wobble=-4)}
    assert say({name: arms[name] for name in ("plain", "bn")})[0] == (
        "Unknown: bn (a difference of up to 0.02 points is possible)."
    )
    assert say({"ln": arms["ln"]})[0] == "Unknown: bn (a difference of up to 0.02 points is possible), ln (0.12)."


def test_unknown_because_a_few_seeds_decide(say):
    gaps = [0.001, 0.001, 0.001, 0.001, 0.001, 0.05]
    out = say({"plain": by_seed(PLAIN[:6]), "bn": by_seed(np.add(PLAIN[:6], gaps))})
    assert out[0] == (
        "Unknown: bn (p 0.031). p is small, but the interval covers 0. Look at each seed: a few may decide."
    )


def test_unknown_on_other_images(say):
    """Ten more images are right at every seed, of 510 that only one of the two gets right."""
    plain = dict.fromkeys(range(8), 0.9), dict.fromkeys(range(8), range(1_000))
    other = dict.fromkeys(range(8), 0.901), dict.fromkeys(range(8), (*range(500, 1_000), *range(2_000, 2_490)))
    out = say({"plain": plain, "bn": other})
    assert out[0] == "Different on these images, but unknown on other images: bn."
    assert out[1].startswith("Of this uncertainty 0 % is seeds, 100 % images, 0 % both: more test images help")


def test_where_the_uncertainty_comes_from(say):
    """Each seed has mistakes of its own, so the images add nothing."""
    rng = np.random.default_rng(0)
    arms = {}
    for name in ("plain", "bn"):
        values = by_seed(np.round(0.9 + rng.normal(0, 0.01, 8), 4))
        arms[name] = (
            values,
            {seed: sorted(rng.permutation(10_000)[: round(10_000 * (1 - value))]) for seed, value in values.items()},
        )
    out = say(arms)
    assert out[0].startswith("Unknown: bn (") and "Of this uncertainty 8" in out[1]
    assert out[1].endswith(" both: more seeds help.") and " 0 % images" in out[1]


def test_identical(say):
    assert say({"plain": by_seed(PLAIN), "bn": by_seed(PLAIN)})[0] == "Identical to plain in every seed: bn."


def test_too_few_seeds_to_test(say):
    out = say({"plain": by_seed(PLAIN), "bn": shifted(0.01, n=5)})
    assert out[0] == "Too few seeds to test: bn. A test needs 6 seeds that both arms have."


def test_no_test_of_values_that_never_vary(say):
    out = say({"plain": dict.fromkeys(range(3), 0.9), "bn": dict.fromkeys(range(10, 13), 0.91)})
    assert out[0] == "No test is possible if every seed gives the same value: bn."


def test_nothing_is_compared(say):
    out = say({"bn": by_seed(PLAIN), "ln": shifted(0.01)})
    assert out[0].startswith("Nothing is compared: there is not exactly one arm without a norm. Choose a baseline")


SAME = {"same": 0.003}


def test_same(say):
    out = say({"plain": by_seed(PLAIN), "bn": shifted(0.0), "ln": shifted(0.001)}, **SAME)
    assert out[0] == "Same within 0.3 points: bn."
    assert out[1] == (
        "Same within 0.3 points, but there is a difference, which is smaller: ln (+0.10 points [+0.08, +0.12])."
    )
    assert not any(sentence.startswith(("Different", "Unknown")) for sentence in out)


def test_same_and_different(say):
    out = say({"plain": by_seed(PLAIN), "bn": shifted(0.01)}, **SAME)
    assert out[0].startswith("Different: bn is ahead of plain") and "Same" not in "".join(out)


def test_unknown_and_how_many_seeds_would_decide(say):
    out = say({"plain": by_seed(PLAIN), "bn": shifted(0.0, wobble=25)}, **SAME)
    assert out[0] == "Unknown: bn (53 seeds would decide)."


def test_unknown_though_the_seeds_are_there(say):
    out = say({"plain": by_seed(PLAIN), "bn": shifted(0.0018, wobble=8)}, **SAME)
    assert out[0] == (
        "Unknown: bn. If the arms were equal, 8 seeds would answer 'same' in 4 of 5 studies."
        " If the difference seen is true (+0.18 points), about 20 seeds would decide."
    )


def test_unknown_whatever_the_number_of_seeds(say):
    rng = np.random.default_rng(1)
    images = {name: rng.permutation(10_000) for name in ("plain", "bn")}
    out = say({name: wrong(by_seed(PLAIN), list(images[name])) for name in images}, **SAME)
    assert "Unknown: no number of seeds decides on 10,000 images: bn." in out


def test_one_seed_is_never_the_same(say):
    mistakes = {0: range(1_000)}
    out = say({"plain": ({0: 0.9}, mistakes), "bn": ({0: 0.9}, mistakes)}, **SAME)
    assert out[0] == "Unknown: bn (at least three seeds are needed)."


LIMITS = {
    "one seed": ({"plain": {0: 0.9}, "bn": {0: 0.91}}, {}, "one seed (", "One seed supports no conclusion about other"),
    "one pair": (
        {"plain": {1: 0.9}, "bn": shifted(0.01)},
        {},
        "one pair of seeds (bn)",
        "One pair of seeds supports no conclusion about other seeds: bn.",
    ),
    "best": (
        {"plain": by_seed(PLAIN)},
        {"at": "best"},
        "each run's best epoch is chosen on the images that measure it, so expect worse on new images",
        "best: each run's best epoch is chosen on",
    ),
    "unpaired": (
        {"plain": by_seed(PLAIN), "bn": by_seed(PLAIN, first=50)},
        {},
        "unpaired (bn)",
        "Unpaired arms share too few seeds with the baseline: bn. Welch's test compares them, and Holm's method",
    ),
}


@pytest.mark.parametrize(("arms", "question", "short", "long"), LIMITS.values(), ids=list(LIMITS))
def test_limits_are_named_in_a_line_and_explained_on_demand(say, arms, question, short, long):
    folded = say(arms, **question)
    assert short in next(sentence for sentence in folded if sentence.startswith("Take care: "))
    assert folded[-1] == "--explain says what limits these answers." and not any(long in line for line in folded)
    assert any(sentence.startswith(long) for sentence in say({}, explain=True, **question))


def test_diverged_runs(say):
    def change(folder):
        edit(folder / "bn/seed-0", status="diverged")
        for seed in range(2):
            edit(folder / f"gone/seed-{seed}", status="diverged")

    arms = {"plain": by_seed(PLAIN), "bn": shifted(0.01), "gone": {0: 0.1, 1: 0.1}}
    out = say(arms, change=change)
    assert "Take care: no mean (gone (0 + 2 diverged)); diverged runs left out (bn (7 + 1 diverged))." in out
    out = say({}, explain=True)
    assert "Every run diverged, so there is no mean: gone (0 + 2 diverged)." in out
    assert "Means leave out diverged runs, so they are too good: bn (7 + 1 diverged)." in out


@pytest.mark.parametrize("agree", [True, False])
def test_one_config_under_two_names(say, tmp_path, agree):
    arms = {"plain": by_seed(PLAIN), "bn": shifted(0.01)}
    copy = shifted(0.01) if agree else shifted(0.011)

    def change(folder):
        for seed, value in copy.items():
            make_run(folder, "copy", seed, [value], config=make_config("batch", eps=2e-5))

    short, long = say(arms, change=change), say({}, explain=True)
    if agree:
        assert "Take care: one config, one comparison (copy (as bn))." in short
        assert "These arms have the config of another: copy (as bn). They count once." in long
    else:
        assert "Take care: one config, different results (bn and copy, copy and bn)." in short
        assert any(line.startswith("One config gave different results under two names") for line in long)


def test_what_the_intervals_and_p_are_about(say):
    arms = {
        name: wrong(values, list(range(10_000))) for name, values in (("plain", by_seed(PLAIN)), ("bn", shifted(0.01)))
    }
    out = say(arms, explain=True)
    assert "Intervals cover the choice of the seeds and of the test images." in out
    assert any(line.startswith("An interval is about one difference alone; p is for one comparison.") for line in out)
    assert say({"ln": shifted(0.02)}, explain=True)[-1] == (
        "An interval is about one difference alone; p is for all 2 comparisons with one baseline together. Different"
        " needs both: an interval without 0, and p of at most 0.05."
    )


def test_intervals_over_seeds_say_how_much_other_images_matter(say):
    out = say({"plain": by_seed(PLAIN), "bn": shifted(0.01)}, explain=True)
    assert (
        "Intervals are over seeds, on the same 10,000 test images. On other images, an accuracy near 90.99 %" in out[-2]
    )


def test_the_margin_is_explained(say):
    out = say({"plain": by_seed(PLAIN), "bn": shifted(0.0)}, explain=True, **SAME)
    assert any(line.startswith("Same: the 90 % interval lies within ±0.3 points.") for line in out)


def test_losses_have_no_points(say):
    out = say({"plain": by_seed(PLAIN), "bn": shifted(0.01)}, metric="train_loss", same=0.01)
    assert out[0] == "Same within 0.01: bn." and "Identical to plain in every seed: bn." in out
