"""A run's folder: its format, and how to write, find, lock and read it.

Training writes these folders, and analysis reads them.
"""
