"""torch.optim without torch's compiler, which bnbench does not use.

An optimizer imports torch._dynamo when it is made and at every step, only to tell it to keep out: two
seconds and 900 modules in every process. Until something asks it for more, a module of the two functions
that optimizers call stands in its place; then the real one is imported.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

NAME = "torch._dynamo"


class _KeepsOut(ModuleType):
    def graph_break(self, msg: str = "") -> None:
        """Outside a compilation the real one does nothing either."""

    def disable(self, fn: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Callable[..., Any]:
        """`fn` uncompiled, which it is; or the decorator that leaves it so."""
        return fn if fn is not None else lambda fn: fn

    def __getattr__(self, name: str) -> Any:  # of anything else
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
        return getattr(importlib.import_module(NAME), name)


@contextmanager
def uncompiled() -> Iterator[None]:
    """In the block, optimizers are made and step without importing the compiler."""
    if NAME in sys.modules:
        yield
        return
    sys.modules[NAME] = stand_in = _KeepsOut(NAME)
    try:
        yield
    finally:
        if sys.modules.get(NAME) is stand_in:
            del sys.modules[NAME]
