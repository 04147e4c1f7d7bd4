"""The custom norms held against PyTorch's modules, independent references and their papers' identities.

verify(["batch"]) → one Row a check and dtype. Needs no data; a few seconds for one norm.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from bnbench import norms
from bnbench.config.problems import closest
from bnbench.errors import ConfigError
from bnbench.verify import checks, edges, half, identities, later, processes, published, standardized, weights, worked
from bnbench.verify.rows import FLOAT32, FLOAT64, NAMES, TOLERANCE, Errors, Row
from bnbench.verify.subjects import SUBJECTS

Found = dict[str, Errors] | Errors | None

TOLERANCES = {
    **checks.TOLERANCES,
    **edges.TOLERANCES,
    **published.TOLERANCES,
    **identities.TOLERANCES,
    **weights.TOLERANCES,
    **standardized.TOLERANCES,
    "tutorial's example": {FLOAT64: 5e-5, FLOAT32: 5e-5},  # it prints four digits
}


# The norms of weights, whose input is no batch, have checks of their own.
OF_WEIGHTS = {"weight": weights.CHECKS, "scaled_weight_standardization": standardized.CHECKS}


def names() -> list[str]:
    """Every norm that there is a reference for."""
    return [norm for norm in _built() if norm in SUBJECTS or norm in OF_WEIGHTS]


def without_reference() -> list[str]:
    """The norms that can be trained and not verified."""
    return [norm for norm in _built() if norm not in names()]


def _built() -> list[str]:
    return [*norms.NORMS, *norms.WEIGHT_NORMS]


def choose(wanted: Sequence[str]) -> list[str]:
    """The norms called `wanted`, each once; all for none.

    Raises ConfigError for a name that is no norm's, or a norm's that has no reference.
    """
    problems = []
    for name in dict.fromkeys(wanted):
        if name in without_reference():
            problems.append(f"{name} has no reference to be held against; give it one in bnbench/verify/subjects.py")
        elif name not in names():
            close = closest(name, names())
            problems.append(f"there is no norm called {name!r}{f'; did you mean {close}?' if close else ''}")
    if problems:
        raise ConfigError("\n".join([*problems, f"the norms are {', '.join(names())}"]))
    return list(dict.fromkeys(wanted)) or names()


def verify(chosen: Sequence[str]) -> Iterator[Row]:
    """The rows of `chosen` norms, as they are found. Leaves PyTorch's global generator alone."""
    for norm in chosen:
        for check, run in _checks(norm):
            for dtype in _dtypes(check):
                yield from _rows(norm, check, dtype, run)


def _dtypes(check: str) -> tuple[torch.dtype, ...]:
    return half.DTYPES if check in half.CHECKS else (FLOAT64, FLOAT32)


def _checks(norm: str) -> Iterator[tuple[str, Callable[[torch.dtype], Found]]]:
    if norm in OF_WEIGHTS:
        yield from OF_WEIGHTS[norm].items()
        return
    subject = SUBJECTS[norm]
    for name, check in (checks.CHECKS | edges.CHECKS | half.CHECKS).items():
        yield name, lambda dtype, check=check: check(subject, dtype)  # type: ignore[misc]
    yield from identities.IDENTITIES.get(norm, {}).items()
    yield from later.IDENTITIES.get(norm, {}).items()
    yield from published.PUBLISHED.get(norm, {}).items()
    if norm == "batch":
        yield "tutorial's example", worked.tutorial_example
        yield "note's example", worked.note_example
    if norm == "sync_batch":
        yield "two processes", processes.two_processes


def _rows(norm: str, check: str, dtype: torch.dtype, run: Callable[[torch.dtype], Found]) -> Iterator[Row]:
    try:
        with torch.random.fork_rng(devices=[]), _one_thread():
            torch.manual_seed(0)
            found = run(dtype)
    except Exception as error:  # a broken layer may raise anything; that is a failed check, not a crash
        found = Errors()
        found.fail(f"{type(error).__name__}: {error}")
    for name, errors in (found if isinstance(found, dict) else {check: found}).items():
        if errors is not None:
            tolerance = TOLERANCES.get(name, TOLERANCE).get(dtype, TOLERANCE[dtype])
            yield Row(norm, name, NAMES[dtype], errors.absolute, errors.relative, tolerance, errors.case)


@contextmanager
def _one_thread() -> Iterator[None]:
    """More threads gain nothing with tensors of this size. On a busy machine they wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
