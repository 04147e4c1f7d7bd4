"""`bnbench compare`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bnbench.cli.app import app
from bnbench.cli.options import At, Baseline, Metric, Paths, parse_at
from bnbench.errors import CheckFailed, ConfigError
from bnbench.signals import stop_at_once

if TYPE_CHECKING:
    from bnbench.analysis.compare import Question
    from bnbench.report.formats import Format

TITLE = "bnbench compare"  # of annotations


@app.command(short_help="Compare arms: means, differences, 95 % intervals.")
def compare(
    paths: Paths,
    baseline: Baseline = None,
    metric: Metric = "valid_accuracy",
    at: At = "final",
    target: Annotated[
        float | None, typer.Option(metavar="0.97", help="Add the epoch at which each arm first reached 97 %.")
    ] = None,
    early: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Add the mean of the first N epochs.", show_default="3 with --target"),
    ] = None,
    same: Annotated[
        float | None, typer.Option(metavar="0.3", help="Show which arms are the same within 0.3 points.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Explain what limits the answers.")] = False,
    bootstrap: Annotated[bool, typer.Option("--bootstrap", hidden=True)] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Show the metric against KEY, as in train.optimizer.lr; give two for a grid."),
    ] = None,
    tuned: Annotated[bool, typer.Option("--tuned", help="Show what `bnbench tune` chose, and the arms at it.")] = False,
    per_epoch: Annotated[bool, typer.Option("--per-epoch", help="Print one row per epoch, arms side by side.")] = False,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B", help="Choose columns, as in value,difference,norm.type.")
    ] = None,
    only_changed: Annotated[
        bool, typer.Option("--only-changed/--all-config", help="Show the settings that differ, or all of them.")
    ] = True,
    sort: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Sort by COLUMN, best first; -COLUMN: worst first.")
    ] = None,
    top: Annotated[int | None, typer.Option(metavar="N", min=1, help="Show the first N arms of each baseline.")] = None,
    form: Annotated[
        Literal["table", "markdown", "csv", "json", "latex"],
        typer.Option("--format", metavar="FORMAT", help="table, markdown, csv, json or latex."),
    ] = "table",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Exit with 1 if CONDITION holds for any arm; repeatable."),
    ] = None,
) -> None:
    """Compare the arms in each PATH: results folders or single runs.

    Runs on different data, or with other numbers of epochs, have separate tables.
    Intervals are 95 % intervals.

    \b
    Examples:
      bnbench compare results/
      bnbench compare results/ --target 0.97 --sort target
      bnbench compare results/ --same 0.3
      bnbench compare results/ --by train.optimizer.lr
      bnbench compare --tuned results/tuned
      bnbench compare results/ --format json > saved.json
      bnbench compare results/ --fail-if 'valid_accuracy < saved.json - 0.002'
    """
    with stop_at_once():
        from bnbench import console
        from bnbench.analysis.arms import collect, shortened
        from bnbench.analysis.compare import Question
        from bnbench.analysis.compare import compare as answer
        from bnbench.report import columns as choice
        from bnbench.report import tables
        from bnbench.report.annotations import annotations
        from bnbench.report.gate import failures, parse_gate
        from bnbench.runs.notes import Kind

    if bootstrap:
        raise ConfigError("--bootstrap: is gone; without it, the interval of the final accuracy covers test images too")
    question = Question(metric, parse_at(at), baseline, target, early or (3 if target is not None else None))
    if same is not None:
        question = replace(question, same=same if question.is_loss else same / 100)
    others = {
        "--target": target,
        "--early": early,
        "--same": same is not None,
        "--explain": explain,
        "--per-epoch": per_epoch,
        "--columns": columns,
        "--sort": sort,
        "--top": top,
        "--fail-if": fail_if,
    }
    given = [option for option, value in others.items() if value]
    if tuned:
        unfit = {"--by": bool(by), "--metric": metric != "valid_accuracy", "--at": at != "final"}
        _tuned(paths, baseline, form, [*given, *(option for option, value in unfit.items() if value)])
        return
    if by:
        _sweep(paths, question, by, form, [*given, *(["--baseline"] if baseline is not None else [])])
        return
    gates = [parse_gate(text) for text in fail_if or []]
    runs = collect(paths)
    comparison = answer(runs, question)
    answers, notes = comparison.tables, comparison.notes
    if per_epoch or columns is not None:
        notes += shortened(runs.arms())
    names = None if columns is None else [name.strip() for name in columns.split(",")]
    choice.check_names(answers, [*(names or []), *([sort.removeprefix("-")] if sort is not None else [])])
    machine = form in ("csv", "json")
    shown = [
        (table, choice.choose(table, names, only_changed=only_changed, empty=machine), choice.arrange(table, sort, top))
        for table in answers
    ]
    failed = [sentence for gate in gates for sentence in failures(gate, answers, notes)]
    if gates:  # runs that are not read or not shown might fail them
        failed += [f"--fail-if cannot judge all runs: {note}" for note in notes if note.hides_results]
    if per_epoch:
        tables.print_epochs(runs, notes, form, console.stdout())
    else:
        tables.print_tables(shown, notes, form, console.stdout(), explain=explain, every_column=names is not None)
    for note in notes:
        console.say(str(note))
    unjudged = [str(note) for note in notes if note.kind is Kind.GATE]
    for line in (*annotations("error", TITLE, failed), *annotations("warning", TITLE, unjudged)):
        console.say(line)
    if failed:
        raise CheckFailed("\n".join(failed))


def _sweep(paths: list[Path], question: "Question", keys: list[str], form: "Format", others: list[str]) -> None:
    """Print the metric against the keys. Raises ConfigError if `others`, the options that do not fit, are given."""
    with stop_at_once():
        from bnbench import console
        from bnbench.analysis.arms import collect, shortened
        from bnbench.analysis.sweep import sweeps
        from bnbench.report.sweep import print_sweeps

    if others:
        raise ConfigError(f"--by shows a sweep, not a table of arms; leave out {', '.join(others)}")
    runs = collect(paths)
    notes = [*runs.notes, *shortened(runs.arms())]
    print_sweeps(sweeps(runs, question, keys, notes), notes, form, console.stdout())
    for note in notes:
        console.say(str(note))


def _tuned(paths: list[Path], baseline: str | None, form: "Format", others: list[str]) -> None:
    """Print tuned arms. Raises ConfigError if `others`, the options that do not fit, are given."""
    with stop_at_once():
        from bnbench import console
        from bnbench.analysis.tuned import read_tuned
        from bnbench.report.tuned import print_tuned

    if others:
        raise ConfigError(f"--tuned shows a tuning by its own rule; leave out {', '.join(others)}")
    tuned = read_tuned(paths, baseline)
    print_tuned(tuned, form, console.stdout())
    for note in tuned.notes:
        console.say(str(note))
