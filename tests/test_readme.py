"""What the README says is so: its commands parse, its numbers are the tracked runs', its tree is the source's."""

import re
import shlex
import statistics

import pytest
import typer.main
from conftest import REPOSITORY

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
        for match in re.finditer(r"\bbnbench (?:run|compare|verify|data) [^#\n]*", block)
    }
)
# The table of the tutorial's experiments: the config's column, and "mean ± sd".
ROWS = re.findall(r"^\| `([a-z_]+bn[^`]*)` \|.*\| (\d\d\.\d\d ± \d\.\d\d) \|$", README, flags=re.M)
# The table of the norms: type, MLP, CNN.
NORM_ROWS = re.findall(
    r"^\| `([a-z_0-9]+)` \| (\d\d\.\d\d ± \d\.\d\d)? *\| (\d\d\.\d\d ± \d\.\d\d) \|$", README, flags=re.M
)


def test_there_are_two_set_up_commands_and_ci_runs_them():
    lines = [line for line in README.split("\n") if line.startswith("pip install")]
    assert lines == ["pip install -e . && bnbench run configs/mlp_bn.yaml", "pip install -e '.[dev]' && pytest"]
    assert "grep '^pip install' README.md" in (REPOSITORY / ".ci/run").read_text()


def test_there_are_commands_and_rows_to_check():
    assert len(COMMANDS) >= 8 and len(ROWS) == 8


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_parse_and_name_real_files(command):
    group = typer.main.get_command(app)
    words = [word for word in shlex.split(command)[1:] if word != "..."]
    while hasattr(group, "commands"):
        group = group.commands[words.pop(0)]
    context = group.make_context("bnbench", list(words))
    for path in context.params.get("configs") or []:
        assert list(REPOSITORY.glob(str(path))) or path.name == "wrong.yaml", path


@pytest.mark.parametrize(("config", "shown"), ROWS)
def test_its_numbers_are_those_of_the_tracked_runs(config, shown):
    folder = REFERENCE / config.replace(" --set ", ",")
    finals = [read_run(path).rows[-1].valid_accuracy for path in folder.iterdir()]
    assert len(finals) == 10
    assert shown == f"{100 * statistics.mean(finals):.2f} ± {100 * statistics.stdev(finals):.2f}"


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


def test_its_sample_output_is_what_compare_prints(bnbench):
    block = README.partition("$ bnbench compare results/\n")[2].partition("```")[0]
    assert block.count("\n") >= 7
    assert block in bnbench("compare", REPOSITORY / "results").stdout


def accuracies(arm):
    """Mean validation accuracy over seeds after each epoch, in percent."""
    runs = [read_run(path) for path in (REFERENCE / arm).iterdir()]
    return [round(100 * statistics.mean(r.rows[e].valid_accuracy for r in runs), 2) for e in range(runs[0].epochs)]


def spread(arm, epoch):
    values = [read_run(path).rows[epoch].valid_accuracy for path in (REFERENCE / arm).iterdir()]
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f}"


def test_its_claims_on_the_first_epoch_and_on_gamma():
    text = " ".join(README.split())
    assert f"MLP {spread('mlp_bn', 0)} against {spread('mlp_no_bn', 0)}" in text
    assert f"gives {spread('cnn_bn,norm.weight_init=uniform', -1)}, no other result" in text
    bn, custom, mine, torchs = (accuracies(arm)[-1] for arm in ("cnn_bn", "cnn_bn_custom", "mlp_bn", "mlp_bn_builtin"))
    assert f"{bn:.2f} and {custom:.2f}, {mine:.2f} and {torchs:.2f}" in text


def test_its_claims_on_the_moving_average():
    own, batch, torchs, none = (
        accuracies(arm)[-1] for arm in ("mlp_bn", "mlp_bn_batch_stats", "mlp_bn,norm.momentum=0.1", "mlp_no_bn")
    )
    text = " ".join(README.split())
    assert own < none < batch and none < torchs
    assert f"weights score {own:.2f} %" in text and f"128 there) {batch:.2f} %" in text
    assert f"networks score {torchs:.2f} %" in text and f"({own:.2f} against {none:.2f})" in text


def test_its_claims_on_the_cnn():
    """Ahead in every epoch on the mean over seeds, against the tutorial's single run."""
    bn, none = accuracies("cnn_bn"), accuracies("cnn_no_bn")
    assert all(a > b for a, b in zip(bn, none, strict=True))
    claim = f"{bn[0]} and {none[0]} % after the first, {bn[-1]} and {none[-1]} % after the last"
    assert claim in " ".join(README.split())


def test_its_claim_that_only_the_evaluation_differs():
    """Three arms of the tutorial's MLP are trained to the same last digit."""
    for seed in range(10):
        arms = ("mlp_bn", "mlp_bn_batch_stats", "mlp_bn,norm.momentum=0.1")
        curves = [
            [(row.train_loss, row.train_accuracy) for row in read_run(REFERENCE / arm / f"seed-{seed}").rows]
            for arm in arms
        ]
        assert curves[0] == curves[1] == curves[2]
