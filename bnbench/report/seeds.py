"""A family of arms → one picture of every seed: values, and differences to the baseline, with their text."""

from dataclasses import replace
from functools import partial

from bnbench.analysis.compare import Question, by_seed
from bnbench.analysis.statistics import common_seeds
from bnbench.report.cells import bounds, number, signed
from bnbench.report.charts import strips
from bnbench.report.charts.palette import BASELINE as FIRST
from bnbench.report.columns import BASELINE, available
from bnbench.report.family import Family, most_different
from bnbench.report.picture import Picture
from bnbench.report.verdict import standing

MOST = 40  # arms in one picture, the most different ones; the tables have all
GROUPS = {
    "ahead": "Ahead of {}",
    "same": "The same as {}",
    "identical": "Identical to {}",
    "unknown": "Not told apart from {}",
    "behind": "Behind {}",
}


def seeds(family: Family) -> Picture | None:
    """Every seed: of few arms the values beside the differences, of many arms the differences. None without values."""
    few = not family.others
    shown = [part for part in (points(family) if few else None, differences(family)) if part]
    if not shown:
        shown = [part for part in (points(family),) if part]
    if not shown:
        return None
    over = family.table.over
    about = f"A dot is one seed. Below the dots, the diamond is their mean and the line its 95 % interval over {over}."
    title = "Seed by seed" if few else shown[0][0].title
    name = "seeds" if few else "ranking"
    text = " ".join(text for _, text in shown)
    if len(shown) == 1:  # the picture's title says it
        shown = [(replace(shown[0][0], title=""), text)]
    return Picture(name, title, about, text, partial(strips.draw, _aligned([panel for panel, _ in shown])))


def _aligned(shown: list[strips.Panel]) -> list[strips.Panel]:
    """Two panels with the same strips: an arm that the second lacks has an empty strip there."""
    if len(shown) < 2:
        return shown
    values, gaps_of = shown
    there = {strip.name: strip for strip in gaps_of.strips}
    empty = [replace(strip, seeds={}, mean=None, low=None, high=None, value="", about="") for strip in values.strips]
    filled = [there.get(strip.name, replace(strip, about=BASELINE if strip.look == FIRST else "")) for strip in empty]
    return [values, replace(gaps_of, strips=filled)]


def points(family: Family) -> tuple[strips.Panel, str] | None:
    """The question's metric for every seed, with mean and interval, and its text. None if there is no value."""
    table = family.table
    question, cell = table.question, available(table)["value"].cell
    loss, scale = question.is_loss, 1 if question.is_loss else 100
    found, says = [], []
    for row in [*family.first, *family.others][:MOST]:
        if row.value is None:
            continue
        values = by_seed(row.arm, question)
        low, high, _ = bounds(row.value, loss=loss)
        about = "" if row.value.half is None else cell(row).removeprefix(number(row.value.mean, loss=loss)).strip()
        found.append(
            strips.Strip(
                family.name(row.arm),
                family.look(row.arm),
                {seed: scale * value for seed, value in values.items()},
                scale * row.value.mean,
                None if low is None else scale * low,
                None if high is None else scale * high,
                number(row.value.mean, loss=loss),
                about.split(" over ")[0],
            )
        )
        says.append(f"{row.arm.label} {_with(cell(row), len(values), 'seed')}")
    if not found:
        return None
    line = next((scale * row.value.mean for row in table.rows if row.is_baseline and row.value), None)
    title = f"{_asked(question)} of each seed{'' if loss else ', %'}"
    text = f"{title}, with means and 95 % intervals over {table.over}: {'; '.join(says)}."
    return strips.Panel(title, found, line), text


def differences(family: Family) -> tuple[strips.Panel, str] | None:
    """The difference of each seed to the baseline's run with that seed, and its text. None if nothing is compared."""
    table = family.table
    question, cell = table.question, available(table)["difference"].cell
    loss, scale = question.is_loss, 1 if question.is_loss else 100
    found, says = [], []
    rows = [row for row in most_different([*family.first, *family.others], MOST) if row.difference and row.baseline]
    if family.others:
        order = list(GROUPS)
        sign = 1 if question.measure.lower_is_better else -1
        rows.sort(
            key=lambda row: (order.index(standing(row, table)), sign * (row.difference.mean if row.difference else 0))
        )
    for row in rows:
        gap, baseline = row.difference, row.baseline
        assert gap is not None and baseline is not None
        ours, theirs = by_seed(row.arm, question), by_seed(baseline, question)
        pairs = {seed: scale * (ours[seed] - theirs[seed]) for seed in common_seeds(ours, theirs)}
        ends = (gap.low, gap.high)
        found.append(
            strips.Strip(
                family.name(row.arm),
                family.look(row.arm),
                pairs,
                scale * gap.mean,
                None if gap.low is None else scale * gap.low,
                None if gap.high is None else scale * gap.high,
                signed(gap.mean, loss=loss),
                "" if None in ends else " to ".join(signed(end, loss=loss) for end in ends if end is not None),
                GROUPS[standing(row, table)].format(family.name(baseline)) if family.others else "",
            )
        )
        says.append(f"{row.arm.label} {_with(cell(row), len(pairs), 'pair')}")
    if not found or family.baseline is None:
        return None
    title = f"{_asked(question)} minus {{}}'s, seed by seed{'' if loss else ', percentage points'}"
    full, short = title.format(family.baseline.label), title.format(family.name(family.baseline))
    beside = f"Minus {family.name(family.baseline)}'s, same seed{'' if loss else ', points'}"
    text = f"{full}, with means and 95 % intervals over {table.over}: {'; '.join(says)}."
    return strips.Panel(short if family.others else beside, found, 0.0, sign=True), text


def _with(cell: str, n: int, what: str) -> str:
    return cell if what in cell else f"{cell} ({n} {what}{'s' if n > 1 else ''})"


def _asked(question: Question) -> str:
    what = question.measure.title
    if isinstance(question.at, int):
        return f"{what} after epoch {question.at}"
    return what if not question.measure.per_epoch else f"{question.at.title()} {what.lower()}"
