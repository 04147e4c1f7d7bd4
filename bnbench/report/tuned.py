"""Tuned arms as text: what each chose and how flat its optimum is; then one setting beside each arm's best."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console

from bnbench.analysis.arms import seed_ranges
from bnbench.analysis.compare import Row, Table
from bnbench.analysis.statistics import LEVEL
from bnbench.analysis.tuned import Tuned, TunedArm
from bnbench.analysis.tuning import Choice, Value
from bnbench.console import JSON_SCHEMA_VERSION
from bnbench.report.cells import NOTHING, difference_text, mean_text, p_text
from bnbench.report.cells import number as number_text
from bnbench.report.tables import Format, print_csv, print_grid, print_json
from bnbench.runs.tune import Grid, texts

BASELINE = "baseline"


def print_tuned(tuned: Tuned, form: Format, console: Console) -> None:
    """Print the choices, and then the comparisons to the baseline."""
    if form == "json":
        print_json(_as_json(tuned), console)
        return
    if form == "csv":
        print_csv(_records(tuned), console)
        return
    print_grid(f"The choice, {_measured(tuned)}", *_choices(tuned), form, console)
    print_grid(f"The difference to {tuned.baseline.name}", *_comparisons(tuned), form, console)
    start = {"markdown": "- ", "latex": "% "}.get(form, "")
    for sentence in [*sentences(tuned), *legend(tuned)]:
        console.print(f"{start}{sentence}", soft_wrap=form != "table")


def _measured(tuned: Tuned) -> str:
    group, plan = tuned.group, tuned.plan
    return f"on {group.valid_images:,} held-out training images, with {_seeds(plan.tuning_seeds)}"


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {seed_ranges(seeds)}"


def _choices(tuned: Tuned) -> tuple[list[str], list[list[str]]]:
    names = list(map(_last, tuned.plan.grid))
    cells = []
    for arm in tuned.arms:
        choice = arm.choice
        value = [texts([number]) for number in choice.value] if choice.value else [NOTHING] * len(names)
        mean = next((row.value for row in _rows(tuned.best, arm.name)), None)
        cells.append([arm.name, *value, mean_text(mean), _near(tuned, choice), _steps(choice)])
    return ["arm", *names, "held-out %", "within 1 point", "a step costs"], cells


def _near(tuned: Tuned, choice: Choice) -> str:
    """The values within one point of the best mean, and in brackets those that the interval does not rule out."""
    if choice.value is None:
        return "every value diverged"
    near, perhaps = (_ranges(tuned, values) for values in (choice.near, choice.perhaps))
    return f"{near} ({perhaps})" if perhaps else near


def _ranges(tuned: Tuned, values: Sequence[Value]) -> str:
    """0.01, 0.03, 0.1, 1 → 0.01 to 0.1, 1: neighbours of the grid as ranges. Values of two keys are counted."""
    if len(tuned.plan.grid) > 1:
        total = math.prod(map(len, tuned.plan.grid.values()))
        return f"{len(values)} of {total} values" if values else ""
    (grid,) = tuned.plan.grid.values()
    places = sorted(grid.index(value[0]) for value in values)
    starts = [place for place in places if place - 1 not in places]
    ends = [place for place in places if place + 1 not in places]
    return ", ".join(
        texts([grid[a]]) + (f" to {texts([grid[b]])}" if b > a else "") for a, b in zip(starts, ends, strict=True)
    )


def _steps(choice: Choice) -> str:
    """What one step to a smaller and to a larger value costs, in points; of several keys, the most."""
    if choice.value is None:
        return NOTHING
    return " / ".join(_cost(costs) for costs in (choice.smaller, choice.larger))


def _cost(costs: Sequence[float]) -> str:
    there = [cost for cost in costs if not math.isnan(cost)]
    if not there:
        return NOTHING
    return "diverges" if max(there) == math.inf else f"{100 * max(there):.2f}"


def _rows(table: Table | None, name: str) -> list[Row]:
    return [row for row in table.rows if row.arm.label == name] if table else []


def _comparisons(tuned: Tuned) -> tuple[list[str], list[list[str]]]:
    equal = f"equal: {tuned.text(tuned.baseline.choice.value)}" if tuned.baseline.choice.value else "equal"
    cells = []
    for arm in tuned.arms:
        shown = [_difference(table, arm.name) for table in (tuned.equal, tuned.best, tuned.final)]
        final = next(iter(_rows(tuned.final, arm.name)), None)
        p = p_text(final.p) if final and final.p is not None else (final and final.tested.why) or ""
        test = mean_text(final.value if final else None, over=tuned.final.over)
        cells.append([arm.name, shown[0], shown[1], test, shown[2], p])
    return ["arm", equal, "best against best", "test %", "best against best, test", "p"], cells


def _difference(table: Table | None, name: str) -> str:
    for row in _rows(table, name):
        assert table is not None
        if row.is_baseline:
            return BASELINE
        seeds = len(row.arm.complete)
        return difference_text(row.difference, different=row.different, seeds=seeds, over=table.over)
    return NOTHING


def sentences(tuned: Tuned) -> Iterator[str]:
    """What limits the answers: values at the edge, arms without a choice, wider grids, diverged final runs."""
    yield from warnings({arm.name: arm.choice for arm in tuned.arms}, tuned.plan.grid)
    for arm in tuned.arms:
        if arm.choice.value is None:
            yield f"{arm.name}: a run diverged at every value, so it has no choice and no final runs."
        if len(arm.tested) > 1:
            values = "; ".join(map(tuned.text, arm.tested))
            yield (
                f"{arm.name} read the test images at {len(arm.tested)} values ({values}), because the grid became"
                " wider. Its choice is by the held-out images all the same."
            )
        if arm.final and arm.final.diverged:
            n = len(arm.final.diverged)
            yield f"{arm.name}: {n} of {n + len(arm.final.complete)} final runs diverged, and no mean includes them."


def chosen(name: str, choice: Choice, grid: Grid) -> str:
    """A line on what an arm chooses."""
    if choice.value is None or choice.mean is None:
        return f"{name}: a run diverged at every value, so it has no choice"
    values = ", ".join(f"{_last(key)} {texts([number])}" for key, number in zip(grid, choice.value, strict=True))
    return f"{name}: {values}, {number_text(choice.mean)} % on the held-out images"


def warnings(choices: Mapping[str, Choice], grid: Grid) -> list[str]:
    """A sentence for each arm whose best value is an end of the grid, and one for each key on how to widen it."""
    out, wider = [], dict.fromkeys(grid, frozenset[float]())
    for name, choice in choices.items():
        for edge in choice.edges:
            key = list(grid)[edge.axis]
            wider[key] |= {edge.beyond}
            what = f"its best {_last(key)} is the {edge.end} of the grid"
            out.append(f"WARNING: {name}: {what}, so a better one may lie outside.")
    for key, values in wider.items():
        if values:
            every = texts(sorted({*grid[key], *values}))
            out.append(f"To widen the grid, run the same command with --grid {key}={every}")
    return out


def _last(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def legend(tuned: Tuned) -> Iterator[str]:
    plan = tuned.plan
    yield (
        "The rule, fixed before the first run: the best mean accuracy over the tuning seeds; of equal means the smaller"
        " value; a value with a diverged run is the worst."
    )
    yield (
        "within 1 point: values whose mean is at most 1 point below the best; in brackets those that the paired"
        " interval does not rule out. a step costs: points to the next smaller / larger value."
    )
    if tuned.baseline.choice.value is not None:
        yield (
            f"equal: every arm at the choice of {tuned.baseline.name}. best against best: each arm at its own choice."
            " Both are on the held-out images that the values were chosen by, so they flatter the choices."
        )
    yield (
        f"test: the chosen values, trained with {_seeds(plan.final_seeds)}, which chose nothing, and judged once on the"
        " test images."
    )
    yield (
        f"±, [ ]: {100 * LEVEL:.0f} % intervals. On the test images, they are over {tuned.final.over};"
        " on others, over seeds."
        " ~: its interval covers 0; ?: it leaves out 0, but p is above 0.05, or there are too few seeds to test."
    )


# Records.


def _as_json(tuned: Tuned) -> dict[str, Any]:
    plan = tuned.plan
    return {
        "schema_version": JSON_SCHEMA_VERSION,
        **vars(tuned.group),
        "rule": dict(plan.rule),
        "grid": dict(plan.grid),
        "tuning_seeds": plan.tuning_seeds,
        "final_seeds": plan.final_seeds,
        "baseline": tuned.baseline.name,
        "confidence": LEVEL,
        "arms": _arms(tuned),
        "sentences": [*sentences(tuned)],
        "notes": [*map(str, tuned.notes)],
    }


def _records(tuned: Tuned) -> list[dict[str, Any]]:
    """A record for each arm, as in CSV: lists are text, and the values that were tried are left out."""
    return [
        {key: texts(value) if isinstance(value, list) else value for key, value in arm.items() if key != "tried"}
        for arm in _arms(tuned)
    ]


def _arms(tuned: Tuned) -> list[dict[str, Any]]:
    return [_arm(arm, tuned) for arm in tuned.arms]


def _arm(arm: TunedArm, tuned: Tuned) -> dict[str, Any]:
    choice, keys = arm.choice, list(tuned.plan.grid)
    out: dict[str, Any] = {"arm": arm.name}
    for number, key in enumerate(keys):
        out[key] = choice.value[number] if choice.value else None
        out[f"{key}_edge"] = next((edge.end for edge in choice.edges if edge.axis == number), None)
    out["mean"] = choice.mean
    for side, costs in (("smaller", choice.smaller), ("larger", choice.larger)):
        for number, key in enumerate(keys):
            cost = costs[number] if costs else math.nan
            out[f"{key}_{side}_costs"] = cost if math.isfinite(cost) else None
    for name, table in (("equal", tuned.equal), ("best", tuned.best), ("final", tuned.final)):
        out |= _compared(name, next(iter(_rows(table, arm.name)), None))
    out["tried"] = [
        {
            **dict(zip(keys, value, strict=True)),
            "seeds": len(of.complete),
            "diverged": len(of.diverged),
            "mean": math.fsum(run.rows[-1].valid_accuracy for run in of.complete) / len(of.complete)
            if of.complete
            else None,
            "within_1_point": "yes" if value in choice.near else "maybe" if value in choice.perhaps else "no",
        }
        for value, of in sorted(arm.tried.items())
    ]
    return out


def _compared(name: str, row: Row | None) -> dict[str, Any]:
    """The fields of one comparison."""
    value, gap = (row.value, row.difference) if row else (None, None)
    return {
        f"{name}_seeds": len(row.arm.complete) if row else 0,
        f"{name}_diverged": len(row.arm.diverged) if row else 0,
        f"{name}_accuracy": value and value.mean,
        f"{name}_difference": gap and gap.mean,
        f"{name}_difference_low": gap and gap.low,
        f"{name}_difference_high": gap and gap.high,
        f"{name}_difference_over": gap and gap.over,
        f"{name}_p": row and row.p,
    }
