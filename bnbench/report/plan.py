"""A plan → text or JSON: `bnbench plan`, and the line that `bnbench run` prints."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console

from bnbench.analysis import planning
from bnbench.analysis.maxt import FEWEST_PAIRS
from bnbench.analysis.pilot import Measured, Plan, Planned
from bnbench.console import JSON_SCHEMA_VERSION
from bnbench.report.cells import NOTHING, number
from bnbench.report.tables import print_grid, print_json

NEVER = "never"
FEW_PAIRS = 6  # with fewer pairs the spread itself is hardly known


def print_plan(plan: Plan, form: str, console: Console) -> None:
    """Print a row for each arm that has a baseline, then sentences."""
    if form == "json":
        print_json(as_json(plan), console)
        return
    asked = plan.rows[0].asked
    detect = _amount(plan, plan.aim.detect)
    headings = ["arm", "baseline", "sd", "pairs", f"seeds to find {detect}", "cautious", f"seeds for same ± {detect}"]
    headings += [f"{_seeds(asked)}: power", f"{_seeds(asked)}: finds"]
    print_grid(plan.group.title(), headings, [_cells(plan, row) for row in plan.rows], "table", console)
    for sentence in sentences(plan):
        console.print(sentence)


def _cells(plan: Plan, row: Planned) -> list[str]:
    needed, cautious, same = (NEVER if n is None else str(n) for n in vars(row.seeds).values())
    of = row.measured
    found = NOTHING if row.smallest is None else _amount(plan, row.smallest)
    names = [of.arm.label, of.baseline.label]
    return [*names, _amount(plan, of.sd), str(of.pairs), needed, cautious, same, f"{100 * row.power:.0f} %", found]


def _amount(plan: Plan, value: float) -> str:
    return number(value, loss=plan.aim.question.is_loss)


def _points(plan: Plan, value: float) -> str:
    return _amount(plan, value) + ("" if plan.aim.question.is_loss else " points")


def _seeds(n: int) -> str:
    return f"{n} seed{'s' if n > 1 else ''}"


def sentences(plan: Plan) -> list[str]:
    """What the table says: the number of seeds, the time, what the seeds asked for cannot show, and the limits."""
    return [*_needed(plan), *_asked(plan), *_time(plan), *_limits(plan)]


def _needed(plan: Plan) -> Iterator[str]:
    detect, often = _points(plan, plan.aim.detect), f"{100 * plan.aim.power:g} of 100 studies"
    if plan.needed is None:
        names = ", ".join(row.measured.arm.label for row in plan.rows if row.seeds.cautious is None)
        yield (
            f"No number of seeds finds a difference of {detect} in {often}: {names}. The {plan.images:,} test images"
            " alone vary too much. Choose a larger --detect, or more test images."
        )
        return
    yield f"Train {_seeds(plan.needed)} of each arm. A true difference of {detect} is then found in {often}."
    exact = max(row.seeds.needed or 0 for row in plan.rows)
    if exact < plan.needed:
        yield f"{_seeds(exact)} are enough if the spread is exactly that of the finished runs. The rest is caution."
    same = [row.seeds.same for row in plan.rows if row.seeds.same is not None]
    if len(same) == len(plan.rows):
        yield f"If two arms do not differ at all, {_seeds(max(same))} show that they are the same within {detect}."


def _asked(plan: Plan) -> Iterator[str]:
    asked = plan.rows[0].asked
    if asked < FEWEST_PAIRS:
        because = f"the test needs {FEWEST_PAIRS} pairs"
        yield f"The configs ask for {_seeds(asked)}. These cannot show a difference: {because}."
        return
    weak = [row for row in plan.rows if row.power < plan.aim.power]
    for row in weak[:FEW_PAIRS]:
        assert row.smallest is not None
        yield (
            f"The configs ask for {_seeds(asked)}. For {row.measured.arm.label}, these find"
            f" {_points(plan, plan.aim.detect)} in {100 * row.power:.0f} of 100 studies. Differences below"
            f" {_points(plan, row.smallest)} cannot be shown reliably."
        )
    if not weak:
        yield f"The {_seeds(asked)} of the configs are enough, if the spread is exactly that of the finished runs."


def _time(plan: Plan) -> Iterator[str]:
    if plan.time is None:
        yield "The time is not known: the finished runs are from another machine. --pilot 3 measures it."
    elif plan.needed is not None:
        arms = len(plan.time.seconds)
        once = f", {plan.time.jobs} at once" if plan.time.jobs > 1 else ""
        yield (
            f"{_seeds(plan.needed)} of {arms} arms are {plan.needed * arms} runs: about"
            f" {duration(plan.time.of(plan.needed))} on this machine{once}."
        )


def _limits(plan: Plan) -> Iterator[str]:
    pairs = min(row.measured.pairs for row in plan.rows)
    if pairs < FEW_PAIRS:
        yield f"{pairs} pairs of seeds hardly show the spread. A pilot of 10 gives a better plan."
    comparisons = max(row.measured.comparisons for row in plan.rows)
    if comparisons > 1:
        yield f"These numbers count with {comparisons} comparisons to one baseline. Fewer arms need fewer seeds."


def duration(seconds: float) -> str:
    """5400 → 1.5 hours."""
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def line(measured: Sequence[Measured], asked: int, power: float) -> str:
    """The line that `bnbench run` prints before it trains: what so many seeds can show of an accuracy."""
    more = "To plan the seeds: bnbench plan"
    if asked < FEWEST_PAIRS:
        return f"{_seeds(asked)} cannot show a difference: the test needs {FEWEST_PAIRS} pairs. {more}"
    widest = max(measured, key=lambda one: one.spread.se(asked))
    smallest = planning.smallest_difference(widest.spread, asked, widest.comparisons, power)
    assert smallest is not None
    return (
        f"{_seeds(asked)} find a difference of {number(smallest)} points or more in {100 * power:g} of 100 studies"
        f" ({widest.arm.label}). {more}"
    )


def as_json(plan: Plan) -> dict[str, Any]:
    """Accuracies are fractions; null where no number of seeds is enough, or where a value is not known."""
    question = plan.aim.question
    return {
        "schema_version": JSON_SCHEMA_VERSION,
        **vars(plan.group),
        "metric": question.metric,
        "at": question.at,
        "detect": plan.aim.detect,
        "power": plan.aim.power,
        "seeds_needed": plan.needed,
        "seconds": None if plan.time is None or plan.needed is None else plan.time.of(plan.needed),
        "jobs": plan.time and plan.time.jobs,
        "arms": [
            {
                "arm": row.measured.arm.label,
                "digest": row.measured.arm.digest,
                "baseline": row.measured.baseline.label,
                "pairs": row.measured.pairs,
                "difference_sd": row.measured.sd,
                "images_sd": row.measured.spread.of_images**0.5,
                "comparisons": row.measured.comparisons,
                "seeds": row.seeds.needed,
                "seeds_cautious": row.seeds.cautious,
                "seeds_same": row.seeds.same,
                "seeds_asked": row.asked,
                "power_asked": row.power,
                "difference_asked": row.smallest,
                "run_seconds": None if plan.time is None else plan.time.seconds[row.measured.arm.label],
            }
            for row in plan.rows
        ],
        "summary": sentences(plan),
        "notes": [*map(str, plan.notes)],
    }
