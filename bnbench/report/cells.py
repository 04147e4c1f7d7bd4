"""Numbers → text, for cells of tables and for sentences. Accuracies are percent on screen."""

from typing import Any

from bnbench.analysis.statistics import Difference, Mean, Over

NOTHING = "–"
CUT = "*"  # marks an interval that was cut
CLIPPED = f" {CUT}: the interval is cut at 0 or 100 %, or at a loss of 0."


def number(value: float, *, loss: bool = False) -> str:
    return f"{value:.4f}" if loss else f"{100 * value:.2f}"


def signed(value: float, *, loss: bool = False) -> str:
    text = number(value, loss=loss)
    return text if text.startswith("-") or not float(text) else f"+{text}"


def interval(low: float, high: float, *, loss: bool = False) -> str:
    return f"[{signed(low, loss=loss)}, {signed(high, loss=loss)}]"


def p_text(p: float) -> str:
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def shares(gap: Difference | None) -> tuple[float, ...] | None:
    """The shares of its uncertainty that belong to seeds, to images, and to both; None if they are not known."""
    if gap is None or gap.parts is None or gap.n < 2 or not sum(gap.parts):
        return None
    return tuple(part / sum(gap.parts) for part in gap.parts)


def bounds(mean: Mean, *, loss: bool = False) -> tuple[float | None, float | None, bool]:
    """The interval of a mean, and whether it was cut: an accuracy is never below 0 or above 1, nor a loss below 0."""
    low, high = mean.low, mean.high
    if low is None or high is None:
        return None, None, False
    inside = max(0.0, low), high if loss else min(1.0, high)
    return (*inside, inside != (low, high))


def mean_text(mean: Mean | None, *, loss: bool = False, over: Over | None = None) -> str:
    """97.30 ± 0.19, or 97.30 without an interval, or 94.20 [72.22, 100.00]* if the interval was cut.

    Adds what the interval is over if that is not `over`.
    """
    if mean is None:
        return NOTHING
    text = number(mean.mean, loss=loss)
    if mean.half is None:
        return text
    low, high, cut = bounds(mean, loss=loss)
    if cut and low is not None and high is not None:
        text += f" [{number(low, loss=loss)}, {number(high, loss=loss)}]{CUT}"
    else:
        text += f" ± {number(mean.half, loss=loss)}"
    return text + (f" over {mean.over}" if over not in (None, mean.over) else "")


def mean_fields(field: str, mean: Mean | None, *, loss: bool) -> dict[str, Any]:
    """A mean in machine formats. `_clipped` says whether its interval was cut."""
    values = (mean.mean, mean.sd, *bounds(mean, loss=loss)) if mean else (None,) * 5
    return dict(zip((field, *(f"{field}_{of}" for of in ("sd", "low", "high", "clipped"))), values, strict=True))


def margin_text(margin: float, *, loss: bool = False) -> str:
    """0.3, as --same takes it."""
    return f"{margin if loss else 100 * margin:g}"


def about(seeds: int) -> str:
    """about 60: the number depends on a spread that is hardly known."""
    step = 1 if seeds < 20 else 10 ** max(1, len(str(seeds)) - 2)
    return f"about {round(seeds / step) * step:,}"


def mark(gap: Difference, different: bool) -> str:
    """~ if the interval covers 0, ? if it leaves out 0 and no test shows a difference, else nothing."""
    return "~" if gap.covers_zero else "" if different or gap.low is None else "?"


def difference_text(
    gap: Difference | None, *, different: bool, seeds: int, loss: bool = False, over: Over | None = None
) -> str:
    """-0.48 [-0.75, -0.20]; ~ and the interval; or +0.36? and the interval.

    Adds the number of pairs if the arm has more seeds, and what the interval is over if that is not `over`.
    """
    if gap is None:
        return NOTHING
    text, sign = signed(gap.mean, loss=loss), mark(gap, different)
    if gap.low is not None and gap.high is not None:
        text = f"{sign if sign == '~' else text + sign} {interval(gap.low, gap.high, loss=loss)}"
    if not gap.paired:
        return f"{text} unpaired"
    if gap.n != seeds:
        text += f" ({gap.n} pair{'s' if gap.n > 1 else ''})"
    return text if gap.low is None or over in (None, gap.over) else f"{text} over {gap.over}"
