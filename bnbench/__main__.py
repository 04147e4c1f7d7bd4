"""`python -m bnbench` is the `bnbench` command."""

from bnbench.cli import app

app(prog_name="bnbench")
