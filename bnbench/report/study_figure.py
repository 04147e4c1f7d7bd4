"""figure.svg: why the verdicts are what they are. No torch.

Above, for each key of the grid that a claim runs over: the final metric of each arm, with bands of 95 % over seeds.
Below, a row for each claim: the effect of each seed, mean and interval, and δ. The same results give the same bytes.
"""

import io
import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnbench.analysis.measures import MEASURES as METRICS
from bnbench.analysis.statistics import mean_interval
from bnbench.report.study_style import DASHES, INK, LINES, MARKERS, RULE, SERIES, drawn, style
from bnbench.studies import words
from bnbench.studies.measures import Found, metric_of
from bnbench.studies.plan import Plan, Point
from bnbench.studies.verdicts import Result

WIDTH = 7.6  # inches
SWEEP, ROW, GAP = 2.6, 0.95, 0.55
VERDICTS = {"supported": SERIES[2], "contradicted": SERIES[1], "inconclusive": INK, None: INK}
DECADE = 10


def figure(plan: Plan, found: Found, results: Sequence[Result]) -> bytes:
    """The picture of a study, as SVG."""
    sweeps = list(
        dict.fromkeys((r.claim.measure.axis, r.claim.measure.metric) for r in results if r.claim.measure.axis)
    )
    height = len(sweeps) * (SWEEP + GAP) + len(results) * ROW + 0.2
    with style():
        whole = Figure((WIDTH, height))
        top = height - 0.1
        for key, metric in sweeps:
            axes = _axes(whole, top - SWEEP + 0.25, SWEEP - 0.5, right=1.5)
            _draw_sweep(axes, plan, found, str(key), metric)
            top -= SWEEP + GAP
        for result in results:
            _draw_claim(_axes(whole, top - ROW + 0.22, 0.34), result)
            top -= ROW
        out = io.BytesIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        whole.savefig(out, format="svg", metadata=nothing, facecolor="white")
    return out.getvalue()


def _axes(whole: Figure, bottom: float, height: float, right: float = 0.15) -> Axes:
    total = whole.get_size_inches()[1]
    return whole.add_axes((0.55 / WIDTH, bottom / total, 1 - (0.55 + right) / WIDTH, height / total))


def _draw_sweep(axes: Axes, plan: Plan, found: Found, key: str, metric: str) -> None:
    """One line for each arm that has the key in its grid, at the base's values of the other keys."""
    arms = [arm for arm in plan.study.about.arms if key in plan.keys(arm)][: LINES + 1]
    log = False
    for place, arm in enumerate(arms):
        points = plan.pick(arm, {}, [key])
        there = sorted((_position(point, key, points), number) for number, point in enumerate(points))
        x, points = [at for at, _ in there], [points[number] for _, number in there]
        log = log or (min(x) > 0 and max(x) >= DECADE * min(x))
        means = [_mean(point, found, metric) for point in points]
        look: dict[str, Any] = {"color": SERIES[place % LINES], "linestyle": DASHES[place % LINES]}
        axes.plot(x, [m for m, _ in means], **look, marker=MARKERS[place % LINES], markersize=4, linewidth=1.4)
        low, high = ([m + sign * half for m, half in means] for sign in (-1, 1))
        axes.fill_between(x, low, high, color=look["color"], alpha=0.14, linewidth=0)
        if means and not math.isnan(means[-1][0]):
            last = (x[-1], means[-1][0])
            axes.annotate(
                drawn(arm, "", 24), last, (6, 0), textcoords="offset points", color=look["color"], va="center"
            )
    if log:
        axes.set_xscale("log")
    if not METRICS[metric].is_loss:
        axes.set_ylim(0, 100)
    axes.set_xlabel(key)
    axes.set_title(f"{metric.replace('_', ' ')}, means with 95 % bands over seeds", fontsize=9, loc="left")
    axes.grid(axis="y")


def _position(point: Point, key: str, others: Sequence[Point]) -> float:
    value = point.place[key]
    if isinstance(value, int | float):
        return float(value)
    return float([one.place[key] for one in others].index(value))  # as the file orders them


def _mean(point: Point, found: Found, metric: str) -> tuple[float, float]:
    runs = [found.get((point.config.digest(), seed)) for seed in point.config.seeds]
    values = [metric_of(metric, run).value for run in runs if run is not None]
    if not values:
        return math.nan, 0.0
    of = mean_interval(values)
    return of.mean, of.half or 0.0


def _draw_claim(axes: Axes, result: Result) -> None:
    """A point for each seed, the mean and interval, and δ: a band for sameness, else a line."""
    claim, of = result.claim, result.judgement
    ratio = claim.kind == "ratio"
    values = [math.exp(value.value) if ratio else value.value for value in result.effects if value is not None]
    colour = VERDICTS[result.verdict]
    axes.set_title(f"{result.name}: {result.verdict or 'exploratory'}; {words.rule(claim)}", fontsize=9, loc="left")
    axes.plot(values, [0.5] * len(values), "o", mfc="none", color=SERIES[0], markersize=4, alpha=0.8)
    ends = [end for end in (of.low, of.high) if math.isfinite(end)]
    if not math.isnan(of.effect):
        axes.plot([of.effect], [0.1], "D", color=colour, markersize=4.2)
        if len(ends) == 2:
            axes.plot(ends, [0.1, 0.1], color=colour, linewidth=1.6)
    axes.axvline(1 if ratio else 0, color=RULE, linewidth=1)
    if claim.delta is not None and claim.kind in ("equivalent", "exact"):
        axes.axvspan(-claim.delta, claim.delta, color=SERIES[2], alpha=0.12, linewidth=0)
    elif claim.delta is not None:
        axes.axvline(claim.delta, color=SERIES[3], linewidth=1, linestyle=(0, (3, 2)))
    axes.set(ylim=(-0.2, 0.8), yticks=[])
    axes.spines["left"].set_visible(False)
    if ratio and values and max(values) / min(values) > 3:
        axes.set_xscale("log")
    unit = f", {claim.measure.unit}" if claim.measure.unit and not ratio else ""
    axes.set_xlabel(words.measured(claim) + unit, fontsize=7.5, labelpad=1)
    axes.tick_params(labelsize=7.5)
