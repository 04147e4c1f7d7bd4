"""One run: the train loop, the checkpoint, and what ties them to a config."""
