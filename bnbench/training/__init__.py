"""Trains runs: the train loop, checkpoints, and the code that connects them to configs and folders."""
