"""The engines: what makes the training steps. eager.py is the reference, and the others give its bits, or give up."""

from collections.abc import Callable, Sequence

from bnbench.training.engines.eager import Eager
from bnbench.training.network import Engine, MakeEngine, Network


def engine_maker(name: str, say: Callable[[str], None]) -> MakeEngine:
    """The engine called eager, traced or stacked; `say` is told where eager has to take over."""
    if name == "eager":
        return Eager

    def make(networks: Sequence[Network]) -> Engine:
        from bnbench.training.engines.checked import Checked
        from bnbench.training.engines.stacked import Stacked
        from bnbench.training.engines.traced import Traced

        traced = Checked(networks, Traced(networks), Eager(networks), say)
        if name == "traced" or len(networks) == 1:
            return traced
        return Checked(networks, Stacked(networks), traced, say)

    return make
