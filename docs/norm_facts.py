"""What docs/norms.md says of each norm: its formula, what it averages over, its cost, its use, its sources.

Formulas are those of the layers' docstrings. The drawings are computed: the layer is differentiated, and the values
on which an output depends are filled. Costs are counted in the shipped configs' networks, times are those of
docs/performance.md.
"""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bnbench import norms
from bnbench.config.load import load_config
from bnbench.models.networks import parameter_count
from bnbench.norms.standardized import ScaledWeightStandardization
from bnbench.norms.weight import WeightNorm
from bnbench.training.build import build_model

REPOSITORY = Path(__file__).parent.parent
CONFIGS = REPOSITORY / "configs" / "norms"
OF_WEIGHTS: dict[str, type[nn.Module]] = {
    "weight": WeightNorm,
    "scaled_weight_standardization": ScaledWeightStandardization,
}

# When it is used, and its papers.
USES = {
    "batch": (
        "Convolutional networks for images, where a batch has some ten images or more. The result for an image depends"
        " on the others of its batch while the network trains.",
        "1502.03167",
    ),
    "layer": ("Transformers and recurrent networks. It works with any batch size.", "1607.06450"),
    "instance": (
        "Style transfer and other generation of images, where the contrast of an image is not to matter.",
        "1607.08022",
    ),
    "group": ("Detection and segmentation, where images are large and batches small.", "1803.08494"),
    "rms": ("Large language models, in place of layer norm; its paper measures less time.", "1910.07467"),
    "weight": (
        "Recurrent networks, generative models and reinforcement learning, where its paper finds the noise of batch"
        " statistics harmful.",
        "1602.07868",
    ),
    "scaled_weight_standardization": (
        "Residual networks without norms of activations, such as the NFNets.",
        "2101.08692, 2102.06171",
    ),
    "l1_batch": ("Hardware with few bits: it needs no squares and no root.", "1802.09769, 1803.01814"),
    "lp_batch": (
        "A study of why batch norm helps. With the largest deviation, hardware with few bits.",
        "1805.11604, 1803.01814",
    ),
    "generalized_batch": ("A study of other centers and deviations.", "1812.03271"),
    "batch_renorm": ("Small batches, and batches whose images are not drawn independently.", "1702.03275"),
    "ghost_batch": ("Large batches: it keeps the noise of the statistics of small ones.", "1705.08741"),
    "noisy_batch": (
        "An experiment of its paper, against the view that batch norm helps because distributions stay put.",
        "1805.11604",
    ),
    "sync_batch": ("Training on several devices, each with few images.", ""),
    "mean_only_batch": ("Together with weight norm, in its paper. Here, to take batch norm apart.", "1602.07868"),
    "variance_only_batch": ("Here, to take batch norm apart.", ""),
    "dyt": ("Transformers without norms, in its paper.", "2503.10622"),
    "derf": ("Transformers without norms, in its paper.", "2512.10938"),
    "filter_response": ("Convolutional networks with small batches, in its paper.", "1911.09737"),
    "evonorm_s0": ("Convolutional networks with small batches, in its paper.", "2004.02967"),
    "evonorm_b0": ("Convolutional networks with large batches, in its paper.", "2004.02967"),
}

# The drawings: images, channels, pixels; and the options that make them small, with their titles.
IMAGES, CHANNELS, PIXELS = 4, 4, (2, 3)
DRAWN: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "group": [("two groups", {"num_groups": 2})],
    "evonorm_s0": [("two groups", {"num_groups": 2})],
    "ghost_batch": [("parts of two images", {"virtual_batch_size": 2})],
    "rms": [("", {}), ("p = 0.25", {"p": 0.25})],
}


def formula(norm: str) -> list[str]:
    """The lines of its docstring from `Training` on, with those on running averages."""
    layer = OF_WEIGHTS.get(norm) or norms.NORMS[norm]["custom"]
    lines = (inspect.getdoc(layer) or "").split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("Training"))
    found: list[str] = []
    for line in lines[start:]:
        before = found[-1] if found else ""
        of_block = line.startswith(" ") or (not line and before.endswith(":"))
        if not of_block and not re.match(r"(Training|Evaluation|After each|With p:)", line):
            break
        found.append(re.sub(r"\*(\w[\w ]*)\*", r"\1", line))
    return found


def averaged_over(norm: str, options: dict[str, Any]) -> torch.Tensor:
    """(images, channels, pixels) → whether the first value's output depends on this input, in training."""
    found = torch.zeros(IMAGES, CHANNELS, PIXELS[0] * PIXELS[1], dtype=torch.bool)
    for seed in range(20):  # a median depends on a value or two of each batch, a maximum on one side
        stream = torch.Generator().manual_seed(seed)
        layer = norms.build(norm, "custom", CHANNELS, PIXELS, stream, **options).double()
        x = torch.randn(IMAGES, CHANNELS, *PIXELS, generator=stream, dtype=torch.float64).requires_grad_()
        (gradient,) = torch.autograd.grad(layer(x)[0, 0, 0, 0], x)
        found |= gradient.flatten(2) != 0
    return found


def weights_averaged_over(norm: str) -> torch.Tensor:
    """(units, inputs) → whether the first weight depends on this one."""
    layer = nn.Linear(6, 4)
    norms.WEIGHT_NORMS[norm]["custom"](layer)
    names = [name for name, value in layer.named_parameters() if value.shape == (4, 6)]
    (gradient,) = torch.autograd.grad(layer.weight[0, 0], [layer.get_parameter(name) for name in names])
    return gradient != 0


def drawing(norm: str) -> Iterator[str]:
    """Rows of channels, a block for each image; or rows of units, for a norm of weights."""
    if norm in OF_WEIGHTS:
        yield f"{'':10}  weights"
        for unit, row in enumerate(weights_averaged_over(norm)):
            yield f"{f'unit {unit + 1}':10}  {_cells(row, unit == 0)}"
        return
    options = _shipped(norm)
    for number, (title, changed) in enumerate(DRAWN.get(norm, [("", {})])):
        if number:
            yield ""
        yield f"{title:20}  " + "  ".join(f"{f'image {image + 1}':8}" for image in range(IMAGES)).rstrip()
        cells = averaged_over(norm, {**options, **changed})
        for channel in range(CHANNELS):
            blocks = (_cells(cells[image, channel], image == channel == 0) for image in range(IMAGES))
            yield f"{f'channel {channel + 1}':20}  " + "  ".join(f"{block:8}" for block in blocks).rstrip()


def _cells(row: torch.Tensor, holds_the_value: bool) -> str:
    cells = "".join("█" if filled else "░" for filled in row.tolist())
    return "x" + cells[1:] if holds_the_value else cells


def _shipped(norm: str) -> dict[str, Any]:
    """The options of its config for the CNN."""
    return load_config(CONFIGS / f"cnn_{norm}.yaml").norm.options()


@cache
def _model(model: str, norm: str) -> nn.Module | None:
    path = CONFIGS / f"{model}_{norm}.yaml"
    return build_model(load_config(path)) if path.exists() else None


def _numbers(model: str, norm: str) -> tuple[int, int] | None:
    """The trained numbers that the norm adds to a network, and its running averages; None where it is not defined."""
    network, plain = _model(model, norm), _model(model, "none")
    if network is None or plain is None:
        return None
    kept = sum(buffer.numel() for name, buffer in network.named_buffers() if "running" in name)
    return parameter_count(network) - parameter_count(plain), kept


def _times() -> dict[str, list[str]]:
    """The rows of the table of costs in docs/performance.md: norm → its cells."""
    text = (REPOSITORY / "docs" / "performance.md").read_text()
    table = text[text.index("\n| norm | MLP, custom") :].split("\n\n")[0]
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().split("\n")[2:])
    return {row[0].strip("`"): row[1:] for row in rows}


def cost(norm: str) -> str:
    """In words: trained numbers, running averages, time of a step."""
    models = {"mlp": "MLP", "cnn": "CNN"}
    numbers = {name: found for model, name in models.items() if (found := _numbers(model, norm))}
    adds = " and ".join(f"{trained:,} in the {name}" for name, (trained, _) in numbers.items())
    sentence = f"Trained numbers: {adds}."
    if any(kept for _, kept in numbers.values()):
        averages = " and ".join(f"{kept:,} in the {name}" for name, (_, kept) in numbers.items())
        sentence += f" Running averages: {averages}."
    cells = _times().get(norm, [])
    times = [f"{cell} (in the {name})" for cell, name in zip(cells[::2], models.values(), strict=False) if cell]
    return (
        f"{sentence} A training step takes {' and '.join(times)} times as long as without a norm."
        if times
        else sentence
    )


def section(norm: str, what: str, source: str) -> Iterator[str]:
    """What stands above a norm's options; of a norm that is not in USES, nothing but `what` and `source`."""
    use, papers = USES.get(norm, ("", ""))
    links = ", ".join(f"[arXiv:{paper}](https://arxiv.org/abs/{paper})" for paper in papers.split(", ") if paper)
    where = ", ".join(filter(None, [source, links]))
    yield f"{what} Source: {where}." if where else what
    if use:
        yield from ["", "```text", *formula(norm), "", *drawing(norm), "```"]
        yield from ["", f"- **Cost.** {cost(norm)}", f"- **Used for.** {use}"]
