"""Fetches, verifies and stores datasets, and cuts them into splits and batches."""
