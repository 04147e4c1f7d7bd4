"""A family of arms → pictures of what happens by epoch: differences, curves, ratios, and a panel for each arm."""

from collections.abc import Iterator, Sequence
from functools import partial

from bnbench.analysis.compare import Row
from bnbench.analysis.curves import EpochMeans, epoch_means, gaps, ratios
from bnbench.analysis.measures import CURVES, MEASURES
from bnbench.report.cells import bounds, mean_text, number, signed
from bnbench.report.charts import lines, panels
from bnbench.report.family import Family, most_different
from bnbench.report.picture import Picture

PANELS = 24  # arms that have a panel each


def lead(family: Family) -> Picture | None:
    """The paired difference to the baseline after each epoch. None without differences after two epochs or more."""
    table, baseline = family.table, family.baseline
    question = table.question
    if baseline is None or family.others or not question.measure.per_epoch:
        return None
    traces, seeds, says = [], [], []
    for row in family.first:
        found = [] if row.is_baseline else gaps(row.arm, baseline, question, table.group.epochs)
        if len(found) < 2:
            continue
        scale = 1 if question.is_loss else 100
        last = found[-1]
        seeds.append(last.n)
        says.append(f"{row.arm.label} {', '.join(signed(gap.mean, loss=question.is_loss) for gap in found)}")
        traces.append(
            lines.Trace(
                family.name(row.arm),
                family.look(row.arm),
                range(1, len(found) + 1),
                [scale * gap.mean for gap in found],
                [None if gap.low is None else scale * gap.low for gap in found],
                [None if gap.high is None else scale * gap.high for gap in found],
                signed(last.mean, loss=question.is_loss),
            )
        )
    if not traces:
        return None
    name = family.name(baseline)
    ahead, behind = f"ahead of {name}", f"behind {name}"
    what = f"{question.measure.title} minus {name}'s" + ("" if question.is_loss else ", points")
    axes = lines.Axes(
        "epoch",
        level=0.0,
        sign=True,
        above=behind if question.measure.lower_is_better else ahead,
        below=ahead if question.measure.lower_is_better else behind,
    )
    about = f"Mean over {_range(seeds)} seeds, paired by seed{_intervals(traces)}. The line at 0 is {name}."
    text = f"{question.measure.title} minus {baseline.label}'s after each epoch: {'; '.join(says)}."
    return Picture("differences-by-epoch", f"{what}, by epoch", about, text, partial(lines.draw, traces, axes))


def curves(family: Family, across: str = "epoch", metrics: Sequence[str] = CURVES) -> Iterator[Picture]:
    """Loss and accuracy, training and validation. No pictures if all runs diverged."""
    rows = [row for row in family.first if row.arm.complete]
    if not rows:
        return
    means = [list(epoch_means([row.arm])) for row in rows]
    seeds = [len(row.arm.complete) for row in rows]
    for metric in metrics:
        measure, loss = MEASURES[metric], MEASURES[metric].is_loss
        traces = [_trace(family, row, of, metric, across) for row, of in zip(rows, means, strict=True)]
        ends = "; ".join(_end(row, of, metric, across) for row, of in zip(rows, means, strict=True))
        when = f"After epoch {means[0][-1].epoch}: " if across == "epoch" else ""
        title = f"{measure.title} by {across}{f', {measure.unit}' if measure.unit else ''}"
        axes = lines.Axes(
            "epoch" if across == "epoch" else "seconds of training",
            whole=across == "epoch",
            least=0.0,
            most=None if loss else 100.0,
        )
        median = "" if across == "epoch" else "; each epoch takes the arm's median time"
        about = f"Mean over {_range(seeds)} seeds{_intervals(traces)}{median}.{_lost(family)}"
        text = f"{measure.title} by {across}, {_of(seeds)}. {when}{ends}.{_lost(family)}"
        yield Picture(f"{metric}-by-{across}", title, about, text, partial(lines.draw, traces, axes))


def _trace(family: Family, row: Row, means: Sequence[EpochMeans], metric: str, across: str) -> lines.Trace:
    loss = MEASURES[metric].is_loss
    scale = 1 if loss else 100
    of = [one.means[metric] for one in means]
    seconds = row.epoch_seconds or 0.0
    ends = [bounds(mean, loss=loss) for mean in of]
    return lines.Trace(
        family.name(row.arm),
        family.look(row.arm),
        [one.epoch * (1 if across == "epoch" else seconds) for one in means],
        [scale * mean.mean for mean in of],
        [None if low is None else scale * low for low, _, _ in ends],
        [None if high is None else scale * high for _, high, _ in ends],
        number(of[-1].mean, loss=loss),
    )


def _end(row: Row, means: Sequence[EpochMeans], metric: str, across: str) -> str:
    loss, last = MEASURES[metric].is_loss, means[-1]
    value = f"{row.arm.label} {mean_text(last.means[metric], loss=loss)}{'' if loss else ' %'}"
    return value if across == "epoch" else f"{value} after {last.epoch * (row.epoch_seconds or 0):.1f} s"


def _lost(family: Family) -> str:
    lost = [f"{row.arm.label} ({row.arm.counts})" for row in family.table.rows if row.arm.diverged]
    return f" Diverged runs are in no mean: {', '.join(lost)}." if lost else ""


def _range(seeds: Sequence[int]) -> str:
    return f"{min(seeds)}" if min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}"


def _intervals(traces: Sequence[lines.Trace]) -> str:
    if not any(list(trace.intervals()) for trace in traces):
        return ""
    kind = "bands" if len(traces) <= lines.BANDS and len(traces[0].x) > 1 else "upright bars"
    return f"; {kind}: 95 % intervals over seeds"


def _of(seeds: Sequence[int]) -> str:
    """The number of seeds, in words."""
    if (many := max(seeds)) == 1:
        return "one seed each, without intervals"
    with_them = "with 95 % intervals over seeds" if min(seeds) > 1 else "with 95 % intervals where there are several"
    return f"means over {_range(seeds)} seeds, {with_them}" if many else ""


def small(family: Family, rows: Sequence[Row], number_of: str) -> Picture | None:
    """A panel for each arm of many: the metric by epoch, the baseline dashed, the other arms grey."""
    metric = family.table.question.metric
    if metric not in CURVES:
        metric = "valid_accuracy"
    loss = MEASURES[metric].is_loss
    every = [*family.first, *family.others]
    shown_arms = {id(row) for row in most_different(every, PANELS)}
    drawn = [row for row in every if row.arm.complete and (row.is_baseline or id(row) in shown_arms)]
    of = {row.arm.label: _trace(family, row, list(epoch_means([row.arm])), metric, "epoch") for row in drawn}
    dashed = next((of[row.arm.label] for row in drawn if row.is_baseline), None)
    scale = panels.scale_of([panels.Panel("", "", [trace]) for trace in of.values()])
    shown = [
        panels.Panel(
            family.name(row.arm),
            family.look(row.arm).colour,
            [of[row.arm.label]],
            [trace for label, trace in of.items() if label != row.arm.label and trace is not dashed],
            dashed,
        )
        for row in rows
        if row.arm.label in of and not row.is_baseline
    ]
    if not shown:
        return None
    title = f"{MEASURES[metric].title} by epoch{'' if loss else ', %'}: {number_of}"
    about = "A panel for each arm, with its 95 % band over seeds; dashed: the baseline; grey: all other arms."
    ends = "; ".join(f"{panel.title} {panel.front[0].end}" for panel in shown)
    return Picture(
        f"{metric}-panels", title, about, f"{title}. At the end: {ends}.",
        lambda wide: panels.draw(shown, wide, scale),
    )  # fmt: skip


def ratio(family: Family, metric: str = "train_loss") -> Picture | None:
    """A loss divided by the baseline's with the same seed, by epoch. None without pairs, or if a loss is 0."""
    baseline = family.baseline
    if baseline is None or family.others:
        return None
    traces, seeds, ends = [], [], []
    for row in family.first:
        found = [] if row.is_baseline else ratios(row.arm, baseline, metric)
        if len(found) > 1:
            text = f"{found[-1].mean:.2f}"
            seeds.append(found[-1].n)
            ends.append(f"{row.arm.label} {text}")
            lows, highs = [of.low for of in found], [of.high for of in found]
            name, look = family.name(row.arm), family.look(row.arm)
            traces.append(
                lines.Trace(name, look, range(1, len(found) + 1), [of.mean for of in found], lows, highs, text)
            )
    if not traces:
        return None
    name, title = family.name(baseline), MEASURES[metric].title
    axes = lines.Axes("epoch", level=1.0, above=f"higher than {name}'s", below=f"lower than {name}'s")
    about = f"Mean over {_range(seeds)} seeds, paired by seed{_intervals(traces)}. The line at 1 is {name}."
    text = f"{title} divided by {baseline.label}'s after each epoch. At the end: {'; '.join(ends)}."
    return Picture(
        f"{metric}-ratio", f"{title} divided by {name}'s, by epoch", about, text, partial(lines.draw, traces, axes)
    )
