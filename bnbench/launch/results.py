"""What `bnbench run` prints for its runs: a line for each, a line for each arm, or JSON. No torch here."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from statistics import mean
from typing import Any

from bnbench.console import JSON_SCHEMA_VERSION
from bnbench.errors import BnbenchError, ResultsError
from bnbench.launch.run_one import Outcome
from bnbench.runs.format import METRICS, Run, read_run


def result_line(run: Run) -> str:
    """The line that `bnbench run` prints for a finished run."""
    what = f"{run.name} seed {run.seed}"
    if run.status == "diverged":
        return f"{what}: diverged in epoch {len(run.rows)} → {run.path}"
    best = max(run.rows, key=lambda row: row.valid_accuracy)
    test = f", test accuracy {100 * run.test.accuracy:.2f} %" if run.test else ""
    return (
        f"{what}: valid accuracy {100 * run.rows[-1].valid_accuracy:.2f} % after epoch {len(run.rows)}"
        f" (best {100 * best.valid_accuracy:.2f} %, epoch {best.epoch}){test} → {run.path}"
    )


def arm_line(runs: Sequence[Run]) -> str:
    """One line for the finished runs of an arm, where a line for each would fill the screen."""
    complete = [run.rows[-1].valid_accuracy for run in runs if run.status == "complete"]
    diverged = len(runs) - len(complete)
    seeds = f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"
    said = [f"valid accuracy {100 * mean(complete):.2f} %"] if complete else []
    if len(complete) > 1:
        said[0] += f" ({100 * min(complete):.2f} to {100 * max(complete):.2f})"
    if diverged:
        said.append(f"{diverged} diverged")
    return f"{runs[0].path.parent}, {seeds}: {', '.join(said)}"


def run_as_json(outcome: Outcome) -> str:
    """One line of JSON for a run that ended. Its metrics are null if there are none."""
    run, reason = None, outcome.reason
    if outcome.status in ("complete", "diverged"):
        try:
            run = read_run(outcome.folder)
        except ResultsError as error:  # another command has replaced it
            reason = str(error)
    value = {
        "schema_version": JSON_SCHEMA_VERSION,
        "type": "run",
        "name": outcome.config.name,
        "seed": outcome.config.seed,
        "digest": outcome.config.digest(),
        "folder": str(outcome.folder),
        "status": outcome.status,
        "trained": outcome.trained,
        "reason": reason,
        **_metrics(run),
    }
    return json.dumps(value, allow_nan=False)


def _metrics(run: Run | None) -> dict[str, Any]:
    if run is None or not run.rows:
        return dict.fromkeys(("epochs", "seconds", "final", "best", "test"))
    best = max(run.rows, key=lambda row: row.valid_accuracy)
    last = {name: getattr(run.rows[-1], name) for name in METRICS[1:]}
    return {
        "epochs": len(run.rows),
        "seconds": round(sum(row.train_seconds + row.valid_seconds for row in run.rows), 3),
        "final": {name: value if math.isfinite(value) else None for name, value in last.items()},
        "best": {"epoch": best.epoch, "valid_accuracy": best.valid_accuracy},
        "test": vars(run.test) if run.test else None,
    }


def summary_as_json(asked: int, ended: Sequence[Outcome], error: BnbenchError | None, compare: str | None) -> str:
    """The last line: how many runs ended how, the exit code, and the next command. `asked` runs were asked for."""
    counts = Counter(outcome.status for outcome in ended)
    value = {
        "schema_version": JSON_SCHEMA_VERSION,
        "type": "summary",
        "runs": asked,
        **{status: counts[status] for status in ("complete", "diverged", "failed", "held")},
        "not_ended": asked - len(ended),
        "trained": sum(outcome.trained for outcome in ended),
        "exit_code": error.exit_code if error else 0,
        "error": str(error) if error else None,
        "compare": compare,
    }
    return json.dumps(value, allow_nan=False)
