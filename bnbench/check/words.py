"""The sentences of a report. A mistake's name → what it says, and what to do."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

SENTENCES = {
    "biased": (
        "your running variance is biased: it lacks m/(m-1)",
        "Multiply the batch's variance by m/(m-1) before you average it; m is the number of values a channel.",
    ),
    "old weight": (
        "your momentum is the weight of the old value",
        "PyTorch: running = (1 - momentum) * running + momentum * batch, with momentum=0.1.",
    ),
    "eps outside": ("ε stands outside the root", "Divide by sqrt(var + eps), not by sqrt(var) + eps."),
    "no variance gradient": (
        "no gradient flows through the variance",
        "Compute the variance that you divide by without detach, .data and no_grad.",
    ),
    "wrong axis": (
        "statistics over the wrong axis",
        "Average over all dimensions but the channels: 0 for (N, C); 0, 2 and 3 for (N, C, H, W).",
    ),
    "one mean": (
        "one mean for all channels",
        "Each channel has its own mean and variance: give mean() the dimensions, dim=0 or dim=(0, 2, 3).",
    ),
    "evaluates the batch": (
        "evaluation still uses the batch's statistics",
        "After model.eval(), self.training is False: use the running statistics then.",
    ),
    "trains on running": (
        "training uses the running statistics, not the batch's",
        "While self.training is True, normalize by the mean and variance of the batch.",
    ),
    "swapped": ("γ and β are swapped", "y = gamma * x_hat + beta."),
    "not the root": ("divided by the variance, not its root", "Divide by sqrt(var + eps)."),
    "never updated": (
        "the running statistics are never updated",
        "Assign to them in place (running[:] = …) or to self, in each training step.",
    ),
    "no buffers": (
        "the running statistics are not buffers: they are not saved, and not moved",
        'Make them with self.register_buffer("running_mean", torch.zeros(num_features)).',
    ),
    "graph": (
        "the running statistics keep the batch's graph alive",
        "Update them under torch.no_grad(), or from mean.detach() and var.detach().",
    ),
    "no eps": ("there is no ε", "Divide by sqrt(var + eps): a constant channel would divide by 0."),
    "no gamma": ("γ is not used", "y = gamma * x_hat + beta."),
    "no beta": ("β is not used", "y = gamma * x_hat + beta."),
    "shift first": ("β is added before γ multiplies", "y = gamma * x_hat + beta."),
    "no affine in evaluation": ("evaluation leaves γ and β out", "y = gamma * x_hat + beta, in evaluation too."),
    "unbiased output": (
        "the output is divided by the unbiased deviation",
        "Normalize by the biased variance, var(unbiased=False).",
    ),
    "not centered": ("the mean is not subtracted", "x_hat = (x - mean) / sqrt(var + eps)."),
    "centered": ("the mean is subtracted", "RMS norm divides only."),
    "around zero": ("the variance is taken around 0, not around the mean", "var = mean((x - mean)²)."),
    "one variance": ("one variance for all channels", "Give var() the dimensions: dim=0 or dim=(0, 2, 3)."),
    "no mean gradient": ("no gradient flows through the mean", "Compute the mean without detach, .data and no_grad."),
    "no statistics gradient": (
        "no gradient flows through the mean and the variance",
        "Compute both without detach, .data and no_grad.",
    ),
    "no gradient": (
        "no gradient flows at all: the output is cut off from the input",
        "Compute with torch, without numpy, detach, .data and no_grad.",
    ),
    "no input gradient": ("no gradient flows to the input", "Compute with x itself, not with x.detach() or x.data."),
    "no parameter gradient": ("no gradient flows to γ or β", "Use the parameters themselves, not their .data."),
    "no parameters": (
        "γ or β is not a parameter: no optimizer trains it, and it is not saved",
        "Make it with nn.Parameter(...).",
    ),
    "large mean": (
        "a large mean costs the digits: E[x²] - E[x]² subtracts two large numbers",
        "Take the variance around the mean: mean((x - mean)²).",
    ),
    "dtype": (
        "the output has another dtype than the input",
        "Make tensors with x's dtype: torch.zeros_like, x.new_zeros.",
    ),
    "shape": ("the output has another shape than the input", "The output must have the shape of the input."),
    "in place": (
        "the layer changes its input",
        "Work on a new tensor: y = torch.empty_like(x), or x_hat = (x - mean) / …",
    ),
    "draws": ("it draws from a global generator", "Give it a torch.Generator of its own; else it changes other draws."),
    "raises": ("it raises", ""),
    "output": ("it returns no output of the right kind", "A norm returns a tensor of its input's shape."),
    "running shape": ("the running statistics have the wrong shape", "There is one mean and one variance a channel."),
    "one never updated": ("one of the running statistics is never updated", "Update both in each training step."),
    "two weights": ("the mean and the variance have different weights", "Use the same momentum for both."),
    "last batch": (
        "the running statistics are the last batch's alone",
        "running = (1 - momentum) * running + momentum * batch.",
    ),
    "one running mean": ("one running mean for all channels", "Average the mean of each channel."),
    "one running variance": ("one running variance for all channels", "Average the variance of each channel."),
    "running swapped": (
        "a running statistic averages the other: mean and variance are swapped",
        "Update each by its own.",
    ),
    "images counted": ("your running variance is corrected by N/(N-1), not by m/(m-1)", "For images, m = N·H·W."),
    "deviation averaged": (
        "the running variance averages deviations, not variances",
        "Average the variance; take the root in evaluation.",
    ),
    "corrected twice": ("your running variance is corrected by m/(m-1) twice", "x.var() has m/(m-1) already."),
    "corrected the wrong way": (
        "your running variance is corrected by (m-1)/m, not by m/(m-1)",
        "Multiply by m/(m-1).",
    ),
    "eps averaged": ("the running variance contains ε", "Average the variance; add ε in the root alone."),
    "running around zero": ("the running variance is taken around 0, not around the mean", "var = mean((x - mean)²)."),
    "evaluates half the batch": ("evaluation still uses one of the batch's statistics", "Use both running statistics."),
    "eval unbiased": ("evaluation corrects the running variance by m/(m-1)", "Correct it once, in training."),
    "changes in evaluation": ("evaluation changes the running statistics", "Update them in training only."),
}
AXES = {"wrong axis", "one mean", "one variance", "shape"}


@dataclass
class Report:
    """What was found. `right` is the verdict."""

    subject: str
    against: str
    mistakes: dict[str, dict[str, Any]] = field(default_factory=dict)
    conventions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_offered: list[str] = field(default_factory=list)
    unknowns: list[str] = field(default_factory=list)
    parts: dict[str, bool] = field(default_factory=dict)

    def mistake(self, kind: str, where: str, detail: str = "") -> None:
        kind = kind.strip()
        entry = self.mistakes.setdefault(
            kind, {"sentence": SENTENCES[kind][0], "repair": SENTENCES[kind][1], "where": [], "detail": detail}
        )
        if where not in entry["where"]:
            entry["where"].append(where)

    def unknown(self, part: str, where: str, found: Tensor, expected: Tensor) -> None:
        """The part differs, and no known mistake explains it: the first values."""
        if not AXES & self.mistakes.keys():
            pairs = [" ".join(f"{v:.6g}" for v in t.detach().flatten()[:4].tolist()) for t in (found, expected)]
            self.unknowns.append(f"{part}, {where}: it gives {pairs[0]} …, the reference {pairs[1]} …")
        self.parts[f"{part}, {where}"] = False

    def convention(self, text: str) -> None:
        if text not in self.conventions:
            self.conventions.append(text)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def absent(self, what: str) -> None:
        if what not in self.not_offered:
            self.not_offered.append(what)

    def part(self, name: str, where: str, right: float) -> None:
        self.parts[f"{name}, {where}"] = bool(right)

    @property
    def right(self) -> bool:
        return not self.mistakes and not self.unknowns

    def as_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "against": self.against,
            "right": self.right,
            "mistakes": [{"name": name, **entry} for name, entry in self.mistakes.items()],
            "differs": self.unknowns,
            "conventions": self.conventions,
            "not_offered": self.not_offered,
            "notes": self.notes,
            "parts": self.parts,
        }
