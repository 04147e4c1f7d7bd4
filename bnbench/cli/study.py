"""`bnbench study`, `bnbench study new NAME`."""

import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnbench.cli.app import DataDir, Quiet, app
from bnbench.cli.options import TextOrJson
from bnbench.errors import CheckFailed, ConfigError, ResultsError, RunError
from bnbench.signals import stop_at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnbench.config.experiment import Config
    from bnbench.launch.execute import Places
    from bnbench.runs.format import Run
    from bnbench.studies.plan import Plan


@app.command(short_help="Judge published claims: supported, contradicted or inconclusive.")
def study(
    words: Annotated[list[str] | None, typer.Argument(metavar="NAME | new NAME", hidden=True)] = None,
    listing: Annotated[bool, typer.Option("--list", help="List all studies with their time and power.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Try the study in a minute, without a verdict.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the missing runs; train nothing, write nothing.")
    ] = False,
    judge_only: Annotated[
        bool, typer.Option("--judge-only", help="Train nothing; judge the runs that are there.")
    ] = False,
    judge_the_judge: Annotated[
        bool,
        typer.Option("--judge-the-judge", help="Simulate claims whose truth is known: how often are verdicts false?"),
    ] = False,
    pilot: Annotated[
        int | None, typer.Option(metavar="N", help="Train N other seeds, and show how much each effect varies.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder of the runs.", show_default="results/studies/NAME/runs"),
    ] = None,
    data_dir: DataDir = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=1_024, envvar="BNBENCH_JOBS", help="Runs at once.", show_default="one per core"
        ),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Train on a Dask cluster; its scheduler is at ADDRESS.")
    ] = None,
    form: TextOrJson = "table",
    quiet: Quiet = False,
) -> None:
    """Train what is missing of the study NAME, and judge its claims.

    NAME is a file of configs/studies, or the path of a study file. The outcome goes to
    results/studies/NAME. The exit code is 0, whatever the verdicts are.

    `bnbench study new NAME` writes a study file to fill in.

    \b
    Examples:
      bnbench study --list
      bnbench study variants_l1
      bnbench study learning_rate --quick
      bnbench study my_study --pilot 10
      bnbench study learning_rate --jobs 2
      bnbench study new my_study
    """
    names = words or []
    if judge_the_judge:
        if names:
            raise ConfigError(f"--judge-the-judge is about the rules, so it takes no study; remove {names[0]}")
        _simulate(form, quick, quiet)
        return
    with stop_at_once():
        from bnbench import console
        from bnbench.launch.execute import Places
        from bnbench.studies.checks import check
        from bnbench.studies.file import find, read_study
        from bnbench.studies.pilot import pilot_of
        from bnbench.studies.plan import make_plan
        from bnbench.studies.template import write_template

    if listing:
        _list(form)
        return
    if names[:1] == ["new"]:
        if len(names) != 2:
            raise ConfigError("bnbench study new NAME: name one study, as in bnbench study new my_study")
        path = write_template(names[1])
        typer.echo(console.clean(f"{path}: fill it in, then: bnbench study {names[1]}"))
        return
    if len(names) != 1:
        raise ConfigError("name one study, as in bnbench study variants_l1; bnbench study --list shows all of them")
    _one_of({"--quick": quick, "--pilot": pilot is not None, "--judge-only": judge_only, "--dry-run": dry_run})
    file = read_study(find(names[0]))
    places = Places(jobs, cluster)
    if pilot is not None:
        _pilot(make_plan(pilot_of(file, pilot)), out, data_dir, places, quiet)
        return
    plan = make_plan(file)
    check(plan, power=not quick)
    if quick:
        _quick(make_plan(file, quick=True), out, data_dir, places, quiet)
        return
    _judge(plan, out, data_dir, places, form, quiet, train=not judge_only, dry_run=dry_run)


def _one_of(options: "dict[str, bool]") -> None:
    """Raise ConfigError if more than one option is given."""
    given = [option for option, on in options.items() if on]
    if len(given) > 1:
        raise ConfigError(f"{given[0]} and {given[1]} exclude each other; remove one of the two")


def _list(form: str) -> None:
    with stop_at_once():
        from bnbench import console
        from bnbench.report.studies import entry, list_lines, refused_lines
        from bnbench.studies.file import FOLDER, files

    entries, refused = [], {}
    for path in files():
        try:
            entries.append(entry(path))
        except (ConfigError, ResultsError) as error:
            refused[path.stem] = str(error)
    if not entries and not refused:
        raise ConfigError(f"there are no studies in {FOLDER}; bnbench study new my_study writes one")
    if form == "json":
        studies = [asdict(one) for one in entries]
        shown = {"schema_version": console.JSON_SCHEMA_VERSION, "studies": studies, "refused": refused}
        typer.echo(json.dumps(shown))
        return
    for line in [*refused_lines(refused), *list_lines(entries)]:
        typer.echo(console.clean(line))


def _simulate(form: str, quick: bool, quiet: bool) -> None:
    """How often the rules are right, if the truth is known."""
    with stop_at_once():
        from bnbench import console
        from bnbench.report.judge import print_rows
        from bnbench.studies.simulate import judge_the_judge

    with nullcontext() if quiet else console.stderr().status("simulating") as status:
        rows = judge_the_judge(quick, lambda scene: None if status is None else status.update(f"simulating {scene}"))
    print_rows(rows, form, console.stdout())
    broken = [f"{row.kind}: {row.situation}" for row in rows if not row.kept]
    if broken:
        raise CheckFailed(f"{len(broken)} of {len(rows)} promises are broken: {'; '.join(broken)}")


def _folder(plan: "Plan", out: Path | None) -> tuple[Path, Path]:
    """The folder of the outcome, and that of the runs."""
    from bnbench.report.studies import RESULTS

    return RESULTS / plan.study.name, out or RESULTS / (plan.study.about.shares or plan.study.name) / "runs"


def _train(
    configs: "Sequence[Config]", runs: Path, data_dir: Path | None, places: "Places", quiet: bool
) -> "list[Run]":
    """Train the configs into the folder `runs`. Raises RunError if a run is missing then."""
    with stop_at_once():
        from bnbench.data import datasets
        from bnbench.launch.progress import Progress
        from bnbench.launch.train import train

    with Progress(quiet=quiet) as progress:
        finished, problems = train(configs, runs, datasets.data_dir(data_dir), places, progress, force=False)
    if problems:
        raise RunError("\n".join(problems))
    return [run for run, _ in finished]


def _quick(plan: "Plan", out: Path | None, data_dir: Path | None, places: "Places", quiet: bool) -> None:
    """Train every arm for an epoch on 512 images, and print what they reach."""
    with stop_at_once():
        from bnbench.console import clean

    runs = _train(plan.configs, _folder(plan, out)[1], data_dir, places, quiet)
    for config in plan.configs:
        reached = ", ".join(
            f"{100 * run.rows[-1].valid_accuracy:.1f} %" for run in runs if run.digest == config.digest()
        )
        typer.echo(clean(f"{config.name}: {reached}"))
    typer.echo("quick: no verdict")


def _pilot(plan: "Plan", out: Path | None, data_dir: Path | None, places: "Places", quiet: bool) -> None:
    """Train other seeds, and print the spread of each effect."""
    with stop_at_once():
        from bnbench.studies.checks import check
        from bnbench.studies.outcome import collect_runs
        from bnbench.studies.pilot import pilot_lines

    check(plan, power=False)
    runs = _folder(plan, out)[1]
    _train(plan.configs, runs, data_dir, places, quiet)
    for line in pilot_lines(plan, collect_runs(plan, runs)):
        typer.echo(line)


def _judge(
    plan: "Plan",
    out: Path | None,
    data_dir: Path | None,
    places: "Places",
    form: str,
    quiet: bool,
    *,
    train: bool,
    dry_run: bool,
) -> None:
    """Train what is missing, judge, write the outcome, print it."""
    with stop_at_once():
        from bnbench import console
        from bnbench.data import datasets
        from bnbench.launch.dry import dry
        from bnbench.report.studies import verdict_lines
        from bnbench.report.study_figure import figure
        from bnbench.studies import outcome

    folder, runs = _folder(plan, out)
    outcome.refuse_edited(plan, folder)
    found = outcome.collect_runs(plan, runs)
    left = outcome.missing(plan, found)
    data = datasets.data_dir(data_dir)
    if dry_run:
        lines, summary = dry(left, runs, data, force=False, places=places) if left else ([], "nothing to train")
        for line in lines:
            typer.echo(console.clean(line))
        console.say(f"{len(found)} runs are there already. {summary}")
        return
    if train and left:
        _train(left, runs, data_dir, places, quiet)
        found = outcome.collect_runs(plan, runs)
    if not found:
        raise ResultsError(f"{runs}: no finished run of this study; without --judge-only, the command trains them")
    if (early := outcome.too_early(plan, left)) and not train:
        nothing = {"schema_version": outcome.SCHEMA_VERSION, "study": plan.study.name, "claims": [], "why": early}
        typer.echo(json.dumps(nothing) if form == "json" else early)
        return
    judged = outcome.judge_and_write(plan, found, folder, figure)
    if form == "json":
        typer.echo(json.dumps(judged))
        return
    for line in verdict_lines(judged):
        typer.echo(console.clean(line))
    if not quiet:
        console.say(f"Written: {folder}")
