"""The published study: its table as trials, and its claims put to the test."""

import hashlib
import io
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

import pandas as pd

from crossover.files import StorageError
from crossover.problem import BATCH_SIZE, batch_bytes
from crossover.records.frame import NUMBERS
from crossover.records.settings import Settings

MACHINE = "Core i5 750 / GTX 660 (2018)"
YEAR = "2018"
PROCESSORS = {"cpu": f"Core i5 750 ({YEAR})", "gpu": f"GeForce GTX 660 ({YEAR})"}
SETTINGS = Settings(protocol="published")
DIGEST = "0651b6d1cda65b173712e8fa1366aa822436751f4206815b84222dba4f488bb6"
CPU_WINS_UP_TO = 134_794
LARGE, LARGE_SPEEDUP = 2_913_290, 5.0
# "Small" and "fine" are not defined in the source: under 100,000 parameters, and
# at most twice the GPU's time.
SMALL, FINE = 100_000, 2.0
MOST = 0.5  # Beyond this share of it, copying explains a step's overhead.
# What a Core i5 750 offers a graphics card: one port of 16 lanes of PCI Express 2.0 (Intel, Core
# i7-800 and i5-700 Desktop Processor Series, datasheet), whose lanes move 5 · 10⁹ bits a second
# each way, ten of them for eight of data (PCI Express Base Specification 2.0).
LINK = "PCI Express 2.0 x16"
LINK_BYTES_PER_SECOND = 16 * 5e9 * 8 / 10 / 8
CLAIMS = [
    ("The CPU is faster for small models", "up to 134,794 parameters"),
    ("The GPU is 5 times faster for large models", "at about 3 million parameters (5.83)"),
    ("Copying to the device is what makes the GPU slow at small sizes", "stated, not measured"),
    ("A small model is fine on a CPU", "stated"),
]


@dataclass(frozen=True)
class Copying:
    """What copying one batch to a GPU takes of a published step there; seconds, NaN where unknown.

    ``batch`` is its bytes. ``seconds`` are those of a copy from ordinary memory, as Keras's ``fit``
    copies, or ``inferred`` from the rate of the link to the card; ``pinned_seconds`` those from
    pinned memory, which a card reads by itself, and ``unpinned`` why there is none;
    ``block_rate`` is that of a large block, in bytes a second. ``overhead_seconds`` is what a step
    costs whatever the model's size. ``reason`` says why there is no share.
    """

    seconds: float = nan
    overhead_seconds: float = nan
    pinned_seconds: float = nan
    unpinned: str = ""
    block_rate: float = nan
    inferred: bool = False
    batch: int = batch_bytes(BATCH_SIZE)
    reason: str = ""

    @property
    def share(self) -> float:
        """The copy's share of the overhead; NaN where one of them is unknown."""
        return self.seconds / self.overhead_seconds if self.overhead_seconds > 0 else nan

    @property
    def explains(self) -> bool | None:
        """Whether the copy is most of the overhead; None where that is unknown."""
        return None if isnan(self.share) else self.share > MOST

    @property
    def slowdown(self) -> float:
        """How many times slower the copy would have to be to be most of the overhead."""
        return MOST / self.share

    @property
    def block(self) -> str:
        """The rate of both copies in words; empty where that of a large block is unknown."""
        if isnan(self.block_rate):
            return ""
        own, large = (f"{rate / 1e6:,.0f}" for rate in (self.batch / self.seconds, self.block_rate))
        return f", at {own} MB/s where a large block reaches {large}"

    @property
    def pinned(self) -> str:
        """How long the copy from pinned memory takes, in words."""
        if isnan(self.pinned_seconds):
            return f"not measured{self.unpinned}"
        return f"{self.pinned_seconds * 1e6:,.0f} µs"


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
            processor=PROCESSORS[device],
            cold_seconds=table[f"{device}_seconds"],
            accuracy=table[f"{device}_accuracy"],
        )
        for device in ("cpu", "gpu")
    ]
    return pd.concat(frames, ignore_index=True).assign(
        machine=MACHINE,
        date=YEAR,
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
        warmed=None,
        **dict.fromkeys(NUMBERS.keys() - {"cold_seconds", "accuracy"}, nan),
    )


def check_claims(speedups: pd.DataFrame, crossing: str, copying: Copying) -> pd.DataFrame:
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
    copying : Copying
        What copying a batch takes of a step on that machine's GPU.
    """
    if len(speedups[["machine", "backend", "protocol"]].drop_duplicates()) > 1:
        raise ValueError("claims are tested on one machine, backend and protocol at a time")
    both = speedups.dropna(subset=["cold_speedup"]).sort_values("parameters")
    verdicts = [
        _cpu_wins(both, crossing),
        _gpu_wins(both),
        _copying(copying),
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
    """Whether the GPU is at least 5 times faster within 20% of the largest size."""
    rows = both[(both["parameters"] / LARGE - 1).abs() <= 0.2]
    if rows.empty:
        return None, "No size near 3 million parameters was measured on both devices."
    row = rows.iloc[int((rows["parameters"] - LARGE).abs().to_numpy().argmin())]
    speedup = float(row["cold_speedup"])
    evidence = f"At {row['parameters']:,} parameters, CPU time / GPU time is {speedup:.2f}"
    if not isnan(steady := row["steady_speedup"]):
        evidence += f" (of steady times, without what a training costs once, {steady:.2f})"
    evidence += "."
    return speedup >= LARGE_SPEEDUP, evidence


def _copying(copying: Copying) -> tuple[bool | None, str]:
    """Whether copying is most of a GPU step's overhead."""
    if copying.explains is None:
        return None, copying.reason
    took, overhead = (
        f"{seconds * 1e6:,.0f} µs" for seconds in (copying.seconds, copying.overhead_seconds)
    )
    fixed = f"{copying.share:.1%} of the {overhead} that a GPU step costs whatever the model's size"
    if not copying.inferred:
        pinned = f"from pinned memory: {copying.pinned}"
        return copying.explains, f"Copying a batch takes {took} ({pinned}), {fixed}."
    return copying.explains, (
        f"By inference: at {LINK_BYTES_PER_SECOND / 1e6:,.0f} MB/s, the most that {LINK} moves, a "
        f"batch is copied in {took}, {fixed}; to be most of that, the copy would have to be "
        f"{copying.slowdown:.0f} times slower."
    )


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
