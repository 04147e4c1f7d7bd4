"""What a table says in words: who is ahead, by how much, how certainly, and what cannot be said."""

from collections.abc import Callable, Iterator, Sequence

from bnbench.columns import interval, number, p_text
from bnbench.compare import Question, Row, Table
from bnbench.inference import ALPHA, sampling_error, smallest_p

MANY = 6  # arms that are named one by one


def summary(table: Table) -> list[str]:
    """Sentences on a whole table, before rows are left out of it."""
    return [*_verdicts(table), *_limits(table)]


def _verdicts(table: Table) -> Iterator[str]:
    rows = [row for row in table.compared if row.difference and row.difference.low is not None]
    apart = sorted((row for row in rows if row.told_apart), key=lambda row: -_advantage(row, table.question))
    shown = [row for row in apart if row.p_holm is not None and row.p_holm <= ALPHA]
    for row in shown[:MANY]:
        yield f"{_gap(row, table.question)}; p {p_text(row.p_holm or 0)}{_holm(table)}."
    if shown[MANY:]:
        yield f"Told apart as surely: {_names(shown[MANY:], _difference)}."
    if hints := [row for row in apart if row not in shown]:
        gaps = _names(hints, lambda row: _gap(row, table.question) if len(hints) == 1 else _difference(row))
        yield f"A hint and no more, since p stays above {ALPHA:.2f}{_holm(table)}: {gaps}."
    if torn := [row for row in rows if not row.told_apart and row.p_holm is not None and row.p_holm <= ALPHA]:
        names = _names(torn, lambda row: f"{row.arm.label} (p {p_text(row.p_holm or 0)})")
        yield f"p is small, yet an interval covers 0; a few seeds may weigh a lot, so look at each: {names}."
    if alike := [row for row in rows if not row.told_apart and row not in torn]:
        baselines = {row.baseline.label for row in alike if row.baseline}
        whom = baselines.pop() if len(baselines) == 1 else "the baseline"
        names = _names(alike, lambda row: row.arm.label)
        yield f"Not told apart from {whom}, which is no proof of being the same: {names}."


def _limits(table: Table) -> Iterator[str]:
    """What the numbers cannot carry."""
    if single := [row for row in table.rows if len(row.arm.complete) == 1]:
        yield f"One seed supports no conclusion: {_names(single, lambda row: row.arm.label)}."
    if gone := [row for row in table.rows if row.arm.diverged and not row.arm.complete]:
        yield f"Every run diverged, so there is no mean: {_names(gone, _with_seeds)}."
    if lost := [row for row in table.rows if row.arm.diverged and row.arm.complete]:
        yield f"Means leave diverged runs out, and so flatter: {_names(lost, _with_seeds)}."
    if len(table.rows) > 1 and not table.compared:
        baselines = {row.baseline.label for row in table.rows if row.baseline}
        yield (
            f"Nothing is compared: no run of {', '.join(sorted(baselines))}, the baseline, is complete."
            if baselines
            else "Nothing is compared: there is no one arm without a norm here; --baseline names another."
            if table.question.baseline is None
            else f"Nothing is compared: {table.question.baseline} is not among these."
        )
    yield from _too_few(table)
    values = [row.value.mean for row in table.rows if row.value]
    if values and table.question.at == "best":
        yield "best: each seed's best epoch, chosen on the very images that it is measured on, so too good."
    if values and table.question.metric in ("valid_accuracy", "test_accuracy"):
        yield _on_images(table, max(values))


def _too_few(table: Table) -> Iterator[str]:
    tested = [row.difference.n for row in table.compared if row.difference and row.difference.p is not None]
    paired = [row.difference.n for row in table.compared if row.difference and row.difference.paired]
    if tested and len(paired) == len(table.compared) and (least := smallest_p(max(tested)) * len(tested)) > ALPHA:
        enough = next(n for n in range(2, 60) if smallest_p(n) * len(tested) <= ALPHA)
        yield (
            f"Too few seeds for a test: of {max(tested)} pairs no p is below {p_text(min(1.0, least))}{_holm(table)},"
            f" however large the difference; {enough} seeds would do."
        )


def _on_images(table: Table, accuracy: float) -> str:
    """The error of having one test set, which no number of seeds makes smaller."""
    run = next(run for row in table.rows for run in row.arm.complete)
    on_test = table.question.metric == "test_accuracy" or not table.group.held_out
    images = run.test_images if on_test else table.group.valid_images
    error = number(sampling_error(accuracy, images))
    return (
        f"Intervals are over seeds, on the same {images:,} {'test' if on_test else 'held-out'} images: on others, an"
        f" accuracy near {number(accuracy)} % could lie {error} points away (95 %)"
        + ("." if table.question.bootstrap or not on_test else "; --bootstrap counts that in.")
    )


def _holm(table: Table) -> str:
    n = sum(row.p_holm is not None for row in table.compared)
    return f" (Holm, {n} comparisons)" if n > 1 else ""


def _advantage(row: Row, question: Question) -> float:
    assert row.difference is not None
    return row.difference.mean * (-1 if question.is_loss else 1)


def _gap(row: Row, question: Question) -> str:
    gap, loss = row.difference, question.is_loss
    assert gap is not None and gap.low is not None and gap.high is not None and row.baseline is not None
    where = "ahead of" if _advantage(row, question) > 0 else "behind"
    amount = f"{number(abs(gap.mean), loss=loss)}{'' if loss else ' points'}"
    how = f"{gap.n} pairs" if gap.paired else "unpaired"
    return (
        f"{row.arm.label} is {where} {row.baseline.label} by {amount} {interval(gap.low, gap.high, loss=loss)}, {how}"
    )


def _with_seeds(row: Row) -> str:
    return f"{row.arm.label} ({row.arm.seeds})"


def _difference(row: Row) -> str:
    assert row.difference is not None
    return f"{row.arm.label} ({'+' if row.difference.mean > 0 else '-'})"


def _names(rows: Sequence[Row], text: Callable[[Row], str]) -> str:
    names = [text(row) for row in rows[:MANY]]
    more = len(rows) - len(names)
    return ", ".join([*names, *([f"and {more} more"] if more else [])])
