"""Launches the runs of a command: plans them, trains them here or on a cluster, and collects their outcomes."""
