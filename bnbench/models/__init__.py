"""The tutorial's networks."""
