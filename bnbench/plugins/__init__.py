"""Norms of one's own: from the file that `--norms` names, and from installed packages.

A config names a norm and never code. What it may name is a norm of bnbench, of the given file, or of the
entry-point group `bnbench.norms`. The code that reads results imports none of them.
"""
