"""Engines: what makes the training steps. `eager` is the reference; another gives the same bytes, or is not used."""
