"""The verdict of a family: one plain sentence, and below it the numbers behind it and what is not known."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from bnbench.analysis.compare import Row, Table
from bnbench.analysis.curves import ahead_at_first
from bnbench.analysis.maxt import FEWEST_PAIRS
from bnbench.analysis.sweep import Sweep
from bnbench.report.cells import number, p_text
from bnbench.report.sweep_words import near_best

FEW = 4  # arms that the second line names
RANGES = 3  # ranges of usable values that a headline names

Name = Callable[[Row], Any]  # an arm's name, as text or as markup


def advantage(row: Row, table: Table) -> float:
    """How far an arm is ahead of its baseline: a fraction or a loss, below 0 if it is behind."""
    assert row.difference is not None
    return row.difference.mean * (-1 if table.question.measure.lower_is_better else 1)


def standing(row: Row, table: Table) -> str:
    """baseline, ahead, behind, same, identical or unknown; empty if there is no difference."""
    if row.is_baseline:
        return "baseline"
    if row.difference is None:
        return ""
    if row.tested.why == "identical":
        return "identical"
    if row.verdict != "different":
        return row.verdict or ""
    return "ahead" if advantage(row, table) > 0 else "behind"


def headline(table: Table, name: Name) -> Markup:
    """The answer for the rows of one baseline, in one sentence."""
    rows = [row for row in table.compared if row.difference]
    if not rows:
        return _nothing(table, name)
    base = name(next(row for row in table.rows if row.is_baseline)) if _has_baseline(table) else "the baseline"
    if all(row.difference and row.difference.n < 2 for row in rows):
        return _text("One seed supports no conclusion: {} with one seed.", _count(rows, "was trained", "were trained"))
    if all(row.tested.why == "too few seeds" for row in rows):
        most = max(row.difference.n for row in rows if row.difference)
        return _text("{} seeds are too few to say which arm is ahead of {}: a test needs {}.", most, base, FEWEST_PAIRS)
    if len(rows) == 1:
        return _one(rows[0], table, name, base)
    ahead, behind = ([row for row in rows if standing(row, table) == where] for where in ("ahead", "behind"))
    final = table.question.at == "final" and table.group.epochs > 1
    if final and ahead_at_first(rows, table.question):
        return _after_a_start(rows, ahead, table, name, base)
    if not ahead and not behind:
        all_of = {standing(row, table) for row in rows}
        if all_of == {"identical"}:
            return _text("All {} arms give the same results as {}, in every seed.", len(rows), base)
        if all_of <= {"identical", "same"}:
            margin = _size(table.question.same or 0, table)
            return _text("All {} arms are the same as {}, within {}.", len(rows), base, margin)
        return _text("Unknown: no arm is shown to be ahead of {} or behind it.", base)
    if ahead and behind:
        text = "{} {} ahead of {}, {}; {} {} behind, {}."
        return _text(
            text,
            _who(ahead, rows, name), _ends(ahead, table), base, _by(ahead, table),
            _who(behind, rows, name, following=True), _ends(behind, table), _by(behind, table),
        )  # fmt: skip
    found, where = (ahead, "ahead of") if ahead else (behind, "behind")
    return _text("{} {} {} {}, {}.", _who(found, rows, name), _ends(found, table), where, base, _by(found, table))


def details(table: Table, name: Name) -> list[Markup]:
    """Below the headline: intervals, what is unknown, and the number of seeds."""
    rows = [row for row in table.compared if row.difference and row.difference.low is not None]
    if not rows:
        return []
    rows.sort(key=lambda row: -advantage(row, table))
    out = []
    shown = [row for row in rows if standing(row, table) in ("ahead", "behind")]
    unknown = [row for row in rows if standing(row, table) == "unknown"]
    if 0 < len(shown) <= FEW:
        parts = [
            _text("{} {} by {} (95 % interval {})", *of)
            for of in ((name(row), standing(row, table), _amount(row, table), _ends_of(row, table)) for row in shown)
        ]  # fmt: skip
        out.append(Markup("{}.").format(Markup("; ").join(parts)))
    if unknown and len(rows) > 1:
        if len(unknown) <= FEW:
            parts = [_text("{}, {}", name(row), _reach(row, table)) for row in unknown]
            out.append(Markup("Unknown: {}.").format(Markup("; ").join(parts)))
        else:
            ends = [end for row in unknown if row.difference for end in (row.difference.low, row.difference.high)]
            most = max(abs(end) for end in ends if end is not None)
            out.append(
                _text(
                    "{} arms are not told apart from the baseline. This does not mean that they are the same: a"
                    " difference of up to {} is possible.", len(unknown), _size(most, table),
                )
            )  # fmt: skip
    if identical := [row for row in rows if standing(row, table) == "identical"]:
        who = Markup(", ").join(name(row) for row in identical[:FEW])
        more = f" and {len(identical) - FEW} more" if len(identical) > FEW else ""
        out.append(_text("Identical to the baseline in every seed: {}{}.", who, more))
    if len(rows) == 1 and rows[0].p is not None:
        out.append(_text("p {}.", p_text(rows[0].p)))
    pairs = sorted({row.difference.n for row in rows if row.difference})
    many = f"{pairs[0]}" if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
    out.append(_text("{} seeds for each arm; the intervals are over {}.", many, table.over))
    return out


def of_sweep(one: Sweep, names: Sequence[Any]) -> Markup | None:
    """Where the arms of a sweep over one key are near their best. None for losses, two keys, and lost runs."""
    key = one.axes[0].name
    found = [(name, where) for name, where in zip(names, near_best(one), strict=True) if where]
    if not found:
        return None
    if len(found) > 1 and len({where for _, where in found}) == 1:
        every = f"All {len(found)} arms" if len(found) == len(names) else f"{len(found)} of {len(names)} arms"
        return _text("{} are near their best at {} {}.", every, key, found[0][1])
    found = [(name, where if where.count(",") < RANGES else _whole(where)) for name, where in found]
    said = [_text("{} is near its best at {} {}", found[0][0], key, found[0][1])]
    said += [_text("{} at {} {}", name, key, where) for name, where in found[1:]]
    return Markup("{}.").format(Markup("; ").join(said))


def _whole(ranges: str) -> str:
    """0.1, 0.3 to 1, 3, 5 → 0.1 to 5, with gaps."""
    first, *_, last = re.split(", | to ", ranges)
    return f"{first} to {last}, with gaps"


def _text(template: str, *values: Any) -> Markup:
    return Markup(template).format(*values)


def _has_baseline(table: Table) -> bool:
    return any(row.is_baseline for row in table.rows)


def _nothing(table: Table, name: Name) -> Markup:
    baseline = next((row for row in table.rows if row.is_baseline), None)
    if baseline and not baseline.arm.complete and len(table.rows) > 1:
        return _text("Nothing is compared: no run of {}, the baseline, is complete.", name(baseline))
    if len(table.rows) == 1 and table.rows[0].arm.complete:
        return _text("{} has nothing to be compared with.", name(table.rows[0]))
    if not any(row.arm.complete for row in table.rows):
        return Markup("Nothing is compared: no run is complete.")
    return Markup("Nothing is compared: these arms have no baseline.")


def _one(row: Row, table: Table, name: Name, base: Any) -> Markup:
    where = standing(row, table)
    if where in ("ahead", "behind"):
        of = "ahead of" if where == "ahead" else "behind"
        return _text("{} {} {} {} by {}.", name(row), _ends([row], table), of, base, _amount(row, table))
    if where == "same":
        margin = _size(table.question.same or 0, table)
        return _text("{} is the same as {}, within {}.", name(row), base, margin)
    if where == "identical":
        return _text("{} gives the same results as {}, in every seed.", name(row), base)
    return _text("Unknown: {}, {}, compared with {}.", name(row), _reach(row, table), base)


def _after_a_start(rows: Sequence[Row], ahead: Sequence[Row], table: Table, name: Name, base: Any) -> Markup:
    """Every arm is ahead after the first epoch: how it ends."""
    start, epochs = f"All {len(rows)} arms start ahead of", table.group.epochs
    if len(ahead) == len(rows):
        return _text("{} {}, and all end ahead, {}.", start, base, _by(ahead, table))
    if not ahead:
        return _text("{} {}; after {} epochs, none is shown to be ahead.", start, base, epochs)
    who = _text("only {} is", name(ahead[0])) if len(ahead) == 1 else f"{len(ahead)} of them are"
    return _text("{} {}; after {} epochs, {} still ahead, {}.", start, base, epochs, who, _by(ahead, table))


def _who(found: Sequence[Row], rows: Sequence[Row], name: Name, *, following: bool = False) -> Any:
    if len(found) == 1:
        return name(found[0])
    if len(found) == len(rows):
        return f"All {len(rows)} arms"
    return f"{len(found)}" if following else f"{len(found)} of {len(rows)} arms"


def _ends(found: Sequence[Row], table: Table) -> str:
    if table.question.at == "final":
        return "ends" if len(found) == 1 else "end"
    return "is" if len(found) == 1 else "are"


def _by(found: Sequence[Row], table: Table) -> str:
    """by 0.23 points, or by 1.38 to 1.85 points."""
    sizes = sorted(abs(row.difference.mean) for row in found if row.difference)
    first, last = (number(size, loss=table.question.is_loss) for size in (sizes[0], sizes[-1]))
    return f"by {first if first == last else f'{first} to {last}'}{_unit(table)}"


def _amount(row: Row, table: Table) -> str:
    return _size(abs(row.difference.mean), table) if row.difference else ""


def _size(value: float, table: Table) -> str:
    return f"{number(value, loss=table.question.is_loss)}{_unit(table)}"


def _unit(table: Table) -> str:
    return " in loss" if table.question.is_loss else " points"


def _ends_of(row: Row, table: Table) -> str:
    """The ends of an interval, without signs: 0.04 to 0.42."""
    assert row.difference and row.difference.low is not None and row.difference.high is not None
    ends = sorted(abs(end) for end in (row.difference.low, row.difference.high))
    return " to ".join(number(end, loss=table.question.is_loss) for end in ends)


def _reach(row: Row, table: Table) -> str:
    """from 0.03 behind to 0.36 ahead; or 0.17 to 1.02 ahead, but p is 0.062."""
    assert row.difference and row.difference.low is not None and row.difference.high is not None
    sign = -1 if table.question.measure.lower_is_better else 1
    low, high = sorted(sign * end for end in (row.difference.low, row.difference.high))
    near, far = (number(abs(end), loss=table.question.is_loss) for end in (low, high))
    if low < 0 < high:
        return f"from {near} behind to {far} ahead"
    if low < 0:
        near, far = far, near
    why = "there are too few seeds to test" if row.p is None else f"p is {p_text(row.p)}"
    return f"{near} to {far} {'behind' if low < 0 else 'ahead'}, but {why}"


def _count(rows: Sequence[Row], one: str, many: str) -> str:
    return f"{len(rows)} arm {one}" if len(rows) == 1 else f"{len(rows)} arms {many}"
