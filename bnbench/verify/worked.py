"""The worked examples of the tutorial and of the note, computed anew beside what they state."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bnbench.norms import batch
from bnbench.verify.rows import Errors

# The tutorial: five points of three features, 0 to 14, γ = 1, β = 0; every column of its printed result.
TUTORIAL = torch.arange(15, dtype=torch.float32).view(5, 3)
TUTORIAL_COLUMN = torch.tensor([-1.4142, -0.7071, 0.0, 0.7071, 1.4142])

# The note: two images of two channels of 2 x 2. Its text gives the code and leaves the digits to a picture; these
# whole numbers have statistics that can be checked by hand: μ = 1 and ½, σ² = 1 and 3/2 (over m = 8 values).
NOTE = torch.tensor(
    [
        [[[1.0, 1.0], [1.0, 2.0]], [[-1.0, 1.0], [0.0, 1.0]]],
        [[[0.0, -1.0], [2.0, 2.0]], [[0.0, -1.0], [3.0, 1.0]]],
    ]
)
NOTE_MEAN, NOTE_VARIANCE = torch.tensor([1.0, 0.5]), torch.tensor([1.0, 1.5])


@dataclass(frozen=True)
class Example:
    """A worked example: what goes in, what is stated of it, what our layer gives."""

    title: str
    lines: tuple[str, ...]


def tutorial_example(dtype: torch.dtype) -> Errors:
    """The published four digits of every column."""
    errors = Errors()
    y, _, _ = batch.batch_norm(TUTORIAL.to(dtype), torch.ones(3, dtype=dtype), torch.zeros(3, dtype=dtype), 1e-5)
    errors.compare(y, TUTORIAL_COLUMN[:, None].expand(5, 3), "the tutorial's 5 x 3")
    return errors


def note_process(feature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The note's bn_process: normalize by the biased variance, average the unbiased one, 0.9 old + 0.1 new."""
    y, mean, var = torch.empty_like(feature), feature.new_zeros(2), feature.new_ones(2)
    for i in range(feature.shape[1]):
        channel = feature[:, i]
        y[:, i] = (channel - channel.mean()) / torch.sqrt(channel.var(correction=0) + 1e-5)
        mean[i] = mean[i] * 0.9 + channel.mean() * 0.1
        var[i] = var[i] * 0.9 + channel.var(correction=1) * 0.1
    return y, mean, var


def note_example(dtype: torch.dtype) -> Errors:
    """Our layer beside the note's bn_process and statistics computed by hand."""
    errors = Errors()
    layer = batch.BatchNorm(2, (2, 2)).to(dtype)
    y, (_, mean, var) = layer(NOTE.to(dtype)), batch.batch_norm(NOTE.to(dtype), None, None, 1e-5)
    expected, running_mean, running_var = note_process(NOTE.double())
    errors.compare(mean, NOTE_MEAN, "μ")
    errors.compare(var, NOTE_VARIANCE, "σ²")
    errors.compare(y, expected, "output")
    assert layer.running_mean is not None and layer.running_var is not None
    errors.compare(layer.running_mean, running_mean, "running mean")
    errors.compare(layer.running_var, running_var, "running variance")
    return errors


def examples() -> list[Example]:
    """Both examples, to be read."""
    column, _, _ = batch.batch_norm(TUTORIAL, None, None, 1e-5)
    layer = batch.BatchNorm(2, (2, 2))
    y, (_, mean, var) = layer(NOTE), batch.batch_norm(NOTE, None, None, 1e-5)
    assert layer.running_mean is not None and layer.running_var is not None

    def row(values: Tensor) -> str:
        return " ".join(f"{value:8.4f}" for value in values.flatten().tolist())

    return [
        Example(
            "The tutorial's example: five points of three features, 0 to 14; each column is normalized",
            (
                f"published  {row(TUTORIAL_COLUMN)}",
                *(f"column {i + 1}   {row(column[:, i])}" for i in range(3)),
            ),
        ),
        Example(
            "The note's example: two images of two channels of 2 x 2 (our numbers; the note's are in a picture)",
            tuple(
                line
                for i in range(2)
                for line in (
                    f"channel {i + 1}  {row(NOTE[:, i])}",
                    f"  by hand  μ = {NOTE_MEAN[i]:g}, σ² = {NOTE_VARIANCE[i]:g}"
                    f"    layer: μ = {mean[i]:.4f}, σ² = {var[i]:.4f}",
                    f"  output   {row(y[:, i])}",
                    f"  running  mean {layer.running_mean[i]:.4f} (0.9 · 0 + 0.1 μ),"
                    f" variance {layer.running_var[i]:.4f} (0.9 · 1 + 0.1 · 8/7 σ²)",
                )
            ),
        ),
    ]
