"""The sentences below a table: which arms differ, by how much, how certain that is, and the limits."""

from collections.abc import Callable, Iterator, Sequence

from bnbench.analysis.compare import Question, Row, Table
from bnbench.analysis.statistics import ALPHA, EXACT_PAIRS, sampling_error, smallest_p
from bnbench.report.columns import interval, number, p_text, signed

MANY = 6  # how many arms a sentence names


def summary(table: Table) -> list[str]:
    """Sentences on the whole table, also on rows that are not shown."""
    return [*_verdicts(table), *_limits(table)]


def _verdicts(table: Table) -> Iterator[str]:
    rows = [row for row in table.compared if row.difference and row.difference.low is not None]
    apart = sorted((row for row in rows if row.told_apart), key=lambda row: -_advantage(row, table.question))
    shown = [row for row in apart if row.p_holm is not None and row.p_holm <= ALPHA]
    for row in shown[:MANY]:
        yield f"{_gap(row, table.question)}; p {p_text(row.p_holm or 0)}{_holm(table)}."
    if shown[MANY:]:
        where = _names(shown[MANY:], lambda row: f"{row.arm.label} ({_where(row, table.question)})", len(shown))
        yield f"Also significant: {where}."
    if untested := [row for row in apart if row.p_holm is None]:
        yield f"No test is possible if every seed gives the same value: {_names(untested, _label)}."
    if hints := [row for row in apart if row.p_holm is not None and row not in shown]:
        gaps = _names(hints, lambda row: _gap(row, table.question), 3)
        yield f"Suggestive only, because p > {ALPHA:.2f}{_holm(table)}: {gaps}."
    if images := [row for row in rows if row.told_apart_over_seeds and not row.told_apart]:
        yield f"Significant over seeds, but not over test images as well: {_names(images, _label)}."
    unsure = [row for row in rows if not row.told_apart and row not in images]
    if torn := [row for row in unsure if row.p_holm is not None and row.p_holm <= ALPHA]:
        names = _names(torn, lambda row: f"{row.arm.label} (p {p_text(row.p_holm or 0)})")
        yield f"p is small, but the interval covers 0. A few seeds may dominate, so look at each seed: {names}."
    if alike := [row for row in unsure if row not in torn]:
        baselines = {row.baseline.label for row in alike if row.baseline}
        whom = baselines.pop() if len(baselines) == 1 else "the baseline"
        yield f"No significant difference from {whom} (not evidence of equality): {_names(alike, _label)}."


def _limits(table: Table) -> Iterator[str]:
    """Conclusions that the numbers do not support."""
    if single := [row for row in table.rows if len(row.arm.complete) == 1]:
        yield f"One seed is too few for a conclusion: {_names(single, _label)}."
    if pair := [row for row in table.compared if row.difference and row.difference.low is None and row not in single]:
        yield f"One pair of seeds is too few for a conclusion: {_names(pair, _label)}."
    if gone := [row for row in table.rows if row.arm.diverged and not row.arm.complete]:
        yield f"Every run diverged, so there is no mean: {_names(gone, _with_seeds)}."
    if lost := [row for row in table.rows if row.arm.diverged and row.arm.complete]:
        yield f"Means exclude diverged runs, so they are too good: {_names(lost, _with_seeds)}."
    if len(table.rows) > 1 and not table.compared:
        baselines = {row.baseline.label for row in table.rows if row.baseline and not row.is_baseline}
        yield (
            f"Nothing is compared: no run of {', '.join(sorted(baselines))}, the baseline, is complete."
            if baselines
            else "Nothing is compared: there is not exactly one arm without a norm; choose a baseline with --baseline."
            if table.question.baseline is None
            else f"Nothing is compared: {table.question.baseline} is not an arm in this table."
        )
    yield from _too_few(table)
    values = [row.value.mean for row in table.rows if row.value]
    if values and table.question.at == "best":
        yield "best: each seed's best epoch is chosen on the images it is measured on, so it is too good."
    if values and table.question.metric in ("valid_accuracy", "test_accuracy"):
        yield _on_images(table, max(values))


def _too_few(table: Table) -> Iterator[str]:
    """Arms with too few seeds: the test of n pairs never gives a p below 2/2ⁿ."""
    pairs = [row.difference.n for row in table.compared if row.difference and row.difference.p is not None]
    short = [
        row
        for row in table.compared
        if (gap := row.difference) and gap.p is not None and gap.paired and smallest_p(gap.n) * len(pairs) > ALPHA
    ]
    if short:
        fewest = min(row.difference.n for row in short if row.difference)
        least = p_text(min(1.0, smallest_p(fewest) * len(pairs)))
        whom = "" if len(short) == len(pairs) else f" of {_names(short, _label)}"
        enough = next((n for n in range(2, EXACT_PAIRS) if smallest_p(n) * len(pairs) <= ALPHA), EXACT_PAIRS)
        yield (
            f"Too few seeds for a test{whom}: with {fewest} pairs, p cannot be below {least}{_holm(table)};"
            f" {enough} seeds would be enough."
        )


def _on_images(table: Table, accuracy: float) -> str:
    """The error from having only one test set. More seeds do not reduce it."""
    run = next(run for row in table.rows for run in row.arm.complete)
    on_test = table.question.metric == "test_accuracy" or not table.group.held_out
    images = run.test_images if on_test else table.group.valid_images
    error = number(sampling_error(accuracy, images))
    return (
        f"Intervals are over seeds, on the same {images:,} {'test' if on_test else 'held-out'} images. On other images,"
        f" an accuracy near {number(accuracy)} % could differ by {error} points (95 %)"
        + ("." if table.question.bootstrap or not on_test else "; --bootstrap includes that.")
    )


def _holm(table: Table) -> str:
    n = sum(row.p_holm is not None for row in table.compared)
    return f" (Holm, {n} comparisons)" if n > 1 else ""


def _advantage(row: Row, question: Question) -> float:
    assert row.difference is not None
    return row.difference.mean * (-1 if question.measure.lower_is_better else 1)


def _gap(row: Row, question: Question) -> str:
    gap, loss = row.difference, question.is_loss
    assert gap is not None and gap.low is not None and gap.high is not None and row.baseline is not None
    where = "ahead of" if _advantage(row, question) > 0 else "behind"
    amount = f"{signed(gap.mean, loss=loss)}{'' if loss else ' points'}"
    how = f"{gap.n} pairs" if gap.paired else "unpaired"
    return f"{row.arm.label} is {where} {row.baseline.label}: {amount} {interval(gap.low, gap.high, loss=loss)}, {how}"


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
