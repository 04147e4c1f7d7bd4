"""The learning curves of a sweep: a panel for each value, with a line for each arm."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from bnbench.analysis.curves import epoch_means
from bnbench.analysis.measures import CURVES
from bnbench.analysis.sweep import Place, Sweep
from bnbench.report.charts import panels
from bnbench.report.charts.lines import Trace
from bnbench.report.charts.palette import Look
from bnbench.report.picture import Picture
from bnbench.report.sweep_plots import looked, parts
from bnbench.report.sweep_words import at

MOST = 48  # panels


def each_value(one: Sweep, looks: Sequence[Mapping[str, Look]]) -> Iterator[Picture]:
    """The metric by epoch for each value. Nothing if the runs have one epoch, or the metric has no value after each."""
    if one.group.epochs < 2 or one.question.metric not in CURVES:
        return
    for part, of in zip(parts(one), looks, strict=True):
        every = {place: list(_traces(part, place, of)) for place in part.places[:MOST]}
        shown = [panels.Panel(at(one, place), "ink", traces) for place, traces in every.items() if traces]
        if shown:
            title = f"{one.question.measure.title} by epoch, for each value{'' if one.question.is_loss else ', %'}"
            ends = "; ".join(
                f"{panel.title}: {', '.join(_end(trace, one) for trace in panel.front)}" for panel in shown
            )
            draw = partial(panels.draw, shown, legend=looked(part, of))
            yield Picture(
                "sweep-curves", title, "Mean over seeds, on one scale.", f"{title}. At the end: {ends}.", draw
            )


def _end(trace: Trace, one: Sweep) -> str:
    return f"{trace.name} {trace.y[-1]:.{4 if one.question.is_loss else 2}f}"


def _traces(part: Sweep, place: Place, looks: Mapping[str, Look]) -> Iterator[Trace]:
    scale = 1 if part.question.is_loss else 100
    for line, (name, look) in zip(part.lines, looked(part, looks), strict=True):
        point = line.points.get(place)
        if point is None or not point.arm.complete:
            continue
        means = [one.means[part.question.metric].mean * scale for one in epoch_means([point.arm])]
        none = [None] * len(means)
        yield Trace(name, look, range(1, len(means) + 1), means, none, none, "")
