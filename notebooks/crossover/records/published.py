"""The published study: its table as trials, and its claims put to the test."""

import hashlib
import io
from math import isnan, nan
from pathlib import Path

import pandas as pd

from crossover.files import StorageError
from crossover.records.frame import NUMBERS
from crossover.records.settings import Settings

MACHINE = "Core i5 750 / GTX 660 (2018)"
SETTINGS = Settings(protocol="published")
DIGEST = "0651b6d1cda65b173712e8fa1366aa822436751f4206815b84222dba4f488bb6"
CPU_WINS_UP_TO = 134_794
LARGE, LARGE_SPEEDUP = 2_913_290, 5.0
# "Small" and "fine" are not defined in the source: under 100,000 parameters, and
# at most twice the GPU's time.
SMALL, FINE = 100_000, 2.0
CLAIMS = [
    ("The CPU is faster for small models", "up to 134,794 parameters"),
    ("The GPU is 5 times faster for large models", "at about 3 million parameters (5.83)"),
    ("Copying to the device slows the GPU at small sizes", "stated, not measured"),
    ("A small model is fine on a CPU", "stated"),
]


def read_table(path: Path) -> pd.DataFrame:
    """Read the published table as it stands in its file.

    Raises StorageError if that is missing, unreadable, or not the published one by its SHA-256.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    if hashlib.sha256(text.encode()).hexdigest() != DIGEST:
        raise StorageError(
            f"{path.name} is not the published table: restore it with "
            f"'git checkout data/reference/{path.name}' or download the project again."
        )
    return pd.read_csv(io.StringIO(text))


def load_published(path: Path) -> pd.DataFrame:
    """Read the published table as 18 trials, one a width and device.

    Its columns are ``width``, ``parameters`` and ``{cpu,gpu}_{seconds,accuracy}``; what the source
    does not tell is NaN or None.
    """
    table = read_table(path)
    frames = [
        table[["width", "parameters"]].assign(
            device=device,
            cold_seconds=table[f"{device}_seconds"],
            accuracy=table[f"{device}_accuracy"],
        )
        for device in ("cpu", "gpu")
    ]
    return pd.concat(frames, ignore_index=True).assign(
        machine=MACHINE,
        backend=SETTINGS.backend,
        protocol=SETTINGS.protocol,
        repeat=1,
        epochs=SETTINGS.epochs,
        steps=SETTINGS.steps,
        batch_size=SETTINGS.batch_size,
        clocks_held_down="",
        settings_digest=SETTINGS.digest,
        precision="float32",
        throttled=None,
        diverged=None,
        **dict.fromkeys(NUMBERS.keys() - {"cold_seconds", "accuracy"}, nan),
    )


def check_claims(
    speedups: pd.DataFrame, crossing: str, copy_seconds: float = nan, overhead_seconds: float = nan
) -> pd.DataFrame:
    """Test the published claims on the cold times of one machine, one row a claim.

    Its columns are ``claim``, ``published`` (what the source says), ``holds`` (True, False, or
    None: cannot be tested) and ``evidence``.

    Parameters
    ----------
    speedups : DataFrame
        Rows of `crossover.analysis.speedup.speedups`; ValueError unless all are of one machine,
        backend and protocol.
    crossing : str
        The cold sentence of `crossover.analysis.comparison.crossovers` for them.
    copy_seconds, overhead_seconds : float
        What a GPU step spends on copying its batch to the device, and on all that does not grow
        with the model; NaN where that was not measured.
    """
    if len(speedups[["machine", "backend", "protocol"]].drop_duplicates()) > 1:
        raise ValueError("claims are tested on one machine, backend and protocol at a time")
    both = speedups.dropna(subset=["cold_speedup"]).sort_values("parameters")
    verdicts = [
        _cpu_wins(both, crossing),
        _gpu_wins(both),
        _copying(copy_seconds, overhead_seconds),
        _fine(both),
    ]
    table = pd.DataFrame(CLAIMS, columns=["claim", "published"])
    return table.join(pd.DataFrame(verdicts, columns=["holds", "evidence"], dtype=object))


def _cpu_wins(both: pd.DataFrame, sentence: str) -> tuple[bool | None, str]:
    """Whether the CPU is faster at every measured size up to the published one."""
    rows = both[both["parameters"] <= CPU_WINS_UP_TO]
    if rows.empty:
        return None, f"No size up to {CPU_WINS_UP_TO:,} parameters was measured on both devices."
    wins = int((rows["cold_speedup"] < 1).sum())
    largest = rows["parameters"].iloc[-1]
    evidence = f"CPU faster at {wins} of {len(rows)} sizes up to {largest:,} parameters."
    return wins == len(rows), f"{evidence} {sentence}"


def _gpu_wins(both: pd.DataFrame) -> tuple[bool | None, str]:
    """Whether the GPU is at least 5 times faster within 20 % of the largest size."""
    rows = both[(both["parameters"] / LARGE - 1).abs() <= 0.2]
    if rows.empty:
        return None, "No size near 3 million parameters was measured on both devices."
    row = rows.iloc[int((rows["parameters"] - LARGE).abs().to_numpy().argmin())]
    speedup = float(row["cold_speedup"])
    evidence = f"At {row['parameters']:,} parameters, CPU time / GPU time is {speedup:.2f}."
    return speedup >= LARGE_SPEEDUP, evidence


def _copying(copy: float, overhead: float) -> tuple[bool | None, str]:
    """Whether copying is more than half of a GPU step's fixed time."""
    share = copy / overhead if overhead > 0 else nan
    if isnan(share):
        return None, "The copy and the overhead of a GPU step were not both measured."
    times = f"{copy * 1e6:,.0f} of {overhead * 1e6:,.0f} µs"
    return share > 0.5, f"Copying takes {times} of a GPU step's fixed time ({share:.0%})."


def _fine(both: pd.DataFrame) -> tuple[bool | None, str]:
    """Whether small models take at most twice the GPU's time on the CPU."""
    rows = both[both["parameters"] < SMALL]
    if rows.empty:
        return None, f"No size under {SMALL:,} parameters was measured on both devices."
    worst = float(rows["cold_speedup"].max())
    evidence = (
        f"Under {SMALL:,} parameters the CPU takes at most {worst:.2f} times as long as the GPU "
        f"(fine: at most {FINE:.0f} times)."
    )
    return worst <= FINE, evidence
