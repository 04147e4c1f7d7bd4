"""The commands, one in each file: parse the options, call a plain function, print.

Heavy imports stay inside the functions, so that `bnbench --help` needs no torch.

Exit codes: 0 done · 1 a check or a gate failed · 2 usage or config · 3 a run failed ·
4 data missing or damaged · 129, 130 and 143 interrupted · 141 the reader of a pipe closed it.
"""

from bnbench.signals import stop_at_once

with stop_at_once():  # a signal during the imports says so, too
    # This order is the order of --help.
    from bnbench.cli import run, plan, tune, study, compare, report, show, diff, export  # noqa: F401, I001
    from bnbench.cli import verify, check, norms, data  # noqa: F401
    from bnbench.cli.app import app

__all__ = ["app"]
