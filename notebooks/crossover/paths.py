"""The one place that knows the project's folders."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOKS = PROJECT / "notebooks"
DATA = PROJECT / "data"
MNIST = DATA / "mnist.npz"
REFERENCES = DATA / "reference"
PUBLISHED = REFERENCES / "published.csv"
RUNS = DATA / "runs"
# Of the reader's own models, beside the main study's trials.
OWN_MODELS = RUNS / "main" / "own"
FIGURES = PROJECT / "figures"
PROFILES = PROJECT / "workflow" / "profiles"
# What benchmarks/coverage.py measured.
COVERAGE, STATUSES = REFERENCES / "coverage.csv", REFERENCES / "statuses.csv"
