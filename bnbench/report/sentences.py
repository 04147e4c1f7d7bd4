"""The sentences below a table: first the answers, then what limits them."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from bnbench.analysis.compare import Question, Row, Table
from bnbench.analysis.maxt import FEWEST_PAIRS
from bnbench.analysis.statistics import ALPHA, sampling_error, t_quantile
from bnbench.report.cells import about, interval, margin_text, number, p_text, shares, signed

MANY = 6  # how many arms a sentence names
TRIED = 2  # sentences on arms that have the seeds which usually show sameness


class Limit(NamedTuple):
    """A limit of the answers: a few words for the line that names all limits, and the sentence of --explain."""

    short: str  # empty for what holds for every table of its kind
    long: str


def summary(table: Table, *, explain: bool = True) -> list[str]:
    """Sentences on the whole table, also on rows that are not shown. Without `explain`, limits take two lines."""
    limits = list(_limits(table))
    if explain:
        return [*_answers(table), *(limit.long for limit in limits)]
    named = [limit.short for limit in limits if limit.short]
    folded = [f"Take care: {'; '.join(named)}."] if named else []
    return [*_answers(table), *folded, *(["--explain says what limits these answers."] if limits else [])]


def _answers(table: Table) -> Iterator[str]:
    rows, question = (
        [row for row in table.compared if row.difference and row.difference.low is not None],
        table.question,
    )
    ahead = sorted(rows, key=lambda row: -_advantage(row, question))
    yield from _same(rows, question)
    shown = [row for row in ahead if row.verdict == "different"]
    for row in shown[:MANY]:
        yield f"Different: {_gap(row, question)}, p {p_text(row.p or 0)}."
    if more := shown[MANY:]:
        where = _names(more, lambda row: f"{row.arm.label} ({_where(row, question)})", len(more))
        yield f"Also different: {where}."
    if hints := [row for row in ahead if row.apart and not row.different and row.p is not None]:
        gaps = _names(hints, lambda row: f"{_gap(row, question)}, p {p_text(row.p or 0)}", 3)
        yield f"Perhaps different, but p is above {ALPHA:.2f}: {gaps}."
    torn = [row for row in rows if not row.apart and row.p is not None and row.p <= ALPHA]
    if images := [row for row in torn if _apart_over_seeds(row)]:
        yield f"Different on these images, but unknown on other images: {_names(images, _label)}."
    if outliers := [row for row in torn if row not in images]:
        names = _names(outliers, lambda row: f"{row.arm.label} (p {p_text(row.p or 0)})")
        yield f"Unknown: {names}. p is small, but the interval covers 0. Look at each seed: a few may decide."
    if identical := [row for row in table.compared if row.tested.why == "identical"]:
        yield f"Identical to {_baseline(identical)} in every seed: {_names(identical, _label)}."
    if same := [row for row in rows if row.tested.why == "no spread"]:
        yield f"No test is possible if every seed gives the same value: {_names(same, _label)}."
    unknown = [row for row in rows if not row.apart and row.p is not None and row not in torn]
    if question.same is not None:
        yield from _undecided([row for row in rows if row.verdict == "unknown"], table)
    elif unknown:
        yield f"Unknown: {_possible(unknown, question)}."
    if few := [row for row in table.compared if row.tested.why == "too few seeds"]:
        yield f"Too few seeds to test: {_names(few, _label)}. A test needs {FEWEST_PAIRS} seeds that both arms have."
    if of := _uncertainty([row for row in [*unknown, *images] if shares(row.difference)]):
        yield of
    yield from _nothing(table)


def _same(rows: Sequence[Row], question: Question) -> Iterator[str]:
    """Which arms are the same within the margin."""
    same = [row for row in rows if row.verdict == "same"]
    if equal := [row for row in same if not row.different]:
        yield f"Same within {_margin(question)}: {_names(equal, _label)}."
    if smaller := [row for row in same if row.different]:
        gaps = _names(smaller, lambda row: f"{row.arm.label} ({_amount(row, question)})")
        yield f"Same within {_margin(question)}, but there is a difference, which is smaller: {gaps}."


def _undecided(rows: Sequence[Row], table: Table) -> Iterator[str]:
    """Which arms are neither the same nor different, and how many seeds would decide."""
    never, more, tried = [], {}, 0
    for row in rows:
        assert row.difference is not None
        if row.sameness is None:
            more[row] = "at least three seeds are needed"
        elif row.sameness.seeds is None:
            never.append(row)
        elif row.sameness.seeds > row.difference.n:
            more[row] = f"{row.sameness.seeds} seeds would decide"
        elif tried < TRIED:
            yield _tried(row, table.question)
            tried += 1
        else:
            more[row] = _if_seen(row)
    if never:
        images = never[0].arm.complete[0].test_images
        yield f"Unknown: no number of seeds decides on {images:,} images: {_names(never, _label)}."
    if more:
        yield f"Unknown: {_names(list(more), lambda row: f'{row.arm.label} ({more[row]})')}."


def _tried(row: Row, question: Question) -> str:
    """An arm that has the seeds which usually show sameness."""
    assert row.difference is not None and row.sameness is not None
    n = row.difference.n
    gap = f"{signed(row.difference.mean, loss=question.is_loss)}{'' if question.is_loss else ' points'}"
    return (
        f"Unknown: {row.arm.label}. If the arms were equal, {n} seeds would answer 'same' in 4 of 5 studies."
        f" If the difference seen is true ({gap}), {_if_seen(row)}."
    )


def _if_seen(row: Row) -> str:
    enough = row.sameness.seeds_if_seen if row.sameness else None
    return "no number of seeds decides" if enough is None else f"{about(enough)} seeds would decide"


def _margin(question: Question) -> str:
    assert question.same is not None
    return margin_text(question.same, loss=question.is_loss) + ("" if question.is_loss else " points")


def _possible(rows: Sequence[Row], question: Question) -> str:
    """a (a difference of up to 0.21 points is possible), b (0.35)"""
    unit = "" if question.is_loss else " points"

    def most(row: Row) -> str:
        assert row.difference and row.difference.low is not None and row.difference.high is not None
        return number(max(-row.difference.low, row.difference.high), loss=question.is_loss)

    first = f"{rows[0].arm.label} (a difference of up to {most(rows[0])}{unit} is possible)"
    more = _names(rows[1:], lambda row: f"{row.arm.label} ({most(row)})", MANY - 1)
    return f"{first}, {more}" if more else first


def _uncertainty(rows: Sequence[Row]) -> str:
    """Where the uncertainty of undecided differences comes from, and what would reduce it."""
    parts = [sum(parts) for parts in zip(*(row.difference.parts for row in rows if row.difference), strict=True)]
    if not parts or not sum(parts):
        return ""
    seeds, images, both = (f"{100 * part / sum(parts):.0f} %" for part in parts)
    helps = "more seeds help" if parts[1] < sum(parts) / 2 else "more test images help, more seeds do not help much"
    which = "this uncertainty" if len(rows) == 1 else "these uncertainties"
    return f"Of {which} {seeds} is seeds, {images} images, {both} both: {helps}."


def _nothing(table: Table) -> Iterator[str]:
    if len(table.rows) < 2 or table.compared:
        return
    baselines = {row.baseline.label for row in table.rows if row.baseline and not row.is_baseline}
    if baselines:
        yield f"Nothing is compared: no run of {', '.join(sorted(baselines))}, the baseline, is complete."
    elif table.question.baseline is None:
        yield "Nothing is compared: there is not exactly one arm without a norm. Choose a baseline with --baseline."
    else:
        yield f"Nothing is compared: {table.question.baseline} is not an arm in this table."


def _limits(table: Table) -> Iterator[Limit]:
    """Conclusions that the numbers do not support."""
    single = [row for row in table.rows if len(row.arm.complete) == 1]
    pair = [row for row in table.compared if row.difference and row.difference.n == 1 and row not in single]
    for rows, what in ((single, "one seed"), (pair, "one pair of seeds")):
        if rows:
            names = _names(rows, _label)
            yield Limit(f"{what} ({names})", f"{what.capitalize()} supports no conclusion about other seeds: {names}.")
    if gone := [row for row in table.rows if row.arm.diverged and not row.arm.complete]:
        names = _names(gone, _with_seeds)
        yield Limit(f"no mean ({names})", f"Every run diverged, so there is no mean: {names}.")
    if lost := [row for row in table.rows if row.arm.diverged and row.arm.complete]:
        names = _names(lost, _with_seeds)
        yield Limit(
            f"diverged runs left out ({names})", f"Means leave out diverged runs, so they are too good: {names}."
        )
    yield from _copies(table)
    if table.question.at == "best" and any(row.value for row in table.rows):
        short = "each run's best epoch is chosen on the images that measure it, so expect worse on new images"
        yield Limit(short, f"best: {short}.")
    if any(row.difference and not row.difference.paired for row in table.compared):
        rows = [row for row in table.compared if row.difference and not row.difference.paired]
        names = _names(rows, _label)
        long = f"Unpaired arms share too few seeds with the baseline: {names}. Welch's test compares them, and Holm's"
        yield Limit(
            f"unpaired ({names})", f"{long} method corrects p for these arms alone. Their intervals are over seeds."
        )
    yield from _meaning(table)


def _copies(table: Table) -> Iterator[Limit]:
    """Arms that have one config under several names."""
    if copies := [row for row in table.compared if row.tested.alias_of]:
        names = _names(copies, lambda row: f"{row.arm.label} (as {row.tested.alias_of})")
        yield Limit(
            f"one config, one comparison ({names})", f"These arms have the config of another: {names}. They count once."
        )
    if twins := [row for row in table.compared if row.tested.twin]:
        names = _names(twins, lambda row: f"{row.arm.label} and {row.tested.twin}")
        long = f"One config gave different results under two names, so both count as comparisons: {names}."
        yield Limit(f"one config, different results ({names})", long)


def _meaning(table: Table) -> Iterator[Limit]:
    """What the intervals and p refer to."""
    values = [row.value.mean for row in table.rows if row.value]
    if table.over != "seeds":
        yield Limit("", "Intervals cover the choice of the seeds and of the test images.")
    elif values and table.question.metric in ("valid_accuracy", "test_accuracy"):
        yield Limit("", _on_images(table, max(values)))
    if table.question.same is not None:
        long = f"Same: the 90 % interval lies within ±{_margin(table.question)}. This is about one arm alone; it is not"
        yield Limit("", f"{long} corrected for the number of arms. Choose the margin before you train.")
    if any(row.p is not None for row in table.compared):
        most = max(row.tested.comparisons for row in table.compared)
        many = f"p is for all {most} comparisons with one baseline together" if most > 1 else "p is for one comparison"
        long = f"An interval is about one difference alone; {many}. Different needs both: an interval without 0, and p"
        yield Limit("", f"{long} of at most {ALPHA:.2f}.")


def _on_images(table: Table, accuracy: float) -> str:
    """The error from having only one test set. More seeds do not reduce it."""
    on_test = table.question.metric == "test_accuracy" or not table.group.held_out
    tested = (run.test_images for row in table.rows for run in row.arm.complete if run.tested)
    images = next(tested) if on_test else table.group.valid_images
    error = number(sampling_error(accuracy, images))
    return (
        f"Intervals are over seeds, on the same {images:,} {'test' if on_test else 'held-out'} images. On other images,"
        f" an accuracy near {number(accuracy)} % could differ by {error} points (95 %)."
    )


def _apart_over_seeds(row: Row) -> bool:
    """Whether the interval would leave out 0 on the same test images."""
    gap = row.difference
    if gap is None or gap.parts is None or gap.n < 2:
        return False
    return abs(gap.mean) > t_quantile(gap.n - 1) * math.sqrt(gap.parts[0] + gap.parts[2])


def _advantage(row: Row, question: Question) -> float:
    assert row.difference is not None
    return row.difference.mean * (-1 if question.measure.lower_is_better else 1)


def _gap(row: Row, question: Question) -> str:
    assert row.baseline is not None
    where = _where(row, question)
    name = f"{row.arm.label} is {'ahead of' if where == 'ahead' else where} {row.baseline.label}"
    return f"{name}: {_amount(row, question)}"


def _amount(row: Row, question: Question) -> str:
    """+1.05 points [+0.87, +1.23]"""
    gap, loss = row.difference, question.is_loss
    assert gap is not None and gap.low is not None and gap.high is not None
    return f"{signed(gap.mean, loss=loss)}{'' if loss else ' points'} {interval(gap.low, gap.high, loss=loss)}"


def _baseline(rows: Sequence[Row]) -> str:
    labels = {row.baseline.label for row in rows if row.baseline}
    return labels.pop() if len(labels) == 1 else "the baseline"


def _label(row: Row) -> str:
    return row.arm.label


def _with_seeds(row: Row) -> str:
    return f"{row.arm.label} ({row.arm.counts})"


def _where(row: Row, question: Question) -> str:
    return "ahead" if _advantage(row, question) > 0 else "behind"


def _names(rows: Sequence[Row], text: Callable[[Row], str], many: int = MANY) -> str:
    names = [text(row) for row in rows[:many]]
    more = len(rows) - len(names)
    return ", ".join([*names, *([f"and {more} more"] if more else [])])
