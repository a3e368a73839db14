"""The one place that knows the project's folders."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOKS = PROJECT / "notebooks"
DATA = PROJECT / "data"
MNIST = DATA / "mnist.npz"
REFERENCES = DATA / "reference"
PUBLISHED = REFERENCES / "published.csv"
RUNS = DATA / "runs"
FIGURES = PROJECT / "figures"
PROFILES = PROJECT / "workflow" / "profiles"
# What benchmarks/coverage.py measured.
COVERAGE, STATUSES = REFERENCES / "coverage.csv", REFERENCES / "statuses.csv"
