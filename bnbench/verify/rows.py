"""One row a check, and how its errors are measured."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

FLOAT64, FLOAT32 = torch.float64, torch.float32
FLOAT16, BFLOAT16 = torch.float16, torch.bfloat16
# Of scale: the largest error divided by the largest expected value.
# In half precision, what is rounded twice: a parameter or an average, then the output.
TOLERANCE = {FLOAT64: 1e-10, FLOAT32: 1e-5, FLOAT16: 1e-3, BFLOAT16: 8e-3}
NAMES = {FLOAT64: "float64", FLOAT32: "float32", FLOAT16: "float16", BFLOAT16: "bfloat16"}


@dataclass(frozen=True)
class Row:
    """A check's outcome. `relative` is the largest error over the largest expected magnitude of its tensor."""

    norm: str
    check: str
    dtype: str
    absolute: float
    relative: float
    tolerance: float
    case: str  # where the largest error was, or what went wrong

    @property
    def passed(self) -> bool:
        return self.relative <= self.tolerance  # False for NaN


class Errors:
    """The largest absolute and relative error of many comparisons, and where it was."""

    def __init__(self) -> None:
        self.absolute = self.relative = 0.0
        self.case = ""

    def compare(self, actual: Tensor, expected: Tensor, case: object = "", *, scale: float | None = None) -> None:
        """Take in one tensor. `scale` is the largest expected magnitude; 1 where all of it is 0."""
        if actual.shape != expected.shape:
            return self.fail(f"{case}: shape {tuple(actual.shape)}, expected {tuple(expected.shape)}")
        difference = (actual.detach().double() - expected.detach().double()).abs()
        absolute = difference.max().item() if difference.numel() else 0.0
        if scale is None:
            scale = expected.detach().abs().max().item() or 1.0
        relative = absolute / scale
        if math.isnan(absolute):
            absolute = relative = math.inf
        self.absolute = max(self.absolute, absolute)
        if relative > self.relative:
            self.relative, self.case = relative, str(case)
        return None

    def require(self, holds: bool, case: object) -> None:
        """A yes or no: no error where it holds, an infinite one where not."""
        if not holds:
            self.fail(case)

    def fail(self, case: object) -> None:
        self.absolute = self.relative = math.inf
        self.case = " ".join(str(case).split())
