"""Configs describe runs. They are read from YAML and checked before training starts. No torch here."""
