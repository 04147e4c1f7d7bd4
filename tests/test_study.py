"""A study file is read strictly, its runs decide its claims by the rules, and its outcome tells if it was edited."""

import json
import math
from pathlib import Path

import pytest
from conftest import REPOSITORY
from handmade import make_run

from bnbench.errors import ConfigError, ResultsError
from bnbench.report.studies import refused_lines, said, sentence, verdict_lines
from bnbench.report.study_figure import figure
from bnbench.studies import outcome
from bnbench.studies.checks import check, power_of
from bnbench.studies.file import find, read_study
from bnbench.studies.plan import make_plan
from bnbench.studies.power import seeds_needed
from bnbench.studies.template import PLACEHOLDERS, TEMPLATE
from bnbench.studies.verdicts import judge_study

STUDY = """\
question: Does it help?
source: Somebody 2018
minutes: 1
base:
  data: {dataset: mnist}
  model: {type: mlp}
  train: {epochs: 3, optimizer: {type: sgd, lr: 0.1}}
arms:
  none: {norm: {type: none}}
  batch: {norm: {type: batch}}
grid: {train.optimizer.lr: [0.1, 1.0]}
seeds: 0..4
claims:
  better:
    quote: It helps.
    measure: {type: metric, metric: valid_accuracy}
    arms: [batch, none]
    kind: superior
    delta: 1.0
    sd: 0.3
    sd_from: a pilot
"""


def study(folder, text=STUDY, *changes):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def plan_of(folder, *changes):
    plan = make_plan(read_study(study(folder, STUDY, *changes)))
    check(plan)
    return plan


def claim(kind, delta, measure, arms="[batch, none]", more="sd: 0.3, sd_from: a pilot"):
    """The change that replaces the claim of STUDY."""
    old = STUDY[STUDY.index("  better:") :]
    return old, f"  c: {{says: x, measure: {measure}, arms: {arms}, kind: {kind}, delta: {delta}, {more}}}\n"


def runs(plan, folder, values, **about):
    """Handmade runs: `values` gives the accuracies after each epoch for an arm, a place and a seed."""
    for point in plan.points:
        for seed in point.config.seeds:
            got = values(point.arm, dict(point.place), seed)
            if got is not None:
                status = "diverged" if got[-1] == "diverged" else "complete"
                config = point.config.model_dump(mode="json", exclude={"name", "seeds"})
                rows = [value for value in got if value != "diverged"]
                make_run(folder, point.config.name, seed, rows, config=config, status=status, epochs=3, **about)
    return outcome.collect_runs(plan, folder)


def judged(folder, values, *changes):
    plan = plan_of(folder, *changes)
    (result,) = judge_study(plan, runs(plan, folder / "r", values))
    return result


ONE_ARM = "names one arm, so delta is compared with its accuracy and not with a difference; name two arms"
WRONG = [
    (
        "arms: [batch, none]",
        "arms: [bach, none]",
        "17: claims.better.arms: the first arm: there is no arm 'bach'; did you mean batch?",
    ),
    ("type: metric,", "type: metrics,", "16: claims.better.measure.type: got 'metrics'; did you mean metric?"),
    ("type: metric,", "type: probe,", "16: claims.better.measure.type: there are no probes yet"),
    ("valid_accuracy}", "valid_acuracy}", "16: claims.better.measure.metric: got 'valid_acuracy'; did you mean"),
    (
        "valid_accuracy}",
        "valid_accuracy, epoch: 4}",
        "16: claims.better.measure.epoch: the runs of the arm batch have 3 epochs",
    ),
    (
        "valid_accuracy}",
        "valid_accuracy, step: 500}",
        "16: claims.better.measure.step: the runs record metrics at the end of each",
    ),
    ("valid_accuracy}", "test_accuracy}", "16: claims.better.measure.metric: test_accuracy needs data.valid"),
    (
        "{type: metric, metric: valid_accuracy}",
        "{type: flatness, key: norm.eps}",
        "16: claims.better.measure.key: norm.eps is not in the grid of the arm batch",
    ),
    (
        "{type: metric, metric: valid_accuracy}",
        "{type: evaluation, evaluation: precise}",
        "16: claims.better.measure.evaluation: the study's evaluations are none; got",
    ),
    (
        "batch: {norm: {type: batch}}",
        "batch: {norm: {type: batch}, seeds: 0..3}",
        "10: arms.batch.seeds: all arms share the study's seeds",
    ),
    ("seeds: 0..4", "seeds: 0..1", "12: seeds: a study needs at least three seeds"),
    ("[0.1, 1.0]", "[0.3, 1.0]", "11: grid: train.optimizer.lr: the grid 0.3, 1.0 misses the base's value, 0."),
    (
        "kind: superior\n    delta: 1.0",
        "kind: ratio\n    delta: 1.1",
        "18: claims.better.kind: there is no ratio of valid_accuracy, which can be 0",
    ),
    (
        "sd: 0.3",
        "sd: 3.0",
        "20: claims.better.sd: 5 seeds are too few: if the true effect is 2, only ",
    ),
    (
        "delta: 1.0",
        "delta: 0.0",
        "19: claims.better.delta: must be above 0 and finite; got 0; write the smallest effect that",
    ),
    ("    sd: 0.3\n", "", "14: claims.better.sd: is required, because the power"),
    ("delta: 1.0", "dleta: 1.0", "19: claims.better.dleta: unknown key; did you mean delta?"),
    ("lr: 0.1}", "rl: 0.1}", "7: train.optimizer.rl: unknown key"),
    ("{type: none}}", "{type: nonne}}", "9: norm.type: got 'nonne'; did you mean none?"),
    ("  data:", "  device: auto\n  data:", "5: base.device: a study names its device"),
    ("    quote: It helps.\n", "", "14: claims.better.quote: quote or says is required"),
    (
        "sd: 0.3",
        "sd: 0",
        "20: claims.better.sd: must be greater than 0; got 0; write the spread of the effect",
    ),
    ("arms: [batch, none]", "arms: [batch]", f"17: claims.better.arms: {ONE_ARM}, as in [batch, none]"),
    ("arms: [batch, none]", "arms: [none]", f"17: claims.better.arms: {ONE_ARM}, as in [batch, none]"),
    ("Somebody 2018", PLACEHOLDERS[0], "2: source: still has the text of the template; replace it"),
    ("It helps.", PLACEHOLDERS[1], "15: claims.better.quote: still has the text of the template; replace it"),
    ("sd_from: a pilot", f"sd_from: '{PLACEHOLDERS[2]}'", "21: claims.better.sd_from: still has the text of the"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG, ids=[message[4:44] for *_, message in WRONG])
def test_a_mistake_is_refused_with_its_line(tmp_path, old, new, message):
    with pytest.raises(ConfigError) as error:
        plan_of(tmp_path, (old, new))
    assert f"{tmp_path}/mine.yaml:{message}" in str(error.value)


def test_too_little_power_names_the_seeds_that_would_do(tmp_path):
    with pytest.raises(ConfigError, match=r"Use 8 seeds"):
        plan_of(tmp_path, ("delta: 1.0\n    sd: 0.3", "delta: 0.3\n    sd: 0.25"))
    plan = plan_of(tmp_path, ("delta: 1.0\n    sd: 0.3", "delta: 0.3\n    sd: 0.25"), ("0..4", "0..7"))
    assert min(power_of(plan, plan.study.about.claims["better"])) >= 0.8


def test_an_exploratory_claim_needs_no_power_and_gets_no_verdict(tmp_path):
    result = judged(tmp_path, lambda arm, place, seed: [0.5, 0.6, 0.9], ("sd: 0.3", "sd: 30.0\n    exploratory: true"))
    assert result.verdict is None and result.judgement.effect == 0


def test_the_points_are_the_arms_at_each_place_of_the_grid(tmp_path):
    plan = plan_of(tmp_path)
    assert [point.config.name for point in plan.points] == [
        f"{arm},train.optimizer.lr={lr}" for arm in ("none", "batch") for lr in ("0.1", "1.0")
    ]
    assert {point.config.data.fallback for point in plan.points} == {"error"}
    assert [point.place for point in plan.pick("batch", {})] == [{"train.optimizer.lr": 0.1}]
    assert len(plan.pick("batch", {}, ["train.optimizer.lr"])) == 2


def test_keys_that_vary_together_need_no_value_of_their_own(tmp_path):
    grid = "{'data.batch_size,train.optimizer.lr': [[64, 0.1], [16, 0.025]]}"
    plan = plan_of(tmp_path, ("{train.optimizer.lr: [0.1, 1.0]}", grid))
    (point,) = plan.pick("batch", {"data.batch_size": 16})
    assert point.config.train.optimizer.lr == 0.025


def test_an_arms_own_grid_replaces_the_studys(tmp_path):
    plan = plan_of(tmp_path, ("{type: none}}", "{type: none}, grid: {train.optimizer.lr: [0.1, 0.2, 0.3]}}"))
    assert len(plan.of_arm("none")) == 3 and len(plan.of_arm("batch")) == 2


def test_the_base_value_is_judged_unless_the_claim_names_another(tmp_path):
    def values(arm, place, seed):
        return [0.1, 0.1, (0.9 if arm == "batch" else 0.8) if place["train.optimizer.lr"] == 0.1 else 0.5]

    result = judged(tmp_path, values)
    assert result.verdict == "supported" and result.judgement.effect == pytest.approx(10)
    where = ("    kind:", "    where: {train.optimizer.lr: 1.0}\n    kind:")
    other = tmp_path / "other"
    other.mkdir()
    assert judged(other, values, where).verdict == "contradicted"


def test_a_missing_run_makes_a_claim_inconclusive(tmp_path):
    result = judged(tmp_path, lambda arm, place, seed: None if (arm, seed) == ("batch", 3) else [0.5, 0.5, 0.9])
    assert result.verdict == "inconclusive" and "1 of 5 seeds is missing" in result.judgement.why


def test_mistakes_give_an_interval_over_seeds_and_images(tmp_path):
    plan = plan_of(tmp_path)
    wrong = {"none": list(range(0, 2000)), "batch": list(range(500, 1500))}
    for point in plan.points:
        for seed in point.config.seeds:
            config = point.config.model_dump(mode="json", exclude={"name", "seeds"})
            mistakes = wrong[point.arm][seed:]
            final = 1 - len(mistakes) / 10_000
            make_run(tmp_path / "r", point.config.name, seed, [0.1, 0.2, final], config=config, mistakes=mistakes)
    (result,) = judge_study(plan, outcome.collect_runs(plan, tmp_path / "r"))
    assert result.over == "seeds and images" and result.judgement.effect == pytest.approx(10)
    assert result.judgement.high - result.judgement.low > 1  # over seeds alone it would be 0


TO = "{type: steps_to, metric: valid_accuracy, target: 90}"


def test_a_run_that_never_reaches_the_target_enters_at_its_bound(tmp_path):
    """none reaches it in epoch 3 or never; batch in epoch 1. In units of epochs: between 2 and ∞, over at most 1."""
    change = claim("ratio", 1.5, TO, "[none, batch]", "sd: 0.1, sd_from: x")

    def values(arm, place, seed):
        return [0.95, 0.95, 0.95] if arm == "batch" else [0.1, 0.1, 0.1 if seed == 0 else 0.9]

    result = judged(tmp_path, values, change)
    assert result.verdict == "supported" and result.judgement.high == math.inf
    assert result.judgement.low == pytest.approx(2 * 1.5 ** (1 / 5), rel=0.35)
    (tmp_path / "again").mkdir()
    late = judged(tmp_path / "again", lambda arm, place, seed: values("none", place, 0), change)
    assert late.verdict == "inconclusive"


def test_a_target_is_reached_somewhere_within_an_epoch(tmp_path):
    """none in epoch 3, batch in epoch 2: between 2/2 and 3/1 times the steps, although the epochs say 3/2."""
    change = claim("ratio", 1.2, TO, "[none, batch]", "sd: 0.01, sd_from: x")
    result = judged(tmp_path, lambda arm, place, seed: [0.1, 0.95 if arm == "batch" else 0.1, 0.95], change)
    assert result.judgement.effect == pytest.approx(1.5) and result.verdict == "inconclusive"
    assert result.judgement.low == pytest.approx(1, abs=0.05) and result.judgement.high == pytest.approx(3, abs=0.1)


def test_at_equal_training_loss_the_first_epoch_below_the_target_counts(tmp_path):
    """The training loss after epoch i is 1/i in handmade runs."""

    def values(arm, place, seed):
        return [0.1, 0.8 if arm == "batch" else 0.7, 0.9]

    change = claim("superior", 1.0, "{type: at_target, target: 0.5}")
    assert judged(tmp_path, values, change).judgement.effect == pytest.approx(10)
    (tmp_path / "never").mkdir()
    never = judged(tmp_path / "never", values, claim("superior", 1.0, "{type: at_target, target: 0.1}"))
    assert never.verdict == "inconclusive" and never.judgement.low == -math.inf


LARGEST = "{type: largest, key: train.optimizer.lr, least: 90}"


def test_the_largest_usable_rate_is_each_seeds_own_and_the_interval_one_step_of_the_grid(tmp_path):
    grid = ("[0.1, 1.0]", "[0.1, 1.0, 10.0]")

    def values(arm, place, seed):
        good = {"none": 0.1, "batch": 1.0}[arm] >= place["train.optimizer.lr"]
        return [0.1, 0.1, 0.95] if good else [0.1, 0.1, "diverged"]

    change = claim("superior", 0.5, LARGEST)
    with pytest.raises(
        ConfigError, match="No number of seeds is enough"
    ):  # one decade is no resolution for half of one
        plan_of(tmp_path, change, grid)
    fine = ("[0.1, 1.0]", "[0.1, 0.2, 0.5, 1.0, 2.0]")
    (tmp_path / "fine").mkdir()
    result = judged(tmp_path / "fine", values, claim("superior", 0.45, LARGEST, more="sd: 0.01, sd_from: x"), fine)
    assert result.judgement.effect == pytest.approx(1.0) and result.verdict == "supported"
    assert result.judgement.low == pytest.approx(1.0 - math.log10(2.5))  # the coarsest step


def test_a_rate_with_a_diverged_run_is_not_usable_whatever_the_accuracy(tmp_path):
    """least: 0 asks for the largest rate that does not diverge."""

    def values(arm, place, seed):
        return [0.1, 0.1, "diverged"] if place["train.optimizer.lr"] == 1.0 and arm == "none" else [0.1, 0.1, 0.1]

    any_accuracy = claim("superior", 0.45, LARGEST.replace("90", "0"), more="exploratory: true")
    result = judged(tmp_path, values, any_accuracy)
    assert [(value.low, value.high) for value in result.effects] == [(1.0, math.inf)] * 5


def test_flatness_and_change_run_over_the_grid(tmp_path):
    def values(arm, place, seed):
        return [0.1, 0.1, 0.9 - (0.0 if arm == "batch" else 0.3) * (place["train.optimizer.lr"] == 1.0)]

    flat = claim("superior", 1.0, "{type: flatness, key: train.optimizer.lr}", "[none, batch]")
    assert judged(tmp_path, values, flat).judgement.effect == pytest.approx(30)
    (tmp_path / "change").mkdir()
    change = "{type: change, key: train.optimizer.lr, from: 0.1, to: 1.0}"
    more = "sd: 0.3, sd_from: x, stable: 1.0, stable_sd: 0.3"
    crossing = judged(tmp_path / "change", values, claim("crossover", 1.0, change, more=more))
    assert crossing.judgement.effect == pytest.approx(30) and crossing.verdict == "contradicted"  # none is not stable


def test_a_diverged_run_counts_as_guessing_and_as_an_unusable_rate(tmp_path):
    def values(arm, place, seed):
        return [0.9, "diverged"] if (arm, seed) == ("none", 0) else [0.9, 0.9, 0.9]

    result = judged(tmp_path, values)
    assert result.effects[0].value == pytest.approx(90 - 11.35) and "diverged" in result.judgement.why


def evaluated(folder, accuracies, *changes):
    """Handmade runs of `batch` with an evaluations.csv."""
    arm = ("batch: {norm: {type: batch}}", "batch: {norm: {type: batch}, evaluations: [running, precise, {batch: 1}]}")
    plan = plan_of(folder, arm, *changes)
    found = runs(plan, folder / "r", lambda arm, place, seed: [0.1, 0.1, 0.9])
    for run in found.values():
        rows = [f"{name},0.5,{accuracy},10000,{error}," for name, (accuracy, error) in accuracies.items()]
        header = "evaluation,loss,accuracy,images,mean_error,var_error"
        (run.path / "evaluations.csv").write_text("\n".join([header, *rows, ""]))
    (result,) = judge_study(plan, found)
    return result


EVALUATED = {"running": (0.95, 0.3), "precise": (0.97, 0.1), "batch=1": (0.1, "")}


def test_evaluations_are_compared_with_each_other(tmp_path):
    change = claim("superior", 1.0, "{type: evaluation, evaluation: precise, minus: running}", "[batch]")
    assert evaluated(tmp_path, EVALUATED, change).judgement.effect == pytest.approx(2)
    (tmp_path / "ratio").mkdir()
    over = "{type: evaluation, evaluation: running, over: precise, column: mean_error}"
    ratio = evaluated(tmp_path / "ratio", EVALUATED, claim("ratio", 2, over, "[batch]"))
    assert ratio.verdict == "supported" and ratio.judgement.effect == pytest.approx(3)
    (tmp_path / "one").mkdir()
    exact = claim("exact", 11.35, "{type: evaluation, evaluation: batch=1}", "[batch]")
    assert evaluated(tmp_path / "one", EVALUATED, exact).verdict == "supported"
    (tmp_path / "none").mkdir()
    without = {name: row for name, row in EVALUATED.items() if name != "batch=1"}
    assert evaluated(tmp_path / "none", without, exact).verdict == "inconclusive"


def test_a_published_run_is_compared_with_one_more_run(tmp_path):
    measure = "{type: metric, metric: valid_accuracy}"
    plan = plan_of(tmp_path, claim("superior", 1.0, measure, "[batch]", "published: 91.0, exploratory: true"))
    values = [0.9, 0.91, 0.92, 0.93, 0.94]
    found = runs(plan, tmp_path / "r", lambda arm, place, seed: [0.1, 0.1, values[seed]])
    (one,) = outcome.judge_and_write(plan, found, tmp_path / "o", figure)["claims"]
    half = 2.7764 * 1.5811 * math.sqrt(1 + 1 / 5)  # t of 4 degrees of freedom, the sd of 90 to 94
    assert one["one_more_run"] == pytest.approx([92 - half, 92 + half], abs=0.01)
    assert "The published 91 lies inside the 95 % interval of one more run" in sentence(one)
    with pytest.raises(ConfigError, match="published: is for exploratory claims about one arm only"):
        plan_of(tmp_path, claim("superior", 1.0, measure, more="published: 91.0, exploratory: true"))


TUNED = [
    ("  data: {dataset: mnist}", "  data: {dataset: mnist, valid: 5000}"),
    ("seeds: 0..4", "seeds: 0..4\ntuning: {key: train.optimizer.lr}"),
    ("    kind:", "    tuned: true\n    kind:"),
    ("metric: valid_accuracy}", "metric: test_accuracy}"),
    ("[0.1, 1.0]", "[0.01, 0.1, 1.0]"),
]


def tuned(folder, best):
    """Held-out accuracies that are best at `best`; test accuracies that are best elsewhere."""
    plan = plan_of(folder, *TUNED)
    for point in plan.points:
        rate = point.place["train.optimizer.lr"]
        for seed in point.config.seeds:
            config = point.config.model_dump(mode="json", exclude={"name", "seeds"})
            held_out = 0.9 if rate == best else 0.5
            test = {"none": 0.6, "batch": 0.7}[point.arm] if rate == best else 0.99
            make_run(folder / "r", point.config.name, seed, [0.1, 0.1, held_out], config=config, test=test)
    (result,) = judge_study(plan, outcome.collect_runs(plan, folder / "r"))
    return result


def test_tuned_arms_are_chosen_on_held_out_images_and_judged_on_the_test_images(tmp_path):
    result = tuned(tmp_path, 0.1)
    assert result.best == {"batch": 0.1, "none": 0.1}
    assert result.verdict == "supported" and result.judgement.effect == pytest.approx(10)


def test_a_best_value_at_the_edge_of_the_grid_is_inconclusive(tmp_path):
    result = tuned(tmp_path, 1.0)
    assert result.verdict == "inconclusive" and "edge of the grid" in result.judgement.why


def test_the_outcome_has_the_same_bytes_again_and_tells_who_edited_it(tmp_path):
    plan = plan_of(tmp_path)
    found = runs(plan, tmp_path / "r", lambda arm, place, seed: [0.5, 0.6, 0.9 if arm == "batch" else 0.8])
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        written = outcome.judge_and_write(plan, found, folder, figure)
    assert {path.name for path in first.iterdir()} == set(outcome.FILES)
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in outcome.FILES)
    again = "remove verdicts.json, then: bnbench study a --judge-only"
    assert (first / "runs.csv").read_text().count("\n") == 1 + 4 * 5
    assert outcome.read_outcome(first) == json.loads(json.dumps(written))
    for name, old, new, line in (
        ("verdicts.json", '"supported"', '"contradicted"', "sha256: was edited by hand"),
        ("runs.csv", "0.8", "0.7", "runs_sha256: .*runs.csv was edited by hand"),
        ("study.yaml", "delta: 1.0", "delta: 2.0", "study_sha256: "),
    ):
        text = (first / name).read_text()
        (first / name).write_text(text.replace(old, new, 1))
        with pytest.raises(ConfigError, match=rf"verdicts\.json:\d+: {line}.*; {again}"):
            outcome.read_outcome(first)
        (first / name).write_text(text)


def test_an_edited_study_is_a_new_study(tmp_path):
    plan = plan_of(tmp_path)
    found = runs(plan, tmp_path / "r", lambda arm, place, seed: [0.5, 0.6, 0.9])
    outcome.judge_and_write(plan, found, tmp_path / "o", figure)
    outcome.refuse_edited(plan, tmp_path / "o")
    with pytest.raises(ConfigError, match="an edited study is a new study"):
        outcome.refuse_edited(plan_of(tmp_path, ("delta: 1.0", "delta: 0.9")), tmp_path / "o")


def test_the_text_has_quotation_source_effect_rule_and_scope(tmp_path):
    plan = plan_of(tmp_path, ("quote: It helps.", "quote: It helps.\n    transfer: true"))
    found = runs(plan, tmp_path / "r", lambda arm, place, seed: [0.5, 0.6, 0.9 if arm == "batch" else 0.8 + seed / 100])
    written = outcome.judge_and_write(plan, found, tmp_path / "o", figure)
    text = "\n".join(verdict_lines(written))
    for part in ("better: SUPPORTED HERE (transfer)", "“It helps.” (Somebody 2018)", "this MLP (100), MNIST, 60,000"):
        assert part in text
    assert "+8.00 [+6.04, +9.96] points, n 5" in text and "larger by more than 1 point." in text
    assert said(written["claims"][0]) == "“It helps.” (Somebody 2018)"


def test_one_arm_is_judged_where_the_measure_is_a_difference_or_has_its_own_threshold(tmp_path):
    change = "{type: change, key: train.optimizer.lr, from: 0.1, to: 1.0}"
    plan_of(tmp_path, claim("superior", 1.0, change, "[batch]"))
    plan_of(tmp_path, claim("superior", 1.0, TO.replace("steps_to", "epochs_to"), "[batch]"))
    with pytest.raises(ConfigError, match="names one arm, so delta is compared with its loss"):
        plan_of(tmp_path, claim("superior", 1.0, "{type: metric, metric: train_loss}", "[batch]"))


def test_probes_are_not_among_the_measures_that_a_message_names(tmp_path):
    with pytest.raises(ConfigError, match=r"must be one of metric, .*, change, evaluation; got"):
        plan_of(tmp_path, ("type: metric,", "type: whatever,"))


def spread_of(folder, sd):
    """Effects of 10 ± 1 points: an sd of 1.1."""
    plan = plan_of(folder, ("delta: 1.0\n    sd: 0.3", f"delta: 5.0\n    sd: {sd}"))
    values = [0.89, 0.91, 0.9, 0.89, 0.91]
    found = runs(plan, folder / "r", lambda arm, place, seed: [0.5, 0.6, values[seed] if arm == "batch" else 0.8])
    (one,) = outcome.judge_and_write(plan, found, folder / "o", figure)["claims"]
    return one


def test_a_spread_above_the_declared_one_is_told_with_the_seeds_of_a_new_study(tmp_path):
    one = spread_of(tmp_path, 0.6)
    assert one["spread"] == {"sd": 1.0, "use": 1.0, "seeds": seeds_needed("superior", 5.0, 1.0)}
    assert sentence(one).endswith(
        "The spread over seeds was 1, more than the declared 0.6, so the power was lower than planned."
        f" For a new study: sd 1 and {one['spread']['seeds']} seeds."
    )
    (tmp_path / "as_declared").mkdir()
    assert "spread" not in spread_of(tmp_path / "as_declared", 0.7)


def test_runs_of_a_part_of_the_seeds_are_too_early_unless_a_look_has_all_its_seeds(tmp_path):
    def early(folder, many, *changes):
        folder.mkdir()
        plan = plan_of(folder, *changes)
        found = runs(plan, folder / "r", lambda arm, place, seed: [0.5, 0.6, 0.9] if seed < many else None)
        return outcome.too_early(plan, outcome.missing(plan, found))

    looks = ("    sd: 0.3", "    sd: 0.3\n    looks: [3, 5]")
    assert early(tmp_path / "a", 3) == "3 of 5 seeds: too early for a verdict"
    assert early(tmp_path / "b", 5) is None and early(tmp_path / "c", 3, looks) is None
    assert early(tmp_path / "d", 2, looks) == "2 of 5 seeds: too early for a verdict"


def test_a_broken_run_is_named_with_the_next_step(tmp_path):
    plan = plan_of(tmp_path)
    found = runs(plan, tmp_path / "r", lambda arm, place, seed: [0.5, 0.6, 0.9])
    table = next(iter(found.values())).path / "metrics.csv"
    table.write_text(table.read_text().replace("0.9", "0.8"))
    with pytest.raises(ResultsError, match=r"ends with other metrics .*; remove the folder .*, then run"):
        outcome.collect_runs(plan, tmp_path / "r")


def test_an_exploratory_claim_has_no_rule_and_one_has_no_plural(tmp_path):
    plan = plan_of(tmp_path, ("    delta: 1.0\n    sd: 0.3", "    exploratory: true\n    sd: 0.3"))
    found = runs(plan, tmp_path / "r", lambda arm, place, seed: [0.5, 0.6, 0.9])
    assert "  rule: no rule." in verdict_lines(outcome.judge_and_write(plan, found, tmp_path / "o", figure))


def test_a_refused_study_has_a_row_with_its_first_problem():
    assert refused_lines({"a": "a.yaml:1: x", "b": "b.yaml:1: x\nb.yaml:2: y"}) == [
        "a  refused: a.yaml:1: x",
        "b  refused: b.yaml:1: x (and 1 more)",
    ]


def test_two_studies_of_one_name_are_refused(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    path = study(folder)
    other = study(tmp_path)
    assert find("mine", folder) == path == find(str(path), folder)
    with pytest.raises(ConfigError, match=r"is a study of the same name"):
        find(str(other), folder)
    with pytest.raises(ConfigError, match="did you mean mine"):
        find("mien", folder)


def test_the_template_is_a_study(tmp_path):
    plan = make_plan(read_study(study(tmp_path, TEMPLATE.format(name="mine"))))
    check(plan, power=False)
    assert len(plan.points) == 2
    with pytest.raises(ConfigError) as error:
        check(plan)
    assert str(error.value).count("still has the text of the template") == len(PLACEHOLDERS)


SHIPPED = sorted((REPOSITORY / "configs/studies").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_can_decide_its_claims_and_takes_at_most_20_minutes(path):
    plan = make_plan(read_study(path))
    check(plan)
    assert plan.study.about.minutes <= 20


OUTCOMES = sorted((REPOSITORY / "results/studies").glob("*/verdicts.json"))


@pytest.mark.parametrize("path", OUTCOMES, ids=lambda path: path.parent.name)
def test_every_tracked_outcome_is_that_of_its_study(path):
    judged = outcome.read_outcome(path.parent)
    shipped = REPOSITORY / "configs/studies" / f"{path.parent.name}.yaml"
    assert read_study(shipped).sha256 == judged["study_sha256"]


@pytest.mark.parametrize("name", ["variants_l1", "lp"])
def test_the_tracked_runs_give_the_tracked_verdicts(name, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    plan = make_plan(read_study(find(name)))
    found = outcome.collect_runs(plan, Path("results/studies") / name / "runs")
    table = outcome.runs_csv(plan, found)
    assert outcome.verdicts(plan, judge_study(plan, found), table) == outcome.read_outcome(
        Path("results/studies") / name
    )
