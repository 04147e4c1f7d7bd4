"""Write the generated parts of the documentation, between `<!-- generated: NAME -->` and `<!-- end -->`.

python docs/generate.py           writes them
python docs/generate.py --check   writes nothing; exits with 1 if a page is stale

Commands, config keys, norms and file formats come from the code, numbers from the tracked runs. What the
code does not say stands in the tables below. A key, norm or column without a description is an error.
"""

import argparse
import contextlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import norm_facts
import typer.main
from rich.console import Console

from bnbench.analysis.arms import Runs, collect
from bnbench.analysis.compare import Question, Row, Table, compare
from bnbench.analysis.sweep import sweeps
from bnbench.analysis.tuned import read_tuned
from bnbench.check.table import print_report
from bnbench.check.words import SENTENCES
from bnbench.cli import app
from bnbench.config import experiment
from bnbench.config.catalog import DATASETS
from bnbench.config.data import DataConfig
from bnbench.config.models import INITS, MODELS
from bnbench.config.norms import NORMS
from bnbench.config.train import OPTIMIZERS, SCHEDULES, TrainConfig
from bnbench.report import judge
from bnbench.report.columns import ARM, BASELINE, available
from bnbench.report.family import chapters
from bnbench.report.plots import curves
from bnbench.report.seeds import seeds
from bnbench.report.study_page import verdict_page
from bnbench.report.sweep import markdown
from bnbench.report.sweep_plots import pictures
from bnbench.report.sweep_words import sentences, verdict
from bnbench.report.tables import print_tables
from bnbench.report.tuned import print_tuned
from bnbench.runs import evaluations
from bnbench.runs import format as runs
from bnbench.studies.schema import MEASURES, Claim, Study, Tuning

REPOSITORY = Path(__file__).parent.parent
PAGES = [REPOSITORY / "README.md", REPOSITORY / "results" / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
REFERENCE = REPOSITORY / "results" / "reference"
NORM_RUNS = REPOSITORY / "results" / "norms"
SWEEPS = REPOSITORY / "results" / "sweeps"
TUNED = REPOSITORY / "results" / "tuned"
CHECK_EXAMPLES = REPOSITORY / "tests" / "check_examples"

KEYS = {
    "name": "The run's folder below the results folder. Default: the name of the file, without `.yaml`.",
    "data": "See below.",
    "model": "See below.",
    "norm": "See [Norms](norms.md). Default: no norm.",
    "train": "See below.",
    "device": "Where to train. `auto` chooses CUDA if it is there, else the CPU.",
    "threads": "PyTorch's threads. They change the last digits of the results.",
    "dtype": "The type of all numbers.",
    "smoke": "Set by `--smoke`. Marks runs that are never compared with real ones.",
    "seeds": "`3`, `0..9` or `[0, 2, 5]`. Each seed is a run.",
    "data.dataset": "See [Datasets](#datasets).",
    "data.batch_size": "Images of a batch.",
    "data.valid": "Hold this many of the last training images out and validate on them.",
    "data.train_limit": "Train on this many of the first training images.",
    "data.valid_limit": "Validate on this many of the first validation images.",
    "data.fallback": "What to do if `mnist` cannot be downloaded: train on `mnist5k`, or fail.",
    "model.type": "The kind of model.",
    "model.hidden": "The width of each hidden layer.",
    "model.channels": "The channels of the two convolutions.",
    "model.activation": (
        "The activation of the hidden layers. `none`: the norm [brings its own](norms.md#norms-with-an-activation)."
    ),
    "model.bias": "Whether hidden layers have a bias. See [Bias before a norm](norms.md#bias-before-a-norm).",
    "train.epochs": "Passes over the training images.",
    "train.optimizer": "See below.",
    "train.optimizer.type": "The kind of optimizer.",
    "train.optimizer.lr": "The learning rate.",
    "train.optimizer.momentum": "The momentum of SGD.",
    "train.optimizer.betas": "The decay rates of Adam's two moving averages.",
    "train.optimizer.weight_decay": "The L2 penalty.",
}
# For each norm: what it does to the hidden layers, and its source.
ABOUT = {
    "none": ("Does nothing.", ""),
    "batch": ("Normalizes each channel by its mean and deviation over the batch.", "Ioffe & Szegedy 2015"),
    "layer": ("Normalizes each image by its mean and deviation over all features.", "Ba, Kiros & Hinton 2016"),
    "instance": ("Normalizes each channel of each image; CNN only.", "Ulyanov, Vedaldi & Lempitsky 2016"),
    "group": ("Normalizes groups of the channels of each image.", "Wu & He 2018"),
    "rms": (
        "Divides each image by the root of its mean square; subtracts nothing and has no β.",
        "Zhang & Sennrich 2019",
    ),
    "weight": ("Normalizes weights: w = g v / ‖v‖.", "Salimans & Kingma 2016"),
    "scaled_weight_standardization": (
        "Normalizes weights: subtracts the mean of each unit's weights, and divides by their length.",
        "Brock, De & Smith 2021",
    ),
    "l1_batch": ("Batch norm by the mean absolute deviation.", "Wu et al. 2018, Hoffer et al. 2018"),
    "lp_batch": ("Batch norm by an average ℓp norm.", "Santurkar et al. 2018, Hoffer et al. 2018"),
    "generalized_batch": ("Batch norm by another center and another deviation.", "Yuan et al. 2019"),
    "batch_renorm": ("Batch norm, corrected towards its running statistics.", "Ioffe 2017"),
    "ghost_batch": ("Batch norm of parts of the batch.", "Hoffer, Hubara & Soudry 2017"),
    "noisy_batch": ("Batch norm, then noise that shifts from step to step in training.", "Santurkar et al. 2018"),
    "sync_batch": ("Batch norm over all processes of data-parallel training; in one process, batch norm.", ""),
    "mean_only_batch": ("The half of batch norm that subtracts the mean.", "Salimans & Kingma 2016"),
    "variance_only_batch": ("The half of batch norm that divides by the deviation.", ""),
    "dyt": ("Dynamic tanh: limits each value by γ tanh(αx) + β, with a learned α.", "Zhu et al. 2025"),
    "derf": ("Dynamic erf: limits each value by γ erf(αx + s) + β, with learned α and s.", "Chen et al. 2025"),
    "filter_response": (
        "Divides each channel of each image by the root of its mean square; then max(y, τ); CNN only.",
        "Singh & Krishnan 2020",
    ),
    "evonorm_s0": ("SiLU divided by the deviation of groups of channels; its own activation.", "Liu et al. 2020"),
    "evonorm_b0": (
        "Divides by the deviation over the batch, or by a larger term that bends the curve; its own activation.",
        "Liu et al. 2020",
    ),
}
# Options of norms; "norm.option" where an option means something else for one norm.
OPTIONS = {
    "implementation": "bnbench's layer, or PyTorch's where there is one.",
    "placement": "Where the norm stands. Norms of weights have no placement; norms with an activation have one.",
    "eps": "ε, added to the variance or to the deviation.",
    "momentum": "Weight of the new batch in the running statistics. null: the average of all batches.",
    "affine": "Whether the norm has γ and β.",
    "track_running_stats": "Whether there are running statistics. Without them, evaluation uses its own batch.",
    "running_var": "Whether the running variance averages unbiased or biased variances.",
    "running_var_init": "The start of the running variance.",
    "weight_init": "The start of γ: ones, from N(0, 1), or from U(0, 1).",
    "bias_init": "The start of β: zeros, or from N(0, 1).",
    "eval_statistics": "What evaluation normalizes by. See [below](#evaluation-of-batch-norm).",
    "instance.track_running_stats": "Whether evaluation uses running statistics.",
    "instance.momentum": "Weight of the new batch in the running statistics.",
    "num_groups": "The number of groups. It must divide the channels of every layer.",
    "rms.eps": "ε. null: the smallest step at 1 (1.2e-7 in float32), as in PyTorch; with `p`, 1e-8.",
    "rms.affine": "Whether the norm has γ.",
    "rms.p": "The share of the features, from the first on, that the mean square is over. null: all.",
    "scaled_weight_standardization.eps": "The least squared length to divide by.",
    "activation_gain": "A factor of the weights, for the activation that follows. The default is for ReLU.",
    "alpha_init": "The start of α.",
    "shift_init": "The start of s.",
    "init": "`weights`: g = ‖w‖. `data`: mean 0 and variance 1 over the first 500 training images.",
    "gaussian": "Multiply by √(π/2), so that it estimates the deviation of a Gaussian.",
    "p": "The norm: 2, or inf for the largest deviation.",
    "centered": "Whether the mean is subtracted first.",
    "pair": "The center and the deviation.",
    "alpha": "The quantile, for `pair: quantile`.",
    "r_max": "The largest correction of the scale.",
    "d_max": "The largest correction of the mean.",
    "warmup_steps": "Steps of plain batch norm at the start.",
    "r_max_steps": "The step at which the correction of the scale reaches its limit.",
    "d_max_steps": "The step at which the correction of the mean reaches its limit.",
    "virtual_batch_size": "Images of a part. A last part of one image joins the part before.",
    "n_mu": "The largest shift of a channel.",
    "n_sigma": "The largest mean factor of a channel; 1 is none.",
    "r_mu": "How far the shift of a value may lie from that of its channel.",
    "r_sigma": "The standard deviation of the factors of a channel.",
}
FILES = {
    "config.yaml": "The settings, with most defaults (see [The digest](#the-digest)). `bnbench run` accepts it.",
    "metrics.csv": "Losses and accuracies, one row for each epoch.",
    "timing.csv": "Seconds, one row for each epoch.",
    "mistakes.csv": "The test images that the final network classifies wrong, one row each.",
    "evaluations.csv": "The final network by other statistics, with [`evaluations`](configuration.md#evaluations).",
    "run.json": "Status, settings, data, provenance and final metrics.",
    "model.pt": "The weights of the final network.",
    "continue.pt": "The rest of the last state of a complete run. [Longer runs](many-runs.md#train-longer) need it.",
    "checkpoint": "The state after the last finished epoch, from which an interrupted run resumes.",
}
CSV = {
    "epoch": "Number of epochs trained, from 1.",
    "train_loss": "Mean cross-entropy on the training batches.",
    "train_accuracy": "Accuracy on the training batches.",
    "valid_loss": "Mean cross-entropy on the validation images.",
    "valid_accuracy": "Accuracy on the validation images.",
    "train_seconds": "Time to train the epoch.",
    "valid_seconds": "Time to validate.",
    "image": "Index of the test image, from 0.",
    "label": "The right digit or class.",
    "predicted": "The digit or class that the network chose.",
    "evaluation": "`running`, `precise`, `batch=N` or `momentum=M`.",
    "loss": "Mean cross-entropy on the validation images.",
    "accuracy": "Accuracy on the validation images.",
    "images": "Number of validation images.",
    "mean_error": "Error of the running means. See [Evaluations](configuration.md#evaluations).",
    "var_error": "The same of the running variances.",
}
RUN = {
    "schema_version": "Version of this format.",
    "status": "`running`, `interrupted`, `failed`, `complete` or `diverged`.",
    "name": "The config's name.",
    "seed": "The seed.",
    "digest": "SHA-256 of the settings that are not defaults. Runs of one arm share it.",
    "epochs": "Epochs that the config asks for.",
    "smoke": "Whether it is a smoke run.",
    "config": "The same settings as in `config.yaml`.",
    "dataset": "Name and SHA-256 of the dataset.",
    "split": "Images for training and validation, where validation images come from, and how many are held out."
    " `test_images` is 0 if the run never reads the test images (`data.test: false`), and is absent otherwise.",
    "parameters": "Number of trained parameters.",
    "provenance": "Versions, commit, platform, processor and number of cores.",
    "started": "Time of the first start.",
    "ended": "Time of the end, or null.",
    "resumed_after": "The epochs after which the run was resumed; absent if it never was.",
    "continued_from": "The shorter run that it continues, and its epochs; absent if it was trained from the start.",
    "final": "The last row of `metrics.csv`.",
    "test": "Images, loss and accuracy of the one test with `data.valid`; else null, also with `data.test: false`.",
    "engine": "What made the training steps (`eager`, `traced` or `stacked`), and the number of networks that trained"
    " together and shared the time equally.",
}
COLUMNS = {
    "seeds": "Complete, diverged and unfinished runs.",
    "value": "The metric: mean, standard deviation, 95 % interval, and whether the interval was cut at 0 or 1.",
    "difference": "Difference to the baseline, with its 95 % interval.",
    "p": "p of the difference, before and after the correction for the arms of its baseline; or why there is no test.",
    "verdict": "`same` (only with `--same`), `different` or `unknown`; the seeds that would decide; p of sameness.",
    "shares": "Which shares of the uncertainty of the difference are due to seeds, images, and both.",
    "wins": "The pairs in which the arm is better than the baseline. A tie is no win.",
    "test": "Test accuracy, with `data.valid`.",
    "best": "The metric at the best epoch of each run.",
    "target": "How many runs reached the target, and the median epoch (`--target`).",
    "target_seconds": "Median seconds of training to the target.",
    "early": "Mean over the first epochs (`--early`, `--target`).",
    "seconds": "Median seconds of training for an epoch.",
    "parameters": "Number of trained parameters.",
}
# For each arm of the tutorial's experiments: what it is, and the tutorial's own accuracy.
TUTORIAL = {
    "mlp_no_bn": ("MLP", "97.04"),
    "mlp_bn": ("MLP, the tutorial's own batch norm", "97.23"),
    "mlp_bn_builtin": ("`mlp_bn` with PyTorch's layer", ""),
    "mlp_bn_batch_stats": ("`mlp_bn`, validated with the statistics of the test batch", ""),
    "mlp_bn,norm.momentum=0.1": ("`mlp_bn` with PyTorch's moving average", ""),
    "cnn_no_bn": ("CNN", "98.65"),
    "cnn_bn": ("CNN, PyTorch's batch norm", "98.51"),
    "cnn_bn_custom": ("`cnn_bn` with bnbench's layer", ""),
    "cnn_bn,norm.weight_init=uniform": ("`cnn_bn`, γ from U(0, 1), as in the tutorial's PyTorch", ""),
}
# The comparisons behind the findings: arm, baseline, metric, epoch.
COMPARISONS = [
    ("mlp_bn", "mlp_no_bn", "valid_accuracy", 1),
    ("cnn_bn", "cnn_no_bn", "valid_accuracy", 1),
    ("mlp_bn", "mlp_no_bn", "train_accuracy", 1),
    ("cnn_bn", "cnn_no_bn", "train_accuracy", 1),
    ("mlp_bn", "mlp_no_bn", "valid_accuracy", "final"),
    ("mlp_bn,norm.momentum=0.1", "mlp_no_bn", "valid_accuracy", "final"),
    ("mlp_bn,norm.momentum=0.1", "mlp_bn", "valid_accuracy", "final"),
    ("mlp_bn_builtin", "mlp_bn", "valid_accuracy", "final"),
    ("cnn_bn", "cnn_no_bn", "valid_accuracy", "final"),
]
NORM_COMPARISONS = [
    ("mlp_mean_only_batch", "mlp_batch"),
    ("mlp_variance_only_batch", "mlp_batch"),
    ("mlp_l1_batch", "mlp_batch"),
    ("mlp_lp_batch", "mlp_batch"),
    ("mlp_noisy_batch", "mlp_batch"),
    ("cnn_l1_batch", "cnn_batch"),
    ("mlp_scaled_weight_standardization", "mlp_batch"),
    ("mlp_evonorm_s0", "mlp_batch"),
    ("cnn_evonorm_s0", "cnn_batch"),
    ("cnn_evonorm_b0", "cnn_batch"),
]


# Tables, and what stands in their cells.


def table(headings: Iterable[str], rows: Iterable[Iterable[str]], right: Iterable[int] = ()) -> list[str]:
    """A markdown table; the columns `right` are aligned to the right."""
    headings, right = list(headings), set(right)
    rule = ["---:" if place in right else "---" for place in range(len(headings))]
    lines = [headings, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def described(texts: dict[str, Any], key: str, else_: Any = None) -> Any:
    """The description of `key`, or that of the code."""
    if not (text := texts.get(key) or else_):
        sys.exit(f"docs/generate.py: {key} has no description")
    return text


def code(value: Any) -> str:
    """A value as a config has it."""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def kind(schema: dict[str, Any]) -> str:
    """The values that a key takes, from its JSON schema."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(part) for part in schema["anyOf"]))
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    if schema.get("type") == "array":
        return f"list ({kind(schema['items'])})"
    words = {"integer": "integer", "number": "number", "boolean": "`true`, `false`", "null": "null", "string": "text"}
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {number(schema[key])}" for key, sign in signs.items() if key in schema]
    return " ".join([words.get(schema.get("type", ""), "mapping"), ", ".join(bounds)]).strip()


def keys(model: Any, prefix: str, texts: dict[str, str], leave_out: Iterable[str] = ()) -> Iterator[list[str]]:
    """A row for each key of a model: key, values, default, description."""
    schema = model.model_json_schema()
    for name, part in schema["properties"].items():
        if name in leave_out:
            continue
        default = "required" if name in schema.get("required", []) else code(part.get("default"))
        default = part.get("x_default", default)
        if name == "name" or isinstance(part.get("default"), dict):  # as their descriptions say
            default = ""
        yield [f"`{prefix}{name}`", kind(part), default, described(texts, f"{prefix}{name}", part.get("description"))]


KEY_HEADINGS = ("key", "values", "default", "description")


def config() -> Iterator[str]:
    yield from table(KEY_HEADINGS, keys(experiment.Config, "", KEYS))
    yield from ["", "### data", "", *table(KEY_HEADINGS, keys(DataConfig, "data.", KEYS))]
    for kind_of_model, model in MODELS.items():
        yield from ["", f"### model: {kind_of_model}", ""]
        yield from table(KEY_HEADINGS, keys(model, "model.", KEYS, ["type"]))
    yield from ["", "### train", "", *table(KEY_HEADINGS, keys(TrainConfig, "train.", KEYS))]
    for kind_of_init, init in INITS.items():
        yield from ["", f"### model.init: {kind_of_init}", ""]
        yield from table(KEY_HEADINGS, keys(init, "model.init.", KEYS, ["type"]))
    for kind_of_schedule, schedule in SCHEDULES.items():
        yield from ["", f"### train.schedule: {kind_of_schedule}", ""]
        yield from table(KEY_HEADINGS, keys(schedule, "train.schedule.", KEYS, ["type"]))
    for kind_of_optimizer, optimizer in OPTIMIZERS.items():
        yield from ["", f"### train.optimizer: {kind_of_optimizer}", ""]
        yield from table(KEY_HEADINGS, keys(optimizer, "train.optimizer.", KEYS, ["type"]))


def study_keys() -> Iterator[str]:
    for heading, model in (("A study", Study), ("A claim", Claim), ("tuning", Tuning)):
        yield from ["", f"### {heading}", "", *table(KEY_HEADINGS, keys(model, "", {}))]


def study_measures() -> Iterator[str]:
    for name, model in MEASURES.items():
        if name == "steps_to":  # as epochs_to
            continue
        title = "epochs_to, steps_to" if name == "epochs_to" else name
        text = " ".join((model.__doc__ or "").split())
        yield from ["", f"### {title}", "", text, "", *table(KEY_HEADINGS, keys(model, "", {}, ["type"]))]


def dataset_table() -> Iterator[str]:
    rows = ([f"`{name}`", row.title, f"{row.train_images:,}", f"{row.test_images:,}"] for name, row in DATASETS.items())
    yield from table(("dataset", "what it is", "training images", "test images"), rows, right=(2, 3))


def about(norm: str) -> tuple[str, str]:
    """What a norm does, and its source; of a norm that is not in ABOUT, the first line of its options' docstring."""
    text = NORMS[norm].__doc__
    what, source = described(ABOUT, norm, text and (text.split("\n")[0], ""))
    return what, source


def norm_table() -> Iterator[str]:
    rows = []
    for norm, model in NORMS.items():
        what, source = about(norm)
        field = model.model_fields.get("implementation")
        rows.append([f"`{norm}`", what, source, "yes" if field and "builtin" in get_args(field.annotation) else ""])
    yield from table(("`norm.type`", "what it does", "source", "builtin"), rows)


def norm_option_tables() -> Iterator[str]:
    common = ("implementation", "placement")
    others = set(NORMS["batch"].model_fields) - set(common)
    headings = ("option", "values", "default", "description")
    yield from ["### Every norm", "", *table(headings, keys(NORMS["batch"], "", OPTIONS, others))]
    for norm, model in NORMS.items():
        if norm == "none":
            continue
        texts = OPTIONS | {key.split(".")[1]: text for key, text in OPTIONS.items() if key.startswith(f"{norm}.")}
        what, source = about(norm)
        yield from ["", f"### {norm}", "", *norm_facts.section(norm, what, source), ""]
        yield from table(headings, keys(model, "", texts, ["type", *common]))


# The command line.


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name."""
    waiting = list(typer.main.get_command(app).commands.items())
    while waiting:
        name, command = waiting.pop(0)
        if hasattr(command, "commands"):
            waiting[:0] = [(f"{name} {child}", below) for child, below in command.commands.items()]
        else:
            yield name, command


def called(argument: Any) -> str:
    return argument.metavar or argument.name.upper()


def values(option: Any) -> str:
    """What an argument or an option takes."""
    if option.opts[0].startswith("--") and option.is_flag:
        return ""
    choices = get_args(option.type_descriptor.annotation)
    if option.metavar is None and choices and all(isinstance(choice, str) for choice in choices):
        return ", ".join(map(code, choices))
    return code(called(option))


def parameter(option: Any) -> list[str]:
    names = [*option.opts, *option.secondary_opts]
    shown = option.show_default if isinstance(option.show_default, str) else None
    default = shown or (
        "required" if option.required else "" if option.default in (None, False) else str(option.default)
    )
    if option.opts[0].startswith("--") and option.is_flag and option.default:
        default = f"`{option.opts[0]}`"
    elif default and not shown and default != "required":
        default = code(default)
    if option.envvar:
        default = f"`${option.envvar}`, or {default}"
    if names[0].startswith("-"):
        return [", ".join(map(code, names)), values(option), default, option.help or ""]
    return [code(called(option)), "" if option.metavar else values(option), default, option.help or ""]


def cli() -> Iterator[str]:
    for number, (name, command) in enumerate(commands()):
        text, _, examples = command.help.replace("\b\n", "").partition("\nExamples:\n")
        arguments = [option for option in command.params if not option.opts[0].startswith("-")]
        shown = [
            called(option) + ("..." if option.nargs == -1 and " | " not in called(option) else "")
            for option in arguments
        ]
        words = [word if option.required else f"[{word}]" for word, option in zip(shown, arguments, strict=True)]
        yield from ["", f"## bnbench {name}"] if number else [f"## bnbench {name}"]
        yield from ["", f"    bnbench {' '.join([name, '[OPTIONS]', *words])}", "", text.strip(), ""]
        if examples:
            yield from ["```sh", *(line.strip() for line in examples.split("\n") if line.strip()), "```", ""]
        # The text above says what an argument without a help text is.
        options = [option for option in command.params if option.name != "help" and option.help]
        yield from table(("option", "value", "default", "description"), map(parameter, options))


# Formats.


def file_table() -> Iterator[str]:
    yield from table(
        ("file", "contents"), ([f"`{name}`", described(FILES, name)] for name in (*runs.FILES, runs.CHECKPOINT))
    )


def csv_columns() -> Iterator[str]:
    tables = {"metrics.csv": runs.METRICS, "timing.csv": runs.TIMING, "mistakes.csv": runs.MISTAKES}
    for number, (file, header) in enumerate({**tables, runs.EVALUATIONS: evaluations.HEADER}.items()):
        yield from ["", f"### {file}", ""] if number else [f"### {file}", ""]
        yield from table(("column", "meaning"), ([f"`{name}`", described(CSV, name)] for name in header))


def run_keys() -> Iterator[str]:
    yield from table(("key", "meaning"), ([f"`{key}`", text] for key, text in RUN.items()))


def fields() -> Iterator[str]:
    (whole,) = tables(REFERENCE, "mlp*", Question(target=0.97, early=3))
    rows = []
    for name, column in available(whole).items():
        if not column.is_setting:
            cells = ", ".join(f"`{field}`" for field in column.fields(whole.rows[1]))
            rows.append([f"`{name}`", cells, described(COLUMNS, name)])
    yield from table(("column", "fields", "meaning"), rows)
    yield from ["", "The fields of a group: " + ", ".join(f"`{field}`" for field in vars(whole.group)) + "."]


# Numbers of the tracked runs.


@cache
def tables(folder: Path, pattern: str, question: Question) -> list[Table]:
    return compare(collected(folder, pattern), question).tables


@cache
def collected(folder: Path, pattern: str) -> Runs:
    return collect(sorted(folder.glob(pattern)))


def row_of(arm: str, folder: Path, question: Question) -> tuple[Row, dict[str, str]]:
    """An arm's row among the arms of its model, and its cells."""
    (whole,) = tables(folder, f"{arm[:3]}_*", question)
    row = next(row for row in whole.rows if row.arm.label == arm)
    cells = {name: column.cell(row) for name, column in available(whole).items()}
    return row, {name: "" if text in (BASELINE, "–") else text for name, text in cells.items()}


def config_of(arm: str) -> str:
    """mlp_bn,norm.momentum=0.1 → mlp_bn --set norm.momentum=0.1."""
    return f"`{arm.replace(',', ' --set ')}`"


def tutorial() -> Iterator[str]:
    rows = []
    for arm, (what, published) in TUTORIAL.items():
        _, cells = row_of(arm, REFERENCE, Question())
        rows.append([config_of(arm), what, published, cells["value"], cells["difference"], cells["p"]])
    headings = ("config", "what it is", "tutorial, one run", "bnbench, 10 seeds", "difference", "p")
    yield from table(headings, rows, right=range(2, 6))


def comparisons() -> Iterator[str]:
    rows = []
    for arm, baseline, metric, at in COMPARISONS:
        row, cells = row_of(arm, REFERENCE, Question(metric, at, baseline))  # type: ignore[arg-type]
        where = "training" if metric.startswith("train") else "test"
        epoch = at if isinstance(at, int) else row.arm.complete[0].epochs
        over = row.difference.over if row.difference else ""
        rows.append([f"`{arm}` - `{baseline}`", where, str(epoch), cells["difference"], over, cells["p"]])
    headings = ("comparison", "images", "epoch", "difference", "interval over", "p")
    yield from table(headings, rows, right=(2, 3, 5))


def norm_results() -> Iterator[str]:
    rows = []
    arms = [arm for norm in NORMS for arm in (norm, f"partial_{norm}")]  # of RMS norm there are two
    for norm in (arm for arm in arms if list(NORM_RUNS.glob(f"*_{arm}"))):
        cells = [f"`{norm}`"]
        for model in MODELS:
            there = (NORM_RUNS / f"{model}_{norm}").exists()
            found = row_of(f"{model}_{norm}", NORM_RUNS, Question())[1] if there else {}
            # The CNN's five seeds are too few for any p.
            cells += [found.get(name, "") for name in ("value", "difference", "p")[: 3 if model == "mlp" else 2]]
        rows.append(cells)
    yield from table(("norm", "MLP", "to `none`", "p", "CNN", "to `none`"), rows, right=range(1, 6))


def norm_comparisons() -> Iterator[str]:
    rows = []
    for arm, baseline in NORM_COMPARISONS:
        _, cells = row_of(arm, NORM_RUNS, Question(baseline=baseline))
        rows.append([f"`{arm}` - `{baseline}`", cells["difference"], cells["p"]])
    yield from table(("comparison", "difference", "p"), rows, right=(1, 2))


def sample() -> Iterator[str]:
    """The table that `compare` prints of the tutorial's MLPs."""
    (whole,) = tables(REFERENCE, "mlp*", Question())
    chosen = {name: available(whole)[name] for name in ("seeds", "value", "difference", "p")}
    out = io.StringIO()
    console = Console(file=out, width=92, color_system=None)
    print_tables([(whole, {"arm": ARM, **chosen}, whole)], [], "table", console, every_column=True)
    yield from ["```console", "$ bnbench compare results/reference/mlp* --columns seeds,value,difference,p"]
    for line in out.getvalue().split("\n"):
        if not line.strip():
            break
        yield line.rstrip()
    yield "```"


# Layers of one's own.


@cache
def checked(path: Path) -> dict[str, Any]:
    """What `bnbench check` finds, without a process for each file."""
    from bnbench.check.child import _check

    with contextlib.redirect_stdout(io.StringIO()):
        return {"printed": "", **_check(path, None, "batch", 60.0)}


def check_sample() -> Iterator[str]:
    out = io.StringIO()
    console = Console(file=out, width=110, color_system=None, markup=False)
    print_report(checked(CHECK_EXAMPLES / "wrong" / "std_as_var.py"), console)
    yield from ["```console", "$ bnbench check std_as_var.py", *out.getvalue().rstrip().split("\n"), "```"]


def confusion() -> Iterator[str]:
    """Each mistake: how many files have it, and in how many it is named."""
    true, named = {}, {}
    for path in sorted(CHECK_EXAMPLES.glob("*/*.py")):
        expected = re.match(r"# (?:held out; )?expect: (.+)", path.read_text())
        true[path] = set(expected[1].split(", ")) if expected else set()
        report = checked(path)
        named[path] = {one["name"] for one in report["mistakes"]} | ({"unexplained"} if report["differs"] else set())
    rows = []
    for name, (sentence, _) in SENTENCES.items():
        having = [path for path in true if name in true[path]]
        elsewhere = sum(name in named[path] for path in true if path not in having)
        found = sum(name in named[path] for path in having)
        if having or elsewhere:
            rows.append([sentence, str(len(having)), str(found), str(len(having) - found), str(elsewhere)])
    unexplained = sum("unexplained" in names for names in named.values())
    rows.append(["a difference without a name", "0", "0", "0", str(unexplained)])
    yield from table(("mistake", "files with it", "named", "missed", "elsewhere"), rows, right=range(1, 5))
    wrong = [path for path in true if true[path]]
    right = [path for path in true if not true[path]]
    exact = sum(true[path] == named[path] for path in wrong)
    accused = sum(bool(named[path]) for path in right)
    yield from ["", f"{exact} of {len(wrong)} wrong layers got exactly their mistakes. {accused} of {len(right)} right"
                " layers were accused."]  # fmt: skip


def picture(name: str, file: str, up: str = "") -> Iterator[str]:
    """A tracked picture, with its numbers in words."""
    (whole,) = tables(REFERENCE, "mlp*", Question())
    (chapter,) = chapters([whole])
    (family,) = chapter.families
    drawn = [*curves(family), seeds(family)]
    yield image(next(one.text for one in drawn if one and one.name == name), f"{up}results/figures/{file}")


def image(text: str, path: str) -> str:
    """A picture with its text alternative."""
    text = text.replace("[", "\\[").replace("]", "\\]")
    return f"![{text}]({path})"


def swept(folder: Path, key: str, file: str) -> Iterator[str]:
    """A tracked sweep: its picture, its numbers, and what they say."""
    (one,) = sweeps(collected(folder, "*"), Question(), [key], [])
    yield from [image(next(pictures(one)).text, f"../results/figures/{file}"), "", verdict(one), "", *markdown(one), ""]
    yield from (f"- {sentence}" for sentence in sentences(one))


def tuned() -> Iterator[str]:
    """The tracked tuning, as `compare --tuned` shows it."""
    out = io.StringIO()
    print_tuned(read_tuned([TUNED]), "markdown", Console(file=out, width=10_000, color_system=None, markup=False))
    yield from out.getvalue().rstrip().split("\n")


def judged() -> Iterator[str]:
    """The saved result of `bnbench study --judge-the-judge --format json`."""
    scenes = json.loads((REPOSITORY / "docs" / "judge.json").read_text())["scenes"]
    yield from table(judge.HEADINGS, [judge.cells_of(scene) for scene in scenes], right=range(2, 9))


PARTS: dict[str, Callable[[], Iterable[str]]] = {
    "README sample": sample,
    "README picture": lambda: picture("valid_accuracy-by-epoch", "mlp-accuracy.svg"),
    "cli cli": cli,
    "check sample": check_sample,
    "check confusion": confusion,
    "configuration config": config,
    "configuration datasets": dataset_table,
    "README verdicts": lambda: verdict_page(REPOSITORY / "configs" / "studies", REPOSITORY / "results" / "studies"),
    "studies keys": study_keys,
    "judge table": judged,
    "studies measures": study_measures,
    "norms norms": norm_table,
    "norms options": norm_option_tables,
    "formats files": file_table,
    "formats columns": csv_columns,
    "formats run": run_keys,
    "formats fields": fields,
    "findings tutorial": tutorial,
    "findings differences-picture": lambda: picture("seeds", "mlp-seeds.svg", "../"),
    "findings comparisons": comparisons,
    "sweeps learning-rate": lambda: swept(SWEEPS, "train.optimizer.lr", "sweep-learning-rate.svg"),
    "sweeps batch-size": lambda: swept(SWEEPS, "data.batch_size", "sweep-batch-size.svg"),
    "sweeps tuning": lambda: swept(TUNED / "tuning", "train.optimizer.lr", "sweep-tuning.svg"),
    "sweeps tuned": tuned,
    "findings norms": norm_results,
    "findings norm-comparisons": norm_comparisons,
}
MARKED = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", flags=re.S)


def fresh(page: Path) -> str:
    """The page with its generated parts as they should be."""

    def part(match: re.Match[str]) -> str:
        return "\n".join([match[1], *PARTS[f"{page.stem} {match[2]}"](), "", match[4]])

    return MARKED.sub(part, page.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is stale")
    check = parser.parse_args().check
    stale = {page: text for page in PAGES if (text := fresh(page)) != page.read_text()}
    for page, text in stale.items():
        if not check:
            page.write_text(text)
        print(f"{page.relative_to(REPOSITORY)}: {'is stale; run python docs/generate.py' if check else 'written'}")
    if check and stale:
        sys.exit(1)


if __name__ == "__main__":
    main()
