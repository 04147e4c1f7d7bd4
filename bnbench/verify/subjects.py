"""What is verified of each norm: its options, the shapes, the reference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bnbench import norms
from bnbench.verify import formulas, references
from bnbench.verify.formulas import FormulaReference
from bnbench.verify.references import NumpyReference, TorchReference

# A few values a channel at least: of two, the normalized values are ±1, and rounding is all that is left to compare.
VECTORS = ((8, 6), (64, 4))
IMAGES = ((4, 6, 5, 5), (1, 4, 3, 7))
Shape = tuple[int, ...]
Options = dict[str, Any]
Reference = TorchReference | NumpyReference | FormulaReference


@dataclass(frozen=True)
class Case:
    """One layer to check: the options it is built with, the shape of its inputs, and whether it has γ and β."""

    shape: Shape
    options: Options = field(default_factory=dict)
    affine: bool = True

    def __str__(self) -> str:
        shown = [f"{key}={value}" for key, value in self.options.items()] + ([] if self.affine else ["affine=False"])
        return f"input {self.shape}{', ' if shown else ''}{', '.join(shown)}"


@dataclass(frozen=True)
class Subject:
    """A norm of activations. The first options are the usual ones; `reference(case)` is made anew for each case."""

    norm: str
    reference: Callable[[Case], Reference]
    options: Sequence[Options] = ({},)
    shapes: Sequence[Shape] = VECTORS + IMAGES
    # A batch norm relative: by statistics of the batch in training, refusing one value a channel.
    over_batch: bool = True
    torch_state: bool = False  # whether PyTorch's module takes its state_dict
    ignores_scale: bool = True  # whether norm(a x) = norm(x)

    def cases(self) -> list[Case]:
        """Every shape; then without γ and β, and every other option, on a vector and an image."""
        usual, *others = self.options
        few = self.few_shapes()
        cases = [Case(shape, usual) for shape in self.shapes] + [Case(shape, usual, affine=False) for shape in few]
        return cases + [Case(shape, options) for options in others for shape in few]

    def few_shapes(self) -> list[Shape]:
        """One shape of vectors and one of images, where both are defined."""
        return [next(s for s in self.shapes if len(s) == d) for d in (2, 4) if any(len(s) == d for s in self.shapes)]


def build(norm: str, case: Case, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The custom layer for `case`, with γ and β drawn at random so that no gradient is special."""
    stream = torch.Generator().manual_seed(1)
    layer = norms.build(norm, "custom", case.shape[1], case.shape[2:], stream, affine=case.affine, **case.options).to(
        dtype
    )
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=stream, dtype=dtype))
    return layer


def inputs(shape: Shape, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Of mean 2 and deviation 3, drawn in float64 and rounded to `dtype`."""
    return (3 * torch.randn(shape, generator=_stream(seed), dtype=torch.float64) + 2).to(dtype)


def upstream(shape: Shape, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Weights of a sum over the outputs, so that no gradient is zero by symmetry."""
    return torch.randn(shape, generator=_stream(1_000 + seed), dtype=torch.float64).to(dtype)


def _stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _builtin(norm: str) -> Callable[[Case], Reference]:
    def reference(case: Case) -> Reference:
        return TorchReference(
            norms.NORMS[norm]["builtin"](case.shape[1], case.shape[2:], affine=case.affine, **case.options)
        )

    return reference


def _numpy(build_reference: Callable[..., NumpyReference]) -> Callable[[Case], Reference]:
    return lambda case: build_reference(case.shape[1], **case.options)


def _batch_reference(case: Case) -> Reference:
    """torch's batch norm; of the biased running variance, which torch does not have, NumPy's."""
    if case.options.get("running_var") == "biased":
        return references.batch(case.shape[1], unbiased=False)
    return _builtin("batch")(case)


def _rms_reference(case: Case) -> Reference:
    """torch's RMS norm; of the first values alone, which torch does not have, NumPy's."""
    return formulas.partial_rms(**case.options) if "p" in case.options else _builtin("rms")(case)


def _ghost_reference(case: Case) -> Reference:
    """torch's batch norm on one part after the other."""
    options = dict(case.options)
    part = options.pop("virtual_batch_size")
    module = norms.NORMS["batch"]["builtin"](case.shape[1], case.shape[2:], affine=case.affine, **options)
    return TorchReference(module, part)


MOMENTA: tuple[Options, ...] = ({"momentum": 0.9}, {"momentum": None})
NO_NOISE = {"n_mu": 0.0, "n_sigma": 1.0, "r_mu": 0.0, "r_sigma": 0.0}

SUBJECTS = {
    subject.norm: subject
    for subject in (
        Subject(
            "batch",
            _batch_reference,
            options=(
                {},
                *MOMENTA,
                {"momentum": 0.0},
                {"eps": 0.1},
                {"running_var": "biased"},
                {"track_running_stats": False},
            ),
            torch_state=True,
        ),
        Subject("layer", _builtin("layer"), options=({}, {"eps": 0.1}), over_batch=False, torch_state=True),
        Subject(
            "instance",
            _builtin("instance"),
            options=({}, {"eps": 0.1}, {"track_running_stats": True}, {"track_running_stats": True, "momentum": 0.9}),
            shapes=IMAGES,
            over_batch=False,
            torch_state=True,
        ),
        Subject(
            "group",
            _builtin("group"),
            options=({"num_groups": 2}, {"num_groups": 1}, {"num_groups": 3, "eps": 0.1}),
            shapes=((8, 12), (64, 8), (4, 6, 5, 5), (1, 4, 3, 7)),
            over_batch=False,
            torch_state=True,
        ),
        Subject(
            "rms",
            _rms_reference,
            options=({}, {"eps": 0.1}, {"p": 0.5}, {"p": 0.29, "eps": 0.1}),
            over_batch=False,
            torch_state=True,
        ),
        Subject("l1_batch", _numpy(references.l1), options=({}, {"gaussian": True}, {"eps": 0.1}, *MOMENTA)),
        Subject(
            "lp_batch",
            _numpy(references.lp),
            options=({"p": 2}, {"p": "inf"}, {"p": 2, "centered": False}, {"p": "inf", "centered": False, "eps": 0.1}),
        ),
        Subject(
            "generalized_batch",
            _numpy(references.generalized),
            options=(
                {"pair": "mean_deviation"},
                {"pair": "median_mad"},
                {"pair": "midrange"},
                {"pair": "quantile"},
                {"pair": "quantile", "alpha": 0.1, "eps": 0.1},
                {"pair": "quantile", "alpha": 0.55},
            ),
        ),
        Subject(
            "batch_renorm",
            _numpy(references.renorm),
            # The paper's schedule never leaves batch norm in 100 steps; these reach its limits, and clip.
            options=(
                {"warmup_steps": 10, "r_max_steps": 60, "d_max_steps": 40},
                {"warmup_steps": 0, "r_max_steps": 0, "d_max_steps": 0, "r_max": 1.1, "d_max": 0.1, "momentum": 0.1},
                {},
                {"eps": 0.1},
            ),
        ),
        Subject(
            "ghost_batch",
            _ghost_reference,
            options=({"virtual_batch_size": 4}, {"virtual_batch_size": 5, "momentum": None}),
            shapes=((8, 6), (64, 4), (7, 3, 5, 5), (16, 2, 4, 4)),
            torch_state=True,
        ),
        Subject(
            "noisy_batch",
            lambda case: _builtin("batch")(Case(case.shape, {}, case.affine)),
            options=(NO_NOISE,),
            torch_state=True,
        ),
        Subject("sync_batch", _builtin("sync_batch"), options=({}, *MOMENTA), torch_state=True),
        Subject("mean_only_batch", _numpy(references.mean_only), options=({}, *MOMENTA), ignores_scale=False),
        Subject("variance_only_batch", _numpy(references.variance_only), options=({}, {"eps": 0.1}, *MOMENTA)),
        Subject("dyt", lambda case: formulas.dynamic_tanh(), over_batch=False, ignores_scale=False),
        Subject("derf", lambda case: formulas.dynamic_erf(), over_batch=False, ignores_scale=False),
        Subject(
            "filter_response",
            lambda case: formulas.filter_response(**case.options),
            options=({}, {"eps": 0.1}),
            shapes=IMAGES,
            over_batch=False,
        ),
        Subject(
            "evonorm_s0",
            lambda case: formulas.evonorm_s0(**case.options),
            options=({"num_groups": 2}, {"num_groups": 1}, {"num_groups": 3, "eps": 0.1}),
            shapes=((8, 12), (64, 8), (4, 6, 5, 5), (1, 4, 3, 7)),
            over_batch=False,
            ignores_scale=False,
        ),
        Subject(
            "evonorm_b0",
            lambda case: formulas.EvoNormB0Reference(case.shape[1], **case.options),
            options=({}, {"eps": 0.1}, *MOMENTA),
            ignores_scale=False,
        ),
    )
}
