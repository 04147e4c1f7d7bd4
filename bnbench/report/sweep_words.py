"""A sweep in sentences: what was measured, the best value and the usable range of each arm, and the limits."""

from collections.abc import Iterator, Sequence

from bnbench.analysis.sweep import Line, Place, Point, Sweep, Usable
from bnbench.config.catalog import DATASETS
from bnbench.report.cells import mean_text

GUESSING = 1.6  # an accuracy below this multiple of chance is near guessing
MARKS = {Usable.YES: "●", Usable.MAYBE: "○", Usable.NO: " "}


def measured(one: Sweep) -> str:
    """What the numbers are: final valid %, 5 seeds."""
    question = one.question
    at = f"epoch {question.at} " if isinstance(question.at, int) else f"{question.at} "
    runs = {runs_of(point) for line in one.lines for point in line.points.values() if runs_of(point)}
    of = f"{min(runs)} to {max(runs)}" if len(runs) > 1 else f"{max(runs)}"
    name = f"{at if question.measure.per_epoch else ''}{question.measure.words}"
    return f"{name}, {of} seed{'' if of == '1' else 's'}"


def verdict(one: Sweep) -> str:
    """The values where each arm is near its best: within 1 point, or not ruled out. Empty for losses and two keys."""
    axis = one.axes[0]
    said = [
        f"{line.name} is near its best at {axis.name} {where}"
        for line, where in zip(one.lines, near_best(one), strict=True)
        if where
    ]
    return "; ".join(said) + "." if said else ""


def near_best(one: Sweep) -> list[str]:
    """For each line, the values where it is near its best, as in 0.01 to 1; empty for losses and two keys."""
    if one.question.is_loss or len(one.axes) > 1:
        return ["" for _ in one.lines]
    usable = [[point.place[0] for point in line.points.values() if point.usable is not Usable.NO] for line in one.lines]
    return [one.axes[0].ranges(places) if places else "" for places in usable]


def sentences(one: Sweep) -> list[str]:
    """The best value and the usable range of each arm, and what the numbers do not show."""
    return [*_found(one), *_limits(one)]


def _found(one: Sweep) -> Iterator[str]:
    for line in one.lines:
        if line.best is None:
            yield (
                f"{line.name}: every run diverged."
                if not any(point.mean for point in line.points.values())
                else f"{line.name}: a run diverged at every value, so none is called best."
            )
            continue
        text = f"{line.name} is best at {at(one, line.best.place)}: {best_text(line, one)}."
        if one.question.is_loss:
            yield text
            continue
        if len(one.axes) == 1:
            solid, hollow = (_ranges(one, line, which) for which in (Usable.YES, Usable.MAYBE))
            text += f" Within 1 point of that: {solid}."
            if hollow:
                text += f" Not ruled out by {line.best.mean.n if line.best.mean else 0} seeds: {hollow}."
        yield text


def best_text(line: Line, one: Sweep) -> str:
    """Its best mean: 90.30 ± 1.20 %."""
    assert line.best is not None
    loss = one.question.is_loss
    return mean_text(line.best.mean, loss=loss) + ("" if loss else " %")


def _ranges(one: Sweep, line: Line, which: Usable) -> str:
    """The values of one kind as ranges. A range of values that are not ruled out may pass over its neighbours."""
    return one.axes[0].ranges([point.place[0] for point in line.points.values() if point.usable is which])


def at(one: Sweep, place: Place) -> str:
    """A value in words: 0.1, or lr 0.1 with batch_size 64."""
    if len(one.axes) == 1:
        return f"{one.axes[0].name} {one.axes[0].text(place[0])}"
    return " with ".join(f"{axis.name} {axis.text(number)}" for axis, number in zip(one.axes, place, strict=True))


def _limits(one: Sweep) -> Iterator[str]:
    """What limits the conclusions."""
    for line in one.lines:
        for axis, end in one.at_edge(line):
            yield f"{line.name}: its best {axis.name} is the {end} here, so a better one may lie outside."
    lost = [
        f"{line.name} at {at(one, point.place)} ({len(point.arm.diverged)} of {runs_of(point)})"
        for line in one.lines
        for point in line.points.values()
        if point.arm.diverged and point.mean
    ]
    if lost:
        yield f"Some runs diverged, and the mean is of the others: {_few(lost)}. Such a value is never the best."
    missing = [
        f"{line.name} at {at(one, place)}" for line in one.lines for place in one.places if place not in line.points
    ]
    if missing:
        yield f"No runs: {_few(missing)}."
    unfinished = [
        f"{line.name} at {at(one, point.place)}"
        for line in one.lines
        for point in line.points.values()
        if not point.mean and not point.arm.diverged
    ]
    if unfinished:
        yield f"No finished run: {_few(unfinished)}."
    points = [point for line in one.lines for point in line.points.values() if not point.arm.diverged]
    if any(point.mean and point.mean.n == 1 for point in points) and not one.question.is_loss:
        yield "One seed has no interval, so ○ is missing where a value has one seed."
    if (level := guessing(one)) is not None:
        yield f"About {100 * level:.0f} % is guessing."


def guessing(one: Sweep) -> float | None:
    """The accuracy of a guess, if a mean is near it."""
    row = DATASETS.get(one.group.dataset)
    if row is None or one.question.is_loss:
        return None
    means = [point.mean.mean for line in one.lines for point in line.points.values() if point.mean]
    return 1 / row.classes if means and min(means) < GUESSING / row.classes else None


def _few(names: Sequence[str], most: int = 6) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def runs_of(point: Point) -> int:
    """Its finished runs."""
    return len(point.arm.complete) + len(point.arm.diverged)


def diverged_text(point: Point) -> str:
    """4/5 div., or nothing."""
    return f"{len(point.arm.diverged)}/{runs_of(point)} div." if point.arm.diverged else ""
