"""The running statistics over many steps: what they average, with which weight, from which start."""

import torch
from torch import Tensor

from bnbench.check.observe import Observed
from bnbench.check.reference import average, error, right_axes, values
from bnbench.check.subjects import Layer
from bnbench.check.words import AXES, Report

CLOSE = 1e-3
HALF = 0.5  # a newest batch that weighs more than all before it is a moving average the wrong way round


def running_statistics(seen: Observed, where: str, report: Report) -> None:
    kept = list(seen.running[-1])
    if not kept:
        return
    if seen.graph:
        report.mistake("graph", where)
    sized = [name for name in kept if seen.running[-1][name].numel() == seen.shape[1]]
    if len(sized) < len(kept):
        if AXES & report.mistakes.keys():  # of which it is a consequence
            return
        shape = tuple(seen.subject.raw()[kept[0]].shape)
        report.mistake("running shape", where, f"{shape}, not ({seen.shape[1]},)")
        return
    still = [
        n for n in kept if n in seen.running[0] and all(torch.equal(r[n], seen.running[0][n]) for r in seen.running)
    ]
    if len(still) == len(kept):
        report.mistake("never updated", where)
        return
    if still:
        report.mistake("one never updated", where, f"the {'mean' if still[0] == 'mean' else 'variance'} stays")
        return
    found = {name: _fit(seen, name) for name in kept}
    for name, fit in found.items():
        if fit is None:
            right = _means(seen) if name == "mean" else _variances(seen)
            expected = 0.9 * seen.running[0].get(name, right[""][0] * 0) + 0.1 * right[""][0]
            long = {"mean": "running mean", "var": "running variance"}[name]
            report.unknown(f"{long} after the first step", where, seen.running[1][name], expected)
            return
    weights = {name: fit[1] for name, fit in found.items() if fit is not None}
    kinds = {name: fit[0] for name, fit in found.items() if fit is not None}
    _judge(seen, kinds, weights, where, report)


def _judge(seen: Observed, kinds: dict[str, str], weights: dict[str, float | None], where: str, report: Report) -> None:
    weight = next(iter(weights.values()))
    starts_at_0 = "var" in seen.running[0] and bool((seen.running[0]["var"] == 0).all())
    named_start = starts_at_0 or not isinstance(seen.subject, Layer)  # a function's caller chooses the start
    newest = weight is not None and weight > HALF
    tutorial = newest and weight is not None and weight < 1 and kinds == {"mean": "", "var": "biased"} and named_start
    if tutorial:
        report.convention("the tutorial's moving average: momentum is the weight of the old value, the variance is"
                          " biased, the start is 0; PyTorch's momentum is the weight of the new one")  # fmt: skip
        report.part("running statistics", where, 1.0)
        return
    for kind in kinds.values():
        if kind:
            report.mistake(kind, where)
    different = len({None if w is None else round(w, 3) for w in weights.values()}) > 1
    if different:
        report.mistake("two weights", where, f"the mean's is {weights['mean']}, the variance's {weights['var']}")
    elif newest:
        report.mistake("last batch" if weight is not None and weight > 0.999 else "old weight", where)
    elif weight is None:
        report.convention("all batches weigh alike, as with momentum=None in PyTorch")
    else:
        momentum = seen.subject.momentum
        if momentum is not None and momentum > HALF and abs(1 - momentum - weight) < CLOSE:
            report.convention(f"momentum {momentum:g} is the weight of the old value, as in Keras;"
                              f" PyTorch calls the same momentum={weight:.4g}")  # fmt: skip
        elif abs(weight - 0.1) > CLOSE:
            report.convention(f"the newest batch has the weight {weight:.4g}; PyTorch's default is 0.1")
    if starts_at_0:
        report.convention("the running variance starts at 0; PyTorch's starts at 1")
    clean = not any(kinds.values()) and not different and not newest
    report.part("running statistics", where, 1.0 if clean else 0.0)


def _fit(seen: Observed, name: str) -> tuple[str, float | None] | None:
    """What is averaged ("" is right), and the newest batch's weight (None: all alike)."""
    track = [r[name] for r in seen.running if name in r]
    first = len(seen.running) - len(track)  # it may be made in the first step
    for kind, each in (_means(seen) if name == "mean" else _variances(seen)).items():
        new = [each[(first + step) % 4] for step in range(len(track) - 1)]
        scale = torch.stack(new).abs().amax(0) + 1e-12
        moves = [((b - a) / scale, (s - a) / scale) for a, b, s in zip(track, track[1:], new, strict=False)]
        below = sum((t * t).sum() for _, t in moves)
        weight = float(sum((m * t).sum() for m, t in moves) / below) if float(below) else 0.0
        if weight and _follows(track, new, [weight] * len(new)):
            return kind, round(weight, 6)
        if _follows(track, new, [1 / (first + step + 1) for step in range(len(new))]):
            return kind, None
    return None


def _follows(track: list[Tensor], new: list[Tensor], weights: list[float]) -> bool:
    value = track[0]
    for seen, s, w in zip(track[1:], new, weights, strict=True):
        value = (1 - w) * value + w * s
        if error(seen[None], value[None]) > CLOSE:
            return False
    return True


def _means(seen: Observed) -> dict[str, list[Tensor]]:
    over = right_axes("batch", len(seen.shape))
    x = [b.double() for b in seen.batches]
    return {
        "": [average(b, over).flatten() for b in x],
        "one running mean": [b.mean().expand(b.shape[1]) for b in x],
        "running swapped": [average((b - average(b, over)).square(), over).flatten() for b in x],
    }


def _variances(seen: Observed) -> dict[str, list[Tensor]]:
    over = right_axes("batch", len(seen.shape))
    m, n = values(seen.batches[0], over), seen.shape[0]
    x = [b.double() for b in seen.batches]
    biased = [average((b - average(b, over)).square(), over).flatten() for b in x]
    unbiased = [v * m / (m - 1) for v in biased]
    found = {"": unbiased, "biased": biased}
    if m != n:
        found["images counted"] = [v * n / (n - 1) for v in biased]
    eps = seen.subject.eps or 1e-5
    return found | {
        "deviation averaged": [v.sqrt() for v in unbiased],
        "deviation averaged ": [v.sqrt() for v in biased],
        "corrected twice": [v * m / (m - 1) for v in unbiased],
        "corrected the wrong way": [v * (m - 1) / m for v in biased],
        "eps averaged": [v + eps for v in unbiased],
        "one running variance": [b.var(correction=1).expand(b.shape[1]) for b in x],
        "one running variance ": [b.var(correction=0).expand(b.shape[1]) for b in x],
        "running around zero": [average(b.square(), over).flatten() for b in x],
        "running swapped": [average(b, over).flatten() for b in x],
    }
