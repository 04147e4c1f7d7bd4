"""Engines make the training steps. `eager` is the reference; any other engine must give the same bytes."""
