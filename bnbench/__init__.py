"""bnbench: what does a normalization layer do to training?

    import bnbench

    configs = bnbench.load_config("configs/mlp_bn.yaml", seeds="0..9")
    runs = bnbench.run(configs)
    print(bnbench.compare("results"))

Two halves meet on disk: the training half (torch) writes run directories, the reading half (no torch)
compares them. Importing bnbench imports neither; `bnbench --help` lists the same on the command line.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "BnbenchError",
    "CheckFailed",
    "Comparison",
    "Config",
    "ConfigError",
    "DataError",
    "Interrupted",
    "ResultsError",
    "Run",
    "RunError",
    "Runs",
    "Tuned",
    "__version__",
    "compare",
    "load_config",
    "norms",
    "read_runs",
    "run",
    "tune",
]

if TYPE_CHECKING:
    from bnbench import norms
    from bnbench.api import (
        BnbenchError,
        CheckFailed,
        Comparison,
        Config,
        ConfigError,
        DataError,
        Interrupted,
        ResultsError,
        Run,
        RunError,
        Runs,
        Tuned,
        compare,
        load_config,
        read_runs,
        run,
        tune,
    )


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import bnbench` costs nothing and reading needs no torch."""
    if name not in __all__:
        raise AttributeError(f"module 'bnbench' has no attribute {name!r}")
    from importlib import import_module

    return import_module("bnbench.norms") if name == "norms" else getattr(import_module("bnbench.api"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
