"""bnbench: what does a normalization layer do to training?

Two halves that meet on disk: the training half (torch) writes run directories,
the reading half (no torch) compares them. Start with `bnbench --help`.
"""

__version__ = "0.1.0"
