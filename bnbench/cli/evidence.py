"""`bnbench compare`, `diff` and `show`: what reads runs."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from bnbench.cli.app import app, stop_at_once
from bnbench.errors import CheckFailed, ConfigError, ResultsError

Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", readable=False, help="Results folders, or single runs.")
]
Baseline = Annotated[
    str | None,
    typer.Option(
        metavar="ARM", help="Compare with this arm.", show_default="the arm without a norm that is most alike"
    ),
]
Metric = Annotated[
    Literal["train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "test_loss", "test_accuracy"],
    typer.Option(help="What to compare."),
]
Target = Annotated[
    float | None, typer.Option(metavar="0.97", help="Add when each arm first reached this value of the metric.")
]


TextOrJson = Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")]


At = Annotated[str, typer.Option(metavar="final|best|EPOCH", help="When: the last epoch, each run's best, or one.")]


def parse_at(value: str) -> Literal["final", "best"] | int:
    if value in ("final", "best"):
        return value  # type: ignore[return-value]
    if re.fullmatch(r"[1-9][0-9]{0,5}", value) is None:
        raise ConfigError(f"--at {value}: must be final, best or an epoch, counted from 1")
    return int(value)


@app.command()
def compare(
    paths: Paths,
    baseline: Baseline = None,
    metric: Metric = "valid_accuracy",
    at: At = "final",
    target: Target = None,
    early: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Add the mean over the first N epochs.", show_default="3 with --target"),
    ] = None,
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="Add intervals over other seeds and other test images.")
    ] = False,
    per_epoch: Annotated[
        bool, typer.Option("--per-epoch", help="The tutorial's lines, an epoch a row, the arms side by side.")
    ] = False,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Which columns, as in value,difference,norm.type.")
    ] = None,
    only_changed: Annotated[
        bool, typer.Option("--only-changed/--all-config", help="Of the config, what differs between arms, or all.")
    ] = True,
    sort: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Sort each baseline's arms by a column, best first; -COLUMN: last first."),
    ] = None,
    top: Annotated[int | None, typer.Option(metavar="N", min=1, help="Each baseline with its first N arms.")] = None,
    form: Annotated[
        Literal["table", "markdown", "csv", "json", "latex"], typer.Option("--format", help="How to print.")
    ] = "table",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Exit with 1 if it holds for any arm, as in 'valid_accuracy < 0.97'."),
    ] = None,
) -> None:
    """Compare the arms found at or below PATH, a table for each set that may be compared.

    Means and differences come with 95 % intervals over seeds; ~ is a difference whose interval covers 0.

    Examples:

        bnbench compare results/

        bnbench compare results/ --target 0.97 --sort target

        bnbench compare results/ --per-epoch

        bnbench compare results/ --metric train_loss --at 1 --columns value,difference,p

        bnbench compare results/ --format json > saved.json

        bnbench compare results/ --fail-if 'valid_accuracy < 0.95' --fail-if 'valid_accuracy < saved.json - 0.002'
    """
    with stop_at_once():
        from bnbench import console
        from bnbench.analysis.arms import collect
        from bnbench.analysis.compare import Question
        from bnbench.analysis.compare import compare as answer
        from bnbench.report import columns as choice
        from bnbench.report import tables
        from bnbench.report.gate import failures, parse_gate

    question = Question(metric, parse_at(at), baseline, target, early or (3 if target is not None else None), bootstrap)
    gates = [parse_gate(text) for text in fail_if or []]
    runs = collect(paths)
    comparison = answer(runs, question)
    answers, notes = comparison.tables, comparison.notes
    names = None if columns is None else [name.strip() for name in columns.split(",")]
    choice.check_names(answers, [*(names or []), *([sort.removeprefix("-")] if sort is not None else [])])
    machine = form in ("csv", "json")
    shown = [
        (table, choice.choose(table, names, only_changed=only_changed, empty=machine), choice.arrange(table, sort, top))
        for table in answers
    ]
    failed = [sentence for gate in gates for sentence in failures(gate, answers, notes)]
    if gates:  # what is not read or not shown may be what they would fail
        failed += [f"--fail-if cannot judge what is {note}" for note in notes if note.hides_results]
    if per_epoch:
        tables.print_epochs(runs, notes, form, console.stdout())
    else:
        tables.print_tables(shown, notes, form, console.stdout())
    for note in notes:
        console.say(str(note))
    if failed:
        raise CheckFailed("\n".join(failed))


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="A run's folder, or that of one arm.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    form: TextOrJson = "table",
) -> None:
    """Show what differs between two runs or two arms: config, environment, metrics.

    Examples:

        bnbench diff results/mlp_bn results/mlp_no_bn

        bnbench diff results/mlp_bn/seed-0 /another/machine/mlp_bn/seed-0
    """
    with stop_at_once():
        from bnbench import console
        from bnbench.report.diff import as_json, print_diff, side
        from bnbench.report.tables import print_json
        from bnbench.runs.notes import Note

    notes: list[Note] = []
    sides = side(a, notes), side(b, notes)
    if form == "json":
        print_json(as_json(*sides), console.stdout())
    else:
        print_diff(*sides, console.stdout())
    for note in notes:
        console.say(str(note))


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="RUN|CONFIG", help="A run's folder, or a config file.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config; repeatable.")
    ] = None,
    form: TextOrJson = "table",
) -> None:
    """Show a config with every default written out, or a run with all that is known of it.

    Of a run: where it came from, its metrics, and of each norm layer γ, β and the running statistics.

    Examples:

        bnbench show configs/mlp_bn.yaml

        bnbench show configs/mlp_bn.yaml --set norm.momentum=0.1 > my.yaml

        bnbench show results/mlp_bn/seed-0
    """
    if path.is_dir():
        if overrides:
            raise ConfigError(f"--set is for configs; {path} is a folder")
        _show_run(path, form)
        return

    from bnbench.config.load import load_config
    from bnbench.config.strict_yaml import dump

    config = load_config(path, overrides or []).model_dump(mode="json")
    typer.echo(json.dumps(config, indent=2) if form == "json" else dump(config).rstrip())


def _show_run(folder: Path, form: str) -> None:
    if not (folder / "run.json").exists():
        raise ResultsError(f"{folder}: is no run; name a run's folder, as in {folder / 'seed-0'}")
    with stop_at_once():
        from bnbench import console
        from bnbench.report.show import print_run, run_as_json
        from bnbench.runs.format import read_run
        from bnbench.runs.weights import norm_values

    run, layers, missing = read_run(folder), {}, None
    try:
        layers = norm_values(folder)
    except ResultsError as error:
        missing = str(error)
    if form == "json":
        console.stdout().print(run_as_json(run, layers), soft_wrap=True)
    else:
        print_run(run, layers, console.stdout())
    if missing:
        console.say(missing)
