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

from bnbench.cli import app
from bnbench.norms import NORMS, WEIGHT_NORMS
from bnbench.results import read_run

README = (REPOSITORY / "README.md").read_text()
REFERENCE = REPOSITORY / "results" / "reference"
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
# The table of the norms: type, MLP, CNN.
NORM_ROWS = re.findall(
    r"^\| `([a-z_0-9]+)` \| (\d\d\.\d\d ± \d\.\d\d)? *\| (\d\d\.\d\d ± \d\.\d\d) \|$", README, flags=re.M
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
    signs = {sign + interval[-1] for sign in interval.replace(",", "")[1:].split() for sign in sign[0]}
    assert difference.strip() == f"{'~' if len(signs) == 2 else f'{amount:+.2f}'} {interval}"
    others = [row[0].replace(" --set ", ",") for row in ROWS if row[0][:3] == arm[:3] and row[0] != baseline]
    ps = sorted((p(other, baseline), other) for other in others)
    corrected_by_hand = 0.0
    for rank, (value, other) in enumerate(ps):
        corrected_by_hand = max(corrected_by_hand, (len(ps) - rank) * value)
        if other == arm:
            break
    assert corrected.strip() == f"{corrected_by_hand:.3f}"


def test_its_table_of_norms_is_the_tracked_runs():
    assert {norm for norm, *_ in NORM_ROWS} == {"none", *NORMS, *WEIGHT_NORMS}
    for norm, *shown in NORM_ROWS:
        for model, cell in zip(("mlp", "cnn"), shown, strict=True):
            folder = REPOSITORY / "results" / "norms" / f"{model}_{norm}"
            finals = [100 * read_run(path).rows[-1].valid_accuracy for path in folder.glob("*")]
            assert len(finals) == (5 if cell else 0)
            assert not cell or cell == f"{statistics.mean(finals):.2f} ± {statistics.stdev(finals):.2f}"


def test_its_claims_on_the_norms():
    def gaps(arm, baseline):
        """Final validation accuracy against the baseline's of the same seed, in points."""
        folder = REPOSITORY / "results" / "norms"
        a, b = ([read_run(folder / name / f"seed-{s}").rows[-1] for s in range(5)] for name in (arm, baseline))
        return [100 * (x.valid_accuracy - y.valid_accuracy) for x, y in zip(a, b, strict=True)]

    text = " ".join(README.split())
    mean_only, whole, variance_only = (
        gaps(f"mlp_{norm}batch", "mlp_none") for norm in ("mean_only_", "", "variance_only_")
    )
    assert f"gives {statistics.mean(mean_only):.2f} of batch norm's {statistics.mean(whole):.2f} points" in text
    assert f"divides is {-statistics.mean(variance_only):.2f} points *worse*" in text and max(variance_only) < 0
    l1 = gaps("mlp_l1_batch", "mlp_batch")
    assert f"in all five seeds (by {min(l1):.2f} to {max(l1):.2f}), in the CNN in one of five" in text
    assert sum(gap > 0 for gap in gaps("cnn_l1_batch", "cnn_batch")) == 1
    for model in ("mlp", "cnn"):
        noisy = gaps(f"{model}_noisy_batch", f"{model}_batch")
        assert min(noisy) < 0 < max(noisy) and max(map(abs, noisy)) < 0.375
        assert statistics.mean(gaps(f"{model}_lp_batch", f"{model}_batch")) < 0
        for seed in range(5):
            a, b = (
                (REPOSITORY / f"results/norms/{model}_{norm}/seed-{seed}/metrics.csv").read_bytes()
                for norm in ("sync_batch", "batch")
            )
            assert a == b
    for norm in ("layer", "rms", "group", "weight"):
        assert statistics.mean(gaps(f"mlp_{norm}", "mlp_none")) < statistics.stdev(gaps(f"mlp_{norm}", "mlp_none"))


def test_its_tree_is_the_source():
    tree = README.partition("## The source")[2]
    source = REPOSITORY / "bnbench"
    named = set(re.findall(r"^  ([a-z_/]+\.py)  ", tree, flags=re.M))
    there = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    assert named == {name for name in there if not name.endswith(("__init__.py", "__main__.py"))}


def test_the_changelog_gives_every_dependency_a_reason():
    from importlib.metadata import requires

    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    for requirement in requires("bnbench"):
        if "extra == 'dev'" not in requirement.replace('"', "'"):
            assert re.match(r"[a-z0-9]+", requirement.lower())[0] in changelog


def test_nothing_in_it_is_left_to_fill_in():
    assert not re.findall(r"^[A-Z]{5,}\.?$|\b(?:TODO|SAMPLE|FLOAT32|BENCHMARKS)\b", README, flags=re.M)


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
    assert f"{means[0]} against {means[1]} %, by {amount:.2f} points {interval}, p 0.023" in text
    amount, interval = gap("cnn_bn", "cnn_no_bn", **first)
    assert f"a hint, {amount:.2f} points {interval}, p 0.053" in text
    trained = {"epoch": 0, "metric": "train_accuracy"}
    mlp, cnn = (gap(f"{model}_bn", f"{model}_no_bn", **trained) for model in ("mlp", "cnn"))
    assert f"by {mlp[0]:.2f} points {mlp[1]} and {cnn[0]:.2f} {cnn[1]} (`--metric train_accuracy`)" in text
    amount, interval = gap("mlp_bn", "mlp_no_bn")
    assert f"without it, by {-amount:.2f} points {interval}, p 0.023" in text
    amount, interval = gap("mlp_bn,norm.momentum=0.1", "mlp_no_bn")
    assert f"ahead, by {amount:.2f} {interval}, p 0.043" in text
    amount, interval = gap("mlp_bn,norm.momentum=0.1", "mlp_bn")
    assert f"differ by {amount:.2f} points {interval} (`--baseline mlp_bn`)" in text
    scores = [f"{statistics.mean(finals(arm)):.2f} %" for arm in ("mlp_bn_batch_stats", "mlp_bn")]
    assert f"score {scores[0]}, by their moving averages {scores[1]}" in text
    amount, interval = gap("mlp_bn_builtin", "mlp_bn")
    assert f"is {-amount:.2f} points {interval} behind `mlp_bn`" in text
    for epoch in range(5):
        assert gap("cnn_bn", "cnn_no_bn", epoch=epoch)[0] > 0
    amount, interval = gap("cnn_bn", "cnn_no_bn")
    assert f"at the end by {amount:.2f} points {interval}: not told apart" in text
    low, high = interval.strip("[]").split(", ")
    assert f"no room for an advantage without it of more than {low[1:]} points" in text
    assert f"nor for one with it of more than {high[1:]}." in text


def test_its_bootstrap_is_what_compare_says(bnbench):
    result = bnbench("compare", *(REFERENCE / arm for arm in ARMS_OF_MLP), "--bootstrap", "--format", "json")
    (group,) = json.loads(result.stdout)["groups"]
    rows = {arm["arm"]: arm for arm in group["arms"]}
    text = " ".join(README.split())
    for arm, words in (("mlp_bn", "-0.48 becomes"), ("mlp_bn,norm.momentum=0.1", "and +0.23 becomes")):
        low, high = (100 * rows[arm][f"bootstrap_{end}"] for end in ("low", "high"))
        assert f"{words} [{low:+.2f}, {high:+.2f}]" in text


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
