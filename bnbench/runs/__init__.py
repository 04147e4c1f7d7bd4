"""A run's folder: its format, how it is written, found, locked and read. The two halves meet here."""
