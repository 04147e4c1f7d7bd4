"""`bnbench report`: one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from bnbench.cli.app import app
from bnbench.cli.options import At, Baseline, Metric, Paths, parse_at
from bnbench.errors import ConfigError, RunError
from bnbench.signals import stop_at_once


@app.command(short_help="Write one HTML page with tables and pictures.")
def report(
    paths: Paths,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page to write.")] = Path(
        "report.html"
    ),
    figures: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write each picture: SVG and PNG.")] = None,
    baseline: Baseline = None,
    metric: Metric = "valid_accuracy",
    at: At = "final",
) -> None:
    """Write one HTML page on the runs in each PATH: results folders or single runs.

    The page has tables, learning curves, configs and commands, and needs no internet.
    It ends with the verdicts of the studies in each PATH, if there are any.
    The same results give the same bytes.

    \b
    Examples:
      bnbench report results/
      bnbench report results/ -o report.html --figures figures/
      bnbench report results/ --metric valid_loss --at best
    """
    with stop_at_once():
        from bnbench import console
        from bnbench.analysis.arms import collect
        from bnbench.analysis.compare import Question, compare
        from bnbench.files import write_atomic
        from bnbench.report.figures import files
        from bnbench.report.page import page
        from bnbench.report.study_section import study_sections

    question = Question(metric, parse_at(at), baseline)
    if output.is_dir():
        raise ConfigError(f"--output {output}: is a folder; name a file, as in {output / 'report.html'}")
    if not output.parent.is_dir():
        raise ConfigError(f"--output {output}: there is no folder {output.parent}; make it first")
    if output.exists() and not output.is_file():
        raise ConfigError(f"--output {output}: is not a regular file, and is not replaced; name another")
    if (output.parent / "run.json").exists():
        raise ConfigError(f"--output {output}: {output.parent} is a run's folder; name a place outside of it")
    if figures is not None and figures.exists() and not figures.is_dir():
        raise ConfigError(f"--figures {figures}: is a file; name a folder")
    comparison = compare(collect(paths), question)
    asked = {"--metric": metric, "--at": at, "--baseline": baseline or ""}
    usual = {"--metric": "valid_accuracy", "--at": "final", "--baseline": ""}
    options = [word for option, value in asked.items() if value != usual[option] for word in (option, value)]

    contents = page(comparison, options, study_sections(paths)).encode()
    try:
        write_atomic(output.resolve(), contents)
    except OSError as error:  # the error names a temporary file
        raise RunError(f"{output} cannot be written: {error.strerror}") from None
    console.stdout().print(f"{console.clean(str(output))}: {len(contents) / 1e6:.1f} MB", soft_wrap=True)
    if figures is not None:
        figures.mkdir(parents=True, exist_ok=True)
        written = 0
        for name, image in files(comparison.tables):
            write_atomic((figures / name).resolve(), image)
            written += 1
        console.stdout().print(f"{console.clean(str(figures))}: {written} files", soft_wrap=True)
    for note in comparison.notes:
        console.say(str(note))
