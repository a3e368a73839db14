"""Measure from which model size on a GPU trains faster than a CPU."""

__version__ = "0.1.0"
