"""The norms that a config may name, with their options. Each file holds one family. No torch here.

To add a norm, add its options and their entry in NORMS of a file here, and its layer in bnbench/norms/.
"""

import re
from collections.abc import Callable

from bnbench.config.norms import activating, base, batch, dynamic, features, relatives, weight
from bnbench.config.norms.base import NormOptions

# Looked up each time a config is read, so that `register` can add to it.
NORMS: dict[str, type[NormOptions]] = {
    "none": base.NoNormConfig,
    **batch.NORMS,
    **features.NORMS,
    **weight.NORMS,
    **relatives.NORMS,
    **dynamic.NORMS,
    **activating.NORMS,
}


def register(name: str, options: type[NormOptions]) -> None:
    """Let configs name your own norm. Put its layer into `bnbench.norms.NORMS[name]`.

    Raises ValueError where the name is taken or not valid.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"{name!r} is not a norm's name: use small letters, digits and '_'")
    if name in NORMS:
        raise ValueError(f"there is already a norm called {name}")
    NORMS[name] = options


# Each is told of a norm that a config names and that is not in NORMS, and may `register` it.
FINDERS: list[Callable[[str], None]] = []


def find(name: str) -> None:
    for finder in FINDERS:
        finder(name)
