"""A study in words: its scope, what a claim measures, effects with units, verdicts. Numbers in, text out."""

import math
from typing import Any

from bnbench.config.catalog import DATASETS
from bnbench.studies.plan import Plan
from bnbench.studies.rules import Judgement
from bnbench.studies.schema import Claim, OfEpoch, ToTarget

NOTHING = "–"
OPEN = {"-inf": "−∞", "inf": "∞"}


def scope(plan: Plan) -> str:
    """The networks and the data that the verdicts are about: this MLP (100), MNIST, 3 epochs."""
    configs = [point.config for point in plan.points]

    def several(values: Any, word: str = "") -> str:
        found = list(dict.fromkeys(map(str, values)))
        return (" or ".join(found) if len(found) <= 3 else f"{found[0]} to {found[-1]}") + word

    models = several(_network(config.model) for config in configs)
    images = several(f"{config.data.train_limit or config.data.images()[0]:,}" for config in configs)
    epochs = several(config.train.epochs for config in configs)
    title = several(DATASETS[config.data.dataset].title.partition(":")[0] for config in configs)
    return f"this {models}, {title}, {images} training images, {epochs} epoch{'' if epochs == '1' else 's'}"


def _network(model: Any) -> str:
    widths = getattr(model, "hidden", None) or getattr(model, "channels", None) or []
    return f"{model.type.upper()} ({'-'.join(map(str, widths))})"


def measured(claim: Claim) -> str:
    """What a claim compares: `l1 − batch: valid accuracy after the last epoch`."""
    sign = " / " if claim.kind == "ratio" else " − "
    where = "".join(f", {key.rsplit('.', 1)[-1]} {value}" for key, value in claim.where.items())
    tuned = ", each at its best value" if claim.tuned else ""
    return f"{sign.join(claim.arms)}: {measure(claim)}{where}{tuned}"


def measure(claim: Claim) -> str:
    """What is measured of one arm."""
    of: Any = claim.measure
    name = of.metric.replace("_", " ")
    if isinstance(of, OfEpoch):
        when = f"epoch {of.epoch}" if of.epoch else f"step {of.step:,}" if of.step else "the last epoch"
        return f"{name} after {when}"
    if isinstance(of, ToTarget):
        return f"{of.unit} to a {name} of {of.target:g}{'' if of.metric.endswith('loss') else ' %'}"
    if of.type == "at_target":
        sign = "≤" if of.of.endswith("loss") else "≥"
        return f"{name} at the first epoch with a {of.of.replace('_', ' ')} {sign} {of.target:g}"
    if of.type == "largest":
        bound = "at most" if of.metric.endswith("loss") else "at least"
        return f"log10 of the largest {of.key} with a {name} of {bound} {of.least:g}"
    if of.type == "flatness":
        return f"largest minus smallest {name} over {of.key}"
    if of.type == "change":
        return f"{name} at {of.key} {of.end} minus {of.start}"
    against = f" minus {of.minus}" if of.minus else f" divided by {of.over}" if of.over else ""
    return f"{of.column.replace('_', ' ')} by {of.evaluation}{against}"


def number(value: float | None, claim: Claim) -> str:
    """A signed effect, or a ratio."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if claim.kind == "ratio":
        return f"{value:.2f}" if value >= 0.095 else f"{value:.2g}"
    digits = 2 if claim.measure.unit in ("points", "decades") else 4
    text = f"{value:+.{digits}f}" if abs(value) < 1e4 else f"{value:+,.0f}"
    return text if float(text.replace(",", "")) else text.lstrip("+-")


def effect(of: Judgement, claim: Claim) -> str:
    """-0.05 [-0.17, +0.06] points."""
    if math.isnan(of.effect):
        return NOTHING
    unit = "" if claim.kind == "ratio" else f" {claim.measure.unit}" if claim.measure.unit else ""
    return f"{number(of.effect, claim)} [{number(of.low, claim)}, {number(of.high, claim)}]{unit}"


def rule(claim: Claim) -> str:
    """The rule of a claim: within ±0.3 points."""
    if claim.delta is None:
        return "exploratory: no rule"
    delta = f"{claim.delta:g}"
    if claim.kind == "ratio":
        return f"ratio {'above' if claim.delta > 1 else 'below'} {delta}"
    words = {
        "superior": f"larger by more than {_amount(claim.delta, claim)}",
        "equivalent": f"the same within ±{_amount(claim.delta, claim)}",
        "crossover": (
            f"changes by more than {_amount(claim.delta, claim)} more;"
            f" the other stays within ±{_amount(claim.stable or 0, claim)}"
        ),
        "exact": f"at most {_amount(claim.delta, claim)} in every run",
    }
    return words[claim.kind]


def _amount(value: float, claim: Claim) -> str:
    """0.3 points, 1 point."""
    unit = claim.measure.unit.removesuffix("s") if value == 1 else claim.measure.unit
    return f"{value:g} {unit}".rstrip()
