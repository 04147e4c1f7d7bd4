"""From what was seen to the names of mistakes: the variant of the reference that behaves alike."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from bnbench.check.observe import Observed, inputs
from bnbench.check.reference import Norm, Variant, average, error, normalize, right, right_axes, values, variants
from bnbench.check.running import running_statistics
from bnbench.check.subjects import Factory, Layer
from bnbench.check.words import Report

CLOSE = 2e-4  # relative to a channel's largest value; mistakes differ by more, and float32 by less
FLOAT32 = 3e-6  # what rounding costs an output
USUAL_EPS = 1e-5
EPS = (1e-5, 1e-3, 1e-6, 1e-8, 1e-4, 1e-7, 1e-2)  # a smaller one cannot be told from none
LARGE_MEAN, DEVIATION, LARGE_CLOSE = 1_000, 0.1, 0.05

# What no gradient flows through → the mistake.
CONSTANTS: dict[Literal["nothing", "variance", "mean", "both"], str] = {
    "nothing": "",
    "variance": "no variance gradient",
    "mean": "no mean gradient",
    "both": "no statistics gradient",
}


def diagnose(seen: Observed, make: Factory, norm: Norm, where: str, report: Report) -> None:
    """Add to the report what was found of one layer, for vectors or for images."""
    if seen.in_place:
        report.mistake("in place", where, seen.in_place)
    if seen.drew:
        report.mistake("draws", where, f"{seen.drew[0]}'s, {seen.drew[1]}")
    for name, tensor in (("γ", seen.subject.gamma), ("β", seen.subject.beta)):
        if tensor is None and not (norm == "rms" and name == "β"):
            report.absent(name)
    variant, eps = _output(seen, make, norm, where, report)
    if variant is not None:
        _gradients(seen, variant, eps, where, report)
        _large_mean(seen, make, variant, eps, where, report)
        _double(make, seen, variant, eps, where, report)
    if norm == "batch":
        running_statistics(seen, where, report)
    _evaluation(seen, norm, variant, eps, where, report)
    if isinstance(seen.subject, Layer):
        _state(seen, seen.subject, where, report)


def _output(seen: Observed, make: Factory, norm: Norm, where: str, report: Report) -> tuple[Variant | None, float]:
    """The variant with the fewest mistakes whose training output is the layer's."""
    x, dims = seen.batches[0].double(), len(seen.shape)
    own = seen.subject.eps
    candidates = [own, *EPS] if own is not None else list(EPS)
    if norm == "rms":
        candidates.append(torch.finfo(torch.float32).eps)
    for number, level in enumerate(variants(norm, dims)):
        for eps in dict.fromkeys(candidates if number < 2 else candidates[:2]):
            for variant in level:
                if error(seen.y, normalize(x, seen.gamma, seen.beta, eps, variant)) < CLOSE:
                    if "no eps" in variant.mistakes and _divides_by_no_zero(seen, make):
                        report.convention("ε is smaller than 1e-8; PyTorch's is 1e-05")
                        variant = replace(variant, mistakes=tuple(m for m in variant.mistakes if m != "no eps"))
                    for name in variant.mistakes:
                        report.mistake(name, where, _axes(variant) if "axis" in name else "")
                    if eps != USUAL_EPS and variant.eps == "inside" and norm == "batch":
                        report.convention(f"ε is {eps:g}; PyTorch's is 1e-05")
                    report.part("training output", where, 0.0 if variant.mistakes else 1.0)
                    return variant, eps
    if _by_running_in_training(seen, own or USUAL_EPS):
        report.mistake("trains on running", where)
        return None, own or USUAL_EPS
    expected = normalize(x, seen.gamma, seen.beta, own or USUAL_EPS, right(norm, dims))
    report.unknown("training output", where, seen.y, expected)
    return None, own or USUAL_EPS


def _divides_by_no_zero(seen: Observed, make: Factory) -> bool:
    """Whether constant channels have finite outputs."""
    return bool(make(seen.shape, torch.float32).train(torch.ones(seen.shape)).isfinite().all())


def _by_running_in_training(seen: Observed, eps: float) -> bool:
    """Whether the first training output is by the running statistics, as they were before or after it."""
    view = (1, -1, *[1] * (len(seen.shape) - 2))
    for stats in seen.running[:2]:
        if {"mean", "var"} <= stats.keys() and all(s.numel() == seen.shape[1] for s in stats.values()):
            x_hat = (seen.batches[0].double() - stats["mean"].view(view)) / (stats["var"].view(view) + eps).sqrt()
            if error(seen.y, seen.gamma * x_hat + seen.beta) < CLOSE:
                return True
    return False


def _axes(variant: Variant) -> str:
    over = variant.var_over if variant.mean_over == "group" else variant.mean_over
    mixed = "" if variant.mean_over == variant.var_over else " for one of the mean and the variance"
    return f"over the dimensions {', '.join(map(str, over))}{mixed}"


def _gradients(seen: Observed, variant: Variant, eps: float, where: str, report: Report) -> None:
    if seen.gradients is None:
        report.absent("gradients")
        return
    if all(g is None for g in seen.gradients.values()):
        report.mistake("no gradient", where)
        return
    if seen.gradients["x"] is None:
        report.mistake("no input gradient", where)
    missing = [name for name in ("gamma", "beta") if name in seen.gradients and seen.gradients[name] is None]
    if missing and not {"no gamma", "no beta"} & set(variant.mistakes):
        report.mistake("no parameter gradient", where, " and ".join(missing))
    found = {name: g for name, g in seen.gradients.items() if g is not None}
    first: dict[str, Tensor] = {}
    for constant, name in CONSTANTS.items():
        expected = _expected_gradients(seen, replace(variant, constant=constant), eps)
        first = first or expected
        if all(error(_rows(g), _rows(expected[k].view(g.shape))) < 1e-2 for k, g in found.items()):
            if name:
                report.mistake(name, where)
            report.part("gradients", where, 0.0 if name else 1.0)
            return
    for key, g in found.items():
        if error(_rows(g), _rows(first[key].view(g.shape))) >= 1e-2:
            report.unknown(f"gradient of {key}", where, g, first[key].view(g.shape))


def _rows(gradient: Tensor) -> Tensor:
    """γ's and β's are one for each channel; judge them channel by channel too."""
    return gradient.reshape(1, -1) if gradient.dim() == 1 else gradient


def _expected_gradients(seen: Observed, variant: Variant, eps: float) -> dict[str, Tensor]:
    leaves = {"x": seen.batches[0].double(), "gamma": seen.gamma.clone(), "beta": seen.beta.clone()}
    for leaf in leaves.values():
        leaf.requires_grad_()
    y = normalize(leaves["x"], leaves["gamma"], leaves["beta"], eps, variant)
    found = torch.autograd.grad((y * seen.weights).sum(), list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


def _large_mean(seen: Observed, make: Factory, variant: Variant, eps: float, where: str, report: Report) -> None:
    noise = torch.randn(seen.shape, generator=torch.Generator().manual_seed(5))
    x = LARGE_MEAN + DEVIATION * noise
    y = make(seen.shape, torch.float32).train(x.clone()).detach()
    one = torch.tensor(1.0, dtype=torch.float64)
    if seen.subject.gamma is not None and {"swapped", "no gamma", "no beta", "shift first"} & set(variant.mistakes):
        return
    if error(y, normalize(x.double(), one, 0 * one, eps, variant)) > LARGE_CLOSE and _starts_plain(make, seen):
        report.mistake("large mean", where)
    else:
        report.part("large means", where, 1.0)


def _starts_plain(make: Factory, seen: Observed) -> bool:
    """Whether γ starts at 1 and β at 0."""
    fresh = make(seen.shape, torch.float32)
    gamma, beta = fresh.gamma, fresh.beta
    return (gamma is None or bool((gamma == 1).all())) and (beta is None or bool((beta == 0).all()))


def _double(make: Factory, seen: Observed, variant: Variant, eps: float, where: str, report: Report) -> None:
    for dtype in (torch.float64, torch.float32):
        try:
            y = make(seen.shape, dtype).train(inputs(seen.shape, 0, dtype))
        except Exception as problem:  # the user's code may raise anything
            report.mistake("dtype", where, f"it raises {type(problem).__name__} for {str(dtype)[6:]}")
            return
        if y.dtype != dtype:
            report.mistake("dtype", where, f"{str(y.dtype)[6:]} for {str(dtype)[6:]}")
            return
    report.part("float32 and float64", where, 1.0)
    if isinstance(seen.subject, Layer):
        _half(make, seen, report)


def _half(make: Factory, seen: Observed, report: Report) -> None:
    """Half precision is a note: most layers are never used in it."""
    for dtype in (torch.float16, torch.bfloat16):
        name, fresh, x = str(dtype)[6:], make(seen.shape, dtype), inputs(seen.shape, 0, dtype)
        try:
            y = fresh.train(x.clone())
        except Exception as problem:  # the user's code may raise anything
            report.note(f"in {name} it raises {type(problem).__name__}")
            continue
        if y.dtype != dtype:
            report.note(f"in {name} its output is {str(y.dtype)[6:]}")
        elif not bool(y.isfinite().all()):
            report.note(f"in {name} its output is not finite")


def _evaluation(seen: Observed, norm: Norm, variant: Variant | None, eps: float, where: str, report: Report) -> None:
    if not seen.subject.evaluates:
        report.absent("evaluation")
        return
    if seen.eval_error is not None:
        report.mistake("raises", where, f"in evaluation, {seen.eval_error}")
        return
    x, y = seen.x_eval, seen.y_eval
    assert x is not None and y is not None
    x = x.double()
    stats = seen.running[-1]
    dims = len(seen.shape)
    view = (1, -1, *[1] * (dims - 2))
    if y.shape != x.shape:
        report.mistake("shape", where, f"{tuple(y.shape)} for an input of {seen.shape} in evaluation")
        return
    by_batch = normalize(x, seen.gamma, seen.beta, eps, variant or right(norm, dims))
    batch = error(y, by_batch) < CLOSE
    if norm != "batch" or not stats:
        if norm != "batch" and not batch:
            report.unknown("evaluation output", where, y, by_batch)
        elif norm == "batch" and isinstance(seen.subject, Layer) and batch:
            report.absent("running statistics")
            report.note("without running statistics, evaluation uses the batch's, as track_running_stats=False does")
        elif norm == "batch" and isinstance(seen.subject, Layer):
            report.absent("evaluation (no running statistics are found; call them running_mean and running_var)")
        return
    if batch:
        report.mistake("evaluates the batch", where)
        return
    if seen.changed_in_eval:
        report.mistake("changes in evaluation", where)
    mean, var = stats.get("mean"), stats.get("var")
    if mean is None or var is None or mean.numel() != seen.shape[1] or var.numel() != seen.shape[1]:
        return
    _by_running(seen, x, y, mean.view(view), var.view(view), eps, where, report)


def _by_running(
    seen: Observed, x: Tensor, y: Tensor, mean: Tensor, var: Tensor, eps: float, where: str, report: Report
) -> None:
    """The evaluation output against the running statistics as the layer has them."""
    over = right_axes("batch", x.dim())
    m = values(x, over)
    gamma, beta = seen.gamma, seen.beta
    root = (var + eps).sqrt()
    batch_mean, batch_var = average(x, over), average((x - average(x, over)).square(), over)
    ways = {
        "": (x - mean) / root,
        "eps outside": (x - mean) / (var.sqrt() + eps),
        "no eps": (x - mean) / var.sqrt(),
        "not the root": (x - mean) / (var + eps),
        "not centered": x / root,
        "evaluates half the batch": (x - batch_mean) / root,
        "evaluates half the batch ": (x - mean) / (batch_var + eps).sqrt(),
        "eval by the deviation": (x - mean) / (var.square() + eps).sqrt(),
        "eval by the deviation ": (x - mean) / (var + eps),
        "eval unbiased": (x - mean) / (var * m / (m - 1) + eps).sqrt(),
    }
    if "deviation averaged" in report.mistakes:
        del ways["not the root"]  # the same, where what is averaged is the root
    one, zero = torch.ones_like(gamma), torch.zeros_like(beta)
    affines = {"": (gamma, beta), "swapped": (beta, gamma), "no gamma": (one, beta), "no beta": (gamma, zero),
               "no affine in evaluation": (one, zero)}  # fmt: skip
    errors = {
        (affine, way): error(y, scale * x_hat + shift)
        for affine, (scale, shift) in affines.items()
        for way, x_hat in ways.items()
    }
    # The nearest: a running variance is large beside ε, and the place of ε shows in the last digits.
    least = max(min(errors.values()), FLOAT32)
    nearest = next(names for names, worst in errors.items() if worst <= 2 * least)
    if errors[nearest] < CLOSE:
        known = [name.strip() for name in nearest if name]
        for name in known:
            if name != "eval by the deviation":
                report.mistake(name, where, "in evaluation")
        report.part("evaluation", where, 0.0 if known else 1.0)
        if not known:
            _alone(seen, y, where, report)
        return
    report.unknown("evaluation output", where, y, gamma * ways[""] + beta)


def _alone(seen: Observed, y: Tensor, where: str, report: Report) -> None:
    """Evaluation of one image alone; where evaluation changes the statistics, it cannot be the same."""
    if seen.one_error is not None:
        report.mistake("raises", where, f"for one image alone in evaluation, {seen.one_error}")
    elif seen.one is not None and not seen.changed_in_eval and error(seen.one, y[:1]) > CLOSE:
        report.unknown("evaluation of one image alone", where, seen.one, y[:1])


def _state(seen: Observed, layer: Layer, where: str, report: Report) -> None:
    assert layer.layer is not None
    saved = set(layer.layer.state_dict())
    lost = [name for name in layer.names() if name not in saved]
    if lost:
        report.mistake("no buffers", where, ", ".join(lost))
    if layer.loose_affine:
        report.mistake("no parameters", where, ", ".join(layer.loose_affine))
