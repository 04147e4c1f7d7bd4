"""What the README says is so: its commands parse, its numbers are the tracked runs', its tree is the source's."""

import json
import re
import shlex
import statistics

import numpy as np
import pytest
import typer.main
from conftest import REPOSITORY
from scipy import stats

from bnbench.analysis.arms import collect
from bnbench.analysis.compare import Question, compare
from bnbench.cli import app
from bnbench.norms import NORMS, WEIGHT_NORMS
from bnbench.report import plots
from bnbench.runs.format import read_run

README = (REPOSITORY / "README.md").read_text()
REFERENCE = REPOSITORY / "results" / "reference"
NORM_RUNS = REPOSITORY / "results" / "norms"
COMMANDS = sorted(
    {
        match[0]
        for text in (README, (REPOSITORY / "results/README.md").read_text(), (REPOSITORY / "CHANGELOG.md").read_text())
        for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text, flags=re.M | re.S)
        for match in re.finditer(r"\bbnbench (?:run|compare|diff|show|report|verify|data) [^#\n]*", block)
    }
)
# The table of the tutorial's experiments: the config, "mean ± half", the difference and p, empty for a baseline.
ROWS = re.findall(r"^\| `([a-z_]+bn[^`]*)` \|.*\| (\d\d\.\d\d ± \d\.\d\d) \|([^|]*)\|([^|]*)\|$", README, flags=re.M)
# The table of the norms: type, then for the MLP and the CNN "mean ± half" and the difference to none.
NORM_ROWS = re.findall(
    r"^\| `([a-z_0-9]+)` \| (\d\d\.\d\d ± \d\.\d\d)? *\| ([^|]*?) *\| (\d\d\.\d\d ± \d\.\d\d) \| ([^|]*?) *\|$",
    README,
    flags=re.M,
)


def test_there_are_two_set_up_commands_and_ci_runs_them():
    lines = [line for line in README.split("\n") if line.startswith("pip install")]
    assert lines == ["pip install -e . && bnbench run configs/mlp_bn.yaml", "pip install -e '.[dev]' && pytest"]
    assert "grep '^pip install' README.md" in (REPOSITORY / ".ci/run").read_text()


def test_there_are_commands_and_rows_to_check():
    assert len(COMMANDS) >= 8 and len(ROWS) == 9


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_parse_and_name_real_files(command):
    group = typer.main.get_command(app)
    words = [word for word in shlex.split(command)[1:] if word != "..."]
    while hasattr(group, "commands"):
        group = group.commands[words.pop(0)]
    context = group.make_context("bnbench", list(words))
    for path in context.params.get("configs") or []:
        assert list(REPOSITORY.glob(str(path))) or path.name == "wrong.yaml", path


def finals(arm, folder=REFERENCE, epoch=-1, metric="valid_accuracy"):
    """Of each seed, in percent."""
    runs = sorted(map(read_run, (folder / arm).iterdir()), key=lambda run: run.seed)
    return [100 * getattr(run.rows[epoch], metric) for run in runs]


def shown(values):
    """Mean ± half of its 95 % t-interval, by scipy."""
    return f"{statistics.mean(values):.2f} ± {stats.t.ppf(0.975, len(values) - 1) * stats.sem(values):.2f}"


def gap(arm, baseline, **where):
    """The paired difference and its interval, by scipy."""
    a, b = finals(arm, **where), finals(baseline, **where)
    low, high = stats.ttest_rel(a, b).confidence_interval()
    return statistics.mean(a) - statistics.mean(b), f"[{low:+.2f}, {high:+.2f}]"


def p(arm, baseline, **where):
    """The exact sign-flip test, by scipy."""
    # In images, which are whole: sums that tie must be seen to.
    gaps = [round(100 * (a - b)) for a, b in zip(finals(arm, **where), finals(baseline, **where), strict=True)]
    return stats.permutation_test((gaps,), np.mean, permutation_type="samples").pvalue


@pytest.mark.parametrize(("config", "mean", "difference", "corrected"), ROWS)
def test_its_numbers_are_those_of_the_tracked_runs(config, mean, difference, corrected):
    arm = config.replace(" --set ", ",")
    baseline = f"{arm[:3]}_no_bn"
    assert len(finals(arm)) == 10 and mean == shown(finals(arm))
    if arm == baseline:
        assert not difference.strip() and not corrected.strip()
        return
    amount, interval = gap(arm, baseline)
    assert difference.strip() == f"{'~' if interval.count('+') == 1 else f'{amount:+.2f}'} {interval}"
    others = [row[0].replace(" --set ", ",") for row in ROWS if row[0][:3] == arm[:3] and row[0] != baseline]
    assert corrected.strip() == holm_by_hand(arm, others, baseline, REFERENCE)


OTHERS = {
    model: [row[0].replace(" --set ", ",") for row in ROWS if row[0][:3] == model and row[0] != f"{model}_no_bn"]
    for model in ("mlp", "cnn")
}


def mlp_p(arm, **where):
    return holm_by_hand(arm, OTHERS["mlp"], "mlp_no_bn", REFERENCE, **where)


def cnn_p(arm, **where):
    return holm_by_hand(arm, OTHERS["cnn"], "cnn_no_bn", REFERENCE, **where)


def holm_by_hand(arm, others, baseline, folder, **where):
    ps = sorted((p(other, baseline, folder=folder, **where), other) for other in others)
    corrected = 0.0
    for rank, (value, other) in enumerate(ps):
        corrected = max(corrected, (len(ps) - rank) * value)
        if other == arm:
            return f"{min(1.0, corrected):.3f}"
    raise AssertionError(arm)


@pytest.mark.parametrize(("norm", "mlp", "mlp_gap", "cnn", "cnn_gap"), NORM_ROWS)
def test_its_table_of_norms_is_the_tracked_runs(norm, mlp, mlp_gap, cnn, cnn_gap):
    for model, seeds, mean, difference in (("mlp", 11, mlp, mlp_gap), ("cnn", 5, cnn, cnn_gap)):
        arm, baseline = f"{model}_{norm}", f"{model}_none"
        if not (NORM_RUNS / arm).exists():
            assert mean == difference == ""
            continue
        values = finals(arm, NORM_RUNS)
        assert len(values) == seeds and mean == shown(values)
        if norm == "none":
            assert difference == ""
            continue
        amount, interval = gap(arm, baseline, folder=NORM_RUNS)
        if interval.count("+") == 1:
            assert difference == f"~ {interval}"
            continue
        expected = f"{amount:+.2f} {interval}"
        if model == "mlp":
            others = [row[0] for row in NORM_ROWS if row[1] and row[0] != "none"]
            expected += f", p {holm_by_hand(arm, [f'mlp_{other}' for other in others], baseline, NORM_RUNS)}"
        assert difference == expected


def test_its_claims_on_the_norms():
    tracked = {path.name.partition("_")[2] for path in NORM_RUNS.iterdir()}
    assert {row[0] for row in NORM_ROWS} == tracked <= {"none", *NORMS, *WEIGHT_NORMS}
    text = " ".join(README.split())
    by = {
        (a, b): gap(f"mlp_{a}", f"mlp_{b}", folder=NORM_RUNS)
        for a, b in (
            ("mean_only_batch", "none"),
            ("batch", "none"),
            ("mean_only_batch", "batch"),
            ("variance_only_batch", "none"),
            ("l1_batch", "batch"),
            ("lp_batch", "batch"),
            ("noisy_batch", "batch"),
        )
    }
    assert f"{by['mean_only_batch', 'none'][0]:.2f}" == f"{by['batch', 'none'][0]:.2f}" == "1.65"
    assert "ahead of no norm by 1.65 points, as batch norm is" in text
    assert f"between the two the difference is ~ {by['mean_only_batch', 'batch'][1]}" in text
    amount, interval = by["variance_only_batch", "none"]
    assert f"{-amount:.2f} points *behind* no norm {interval}" in text
    amount, interval = by["l1_batch", "batch"]
    others = [f"mlp_{row[0]}" for row in NORM_ROWS if row[1] and row[0] != "batch"]
    corrected = holm_by_hand("mlp_l1_batch", others, "mlp_batch", NORM_RUNS)
    assert f"by {amount:.2f} points {interval}, p {corrected}; with other images" in text
    assert f"in the CNN, ~ {gap('cnn_l1_batch', 'cnn_batch', folder=NORM_RUNS)[1]}" in text
    amount, interval = by["lp_batch", "batch"]
    assert f"behind L2**, by {-amount:.2f} points {interval}" in text
    assert f"`noisy_batch` beside `batch` is ~ {by['noisy_batch', 'batch'][1]}" in text
    for norm in ("layer", "rms", "group", "weight"):
        low, high = map(float, gap(f"mlp_{norm}", "mlp_none", folder=NORM_RUNS)[1].strip("[]").split(", "))
        assert low < 0 < high and -low >= 0.37 and max(-low, high) >= 0.5
    for model, seeds in (("mlp", 11), ("cnn", 5)):
        for seed in range(seeds):
            a, b = (
                (REPOSITORY / f"results/norms/{model}_{norm}/seed-{seed}/metrics.csv").read_bytes()
                for norm in ("sync_batch", "batch")
            )
            assert a == b


def test_its_pictures_say_what_the_tracked_runs_give():
    (table,) = compare(collect(sorted(REFERENCE.glob("mlp*"))), Question()).tables
    pictures = {picture.name: picture for picture in plots.curves(table.rows)}
    said = dict(re.findall(r"^!\[(.*)\]\((results/figures/.*\.svg)\)$", README.replace("\\", ""), flags=re.M))
    for picture, file in (
        (pictures["valid_accuracy-by-epoch"], "results/figures/mlp-accuracy.svg"),
        (plots.differences(table.rows, table), "results/figures/mlp-differences.svg"),
    ):
        assert said[picture.text] == file
        assert "mlp_bn_batch_stats" in (REPOSITORY / file).read_text()
        said.pop(picture.text)
    assert not said


def test_its_tree_is_the_source():
    tree = README.partition("## The source")[2]
    source = REPOSITORY / "bnbench"
    named = set(re.findall(r"^  ([a-z_]+(?:\.py|/))  ", tree, flags=re.M))
    packages = {f"{path.parent.name}/" for path in source.glob("*/__init__.py")}
    modules = {path.name for path in source.glob("*.py") if not path.name.startswith("__")}
    assert named == packages | modules


def test_the_changelog_gives_every_dependency_a_reason():
    from importlib.metadata import requires

    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    for requirement in requires("bnbench"):
        if "extra == 'dev'" not in requirement.replace('"', "'"):
            assert re.match(r"[a-z0-9]+", requirement.lower())[0] in changelog


def test_nothing_in_it_is_left_to_fill_in():
    assert not re.findall(r"^[A-Z]{5,}\.?$|\b(?:TODO|SAMPLE|FLOAT32|BENCHMARKS)\b|@@", README, flags=re.M)


def test_its_sample_of_mistakes_is_what_run_says(bnbench, tmp_path):
    lines = ["name: wrong", "model: {type: mlp}", "norm:", "  type: batch", "  implementation: custom", "  eps: 0.1"]
    lines += ["  momentun: 0.9", "train:", "  epochs: 0", "  optimizer: {type: sgd, lr: 0.1}"]
    (tmp_path / "wrong.yaml").write_text("\n".join(lines))
    block = README.partition("$ bnbench run wrong.yaml\n")[2].partition("```")[0]
    assert bnbench("run", "wrong.yaml").stderr == block


def test_its_sample_output_is_what_compare_prints(bnbench, monkeypatch):
    from rich.console import Console

    from bnbench import console

    command, block = re.search(r"\$ bnbench (compare results/.*)\n((?:.*\n)*?)```", README).groups()
    assert block.count("\n") >= 12
    monkeypatch.setattr(console, "stdout", lambda: Console(width=92, markup=False, highlight=False))
    words = [REPOSITORY / word if word.startswith("results") else word for word in command.split()]
    out = "\n".join(line.rstrip() for line in bnbench(*words).stdout.split("\n"))
    assert block in out


def test_its_conclusions_are_the_tracked_runs():
    text = " ".join(README.split())
    first = {"epoch": 0}
    amount, interval = gap("mlp_bn", "mlp_no_bn", **first)
    means = [f"{statistics.mean(finals(arm, **first)):.2f}" for arm in ("mlp_bn", "mlp_no_bn")]
    assert f"{means[0]} against {means[1]} %, by {amount:.2f} points {interval}, p {mlp_p('mlp_bn', **first)}" in text
    amount, interval = gap("cnn_bn", "cnn_no_bn", **first)
    assert f"a hint, {amount:.2f} points {interval}, p {cnn_p('cnn_bn', **first)}" in text
    trained = {"epoch": 0, "metric": "train_accuracy"}
    mlp, cnn = (gap(f"{model}_bn", f"{model}_no_bn", **trained) for model in ("mlp", "cnn"))
    ps = mlp_p("mlp_bn", **trained), cnn_p("cnn_bn", **trained)
    assert f"by {mlp[0]:.2f} points {mlp[1]}, p {ps[0]}, and {cnn[0]:.2f} {cnn[1]}, p {ps[1]} (`--metric" in text
    amount, interval = gap("mlp_bn", "mlp_no_bn")
    assert f"without it, by {-amount:.2f} points {interval}, p {mlp_p('mlp_bn')}" in text
    amount, interval = gap("mlp_bn,norm.momentum=0.1", "mlp_no_bn")
    assert f"ahead, by {amount:.2f} {interval}, p {mlp_p('mlp_bn,norm.momentum=0.1')}" in text
    amount, interval = gap("mlp_bn,norm.momentum=0.1", "mlp_bn")
    assert f"differ by {amount:.2f} points {interval} (`--baseline mlp_bn`)" in text
    scores = [f"{statistics.mean(finals(arm)):.2f} %" for arm in ("mlp_bn_batch_stats", "mlp_bn")]
    assert f"score {scores[0]}, by their moving averages {scores[1]}" in text
    amount, interval = gap("mlp_bn_builtin", "mlp_bn")
    others = [arm for arm in ("mlp_no_bn", *OTHERS["mlp"]) if arm != "mlp_bn"]
    corrected = holm_by_hand("mlp_bn_builtin", others, "mlp_bn", REFERENCE)
    assert f"is {-amount:.2f} points {interval} behind `mlp_bn`, p {corrected}" in text
    for epoch in range(5):
        assert gap("cnn_bn", "cnn_no_bn", epoch=epoch)[0] > 0
    amount, interval = gap("cnn_bn", "cnn_no_bn")
    assert f"at the end by {amount:.2f} points {interval}: not told apart" in text
    low, high = interval.strip("[]").split(", ")
    assert f"makes unlikely an advantage without it of more than {low[1:]} points" in text
    assert f"or one with it of more than {high[1:]}." in text


def test_its_bootstrap_is_what_compare_says(bnbench):
    result = bnbench("compare", *(REFERENCE / arm for arm in ARMS_OF_MLP), "--bootstrap", "--format", "json")
    (group,) = json.loads(result.stdout)["groups"]
    rows = {arm["arm"]: arm for arm in group["arms"]}
    text = " ".join(README.split())
    for arm, words in (("mlp_bn", "-0.48 becomes"), ("mlp_bn,norm.momentum=0.1", "and +0.23 becomes")):
        low, high = (100 * rows[arm][f"bootstrap_{end}"] for end in ("low", "high"))
        assert f"{words} [{low:+.2f}, {high:+.2f}]" in text
    for arm, baseline, words in (
        (NORM_RUNS / "mlp_l1_batch", NORM_RUNS / "mlp_batch", "with other images drawn too,"),
        (REFERENCE / "mlp_bn_builtin", REFERENCE / "mlp_bn", "over other images too,"),
    ):
        result = bnbench("compare", arm, baseline, "--baseline", baseline.name, "--bootstrap", "--format", "json")
        row = json.loads(result.stdout)["groups"][0]["arms"][1]
        assert f"{words} [{100 * row['bootstrap_low']:+.2f}, {100 * row['bootstrap_high']:+.2f}]" in text


ARMS_OF_MLP = ("mlp_no_bn", "mlp_bn", "mlp_bn,norm.momentum=0.1")


def test_its_claim_that_only_the_evaluation_differs():
    """Three arms of the tutorial's MLP are trained to the same last digit."""
    for seed in range(10):
        arms = ("mlp_bn", "mlp_bn_batch_stats", "mlp_bn,norm.momentum=0.1")
        curves = [
            [(row.train_loss, row.train_accuracy) for row in read_run(REFERENCE / arm / f"seed-{seed}").rows]
            for arm in arms
        ]
        assert curves[0] == curves[1] == curves[2]
