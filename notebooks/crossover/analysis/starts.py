"""What a training costs once, and which of its times leave that out."""

from __future__ import annotations

import pandas as pd


def timing_of(trials: pd.DataFrame) -> str:
    """'steady' where such times are known, else 'cold': single epochs, and published tables."""
    return "steady" if trials["steady_seconds"].notna().any() else "cold"


def start_seconds(trials: pd.DataFrame) -> pd.Series[float]:
    """Seconds that each training costs once, whatever its epochs: tracing and compiling.

    The cold time less the steady one, not below zero; NaN where there is no steady time.
    """
    return (trials["cold_seconds"] - trials["steady_seconds"]).astype(float).clip(lower=0)
