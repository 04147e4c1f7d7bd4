"""Datasets: fetched, verified, kept, and cut into splits and batches."""
