"""Trains runs and reads them from their folders. It also reports which runs are missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bnbench.config.experiment import Config
from bnbench.errors import ResultsError
from bnbench.launch.execute import Places, execute
from bnbench.launch.progress import Progress
from bnbench.launch.run_one import Outcome
from bnbench.launch.session import Ended
from bnbench.runs.format import FINISHED, Run, read_run


def train(
    configs: Sequence[Config],
    out: Path,
    data_folder: Path,
    places: Places,
    progress: Progress,
    *,
    force: bool,
    ended: Ended | None = None,
) -> tuple[list[tuple[Run, bool]], list[str]]:
    """Train runs; return the finished ones and a report on the missing ones.

    Each finished run comes with whether this call trained it. The report is a list of lines, empty if nothing
    is missing. `bnbench run` and the API share this function. `ended` is told each outcome as it comes. Raises the
    errors of `execute`.
    """
    outcomes = execute(configs, out, data_folder, force=force, places=places, progress=progress, ended=ended)
    runs = []
    for number, outcome in enumerate(outcomes):
        if outcome.status in ("failed", "held"):
            continue
        try:
            finished = read_run(outcome.folder)
            if finished.status not in FINISHED:
                raise ResultsError(f"{outcome.folder}: another command is training it again")
            runs.append((finished, outcome.trained))
        except ResultsError as error:  # the run may have changed since it finished, hours ago
            outcomes[number] = replace(outcome, status="failed", reason=str(error))
    return runs, _what_is_missing(outcomes, sum(len(config.seeds) for config in configs))


def _what_is_missing(outcomes: Sequence[Outcome], asked: int) -> list[str]:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    held = [outcome for outcome in outcomes if outcome.status == "held"]
    lines = []
    if failed:
        lines.append(f"{len(failed)} of {asked} runs failed:")
        lines += [f"  {outcome.config.name} seed {outcome.config.seed}: {outcome.reason}" for outcome in failed]
    if held:
        lines.append(f"{len(held)} of {asked} runs are held by another command:")
        lines += [f"  {outcome.reason}" for outcome in held]
    if len(outcomes) < asked:
        left = asked - len(outcomes)
        lines.append(f"{left} of {asked} runs did not finish, because --fail-fast stops at the first failure")
    if lines:
        lines.append("Run the same command again to finish the rest")
    return lines
