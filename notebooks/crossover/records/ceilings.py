"""The ceilings record: how fast a machine's device copies and multiplies."""

import statistics
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pandas as pd
from pydantic import AfterValidator, Field

from crossover.files import write_text
from crossover.records.jsontext import Problem, find_model, read_folder
from crossover.records.record import Measured, Seconds, Text
from crossover.records.settings import Backend, Device, Frozen, Precision, Width

# No call takes no time: the rates divide by these.
Sample = Annotated[float, Field(gt=0, le=1e7)]
Samples = Annotated[list[Sample], Field(min_length=1, max_length=1000)]

Kind = Literal[
    "matrix products",
    "other arithmetic",
    "copying to the device",
    "copying from the device",
    "waiting for a batch",
    "starting operations",
    "Python",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


def _not_all_zero(seconds: dict[Kind, float]) -> dict[Kind, float]:
    if not any(seconds.values()):
        raise ValueError("it took no time")
    return seconds


class StepProfile(Frozen):
    """The wall clock of a published step under the framework's profiler, split by kind.

    ``seconds`` of each kind add up to the step: a moment counts for the first kind that any thread
    was in. ``untraced_seconds`` are those of the same step without the profiler, just before.
    """

    steps: Annotated[int, Field(ge=1)]
    seconds: Annotated[dict[Kind, Seconds], Field(min_length=1), AfterValidator(_not_all_zero)]
    untraced_seconds: Sample | None = None

    @property
    def step_seconds(self) -> float:
        """Seconds of a profiled step."""
        return sum(self.seconds.values())


class Peak(Frozen):
    """A way to do as much arithmetic as the device can: ``flops`` in ``seconds``, raw samples."""

    way: Text
    precision: Precision = "float32"
    flops: Annotated[int, Field(ge=1)]
    seconds: Samples

    @property
    def flops_per_second(self) -> float:
        """The rate that this way reaches (median)."""
        return self.flops / statistics.median(self.seconds)


class WidthCeilings(Frozen):
    """Seconds of the parts of one training step at one width.

    ``products_loop`` are the step's matrix products (forward, and both of the backward pass) inside
    one compiled loop, in the fastest of the ways tried, ``products_call`` the same with one call of
    the framework a step, as the published protocol multiplies; ``optimizer`` is Adam's arithmetic
    on all parameters inside one compiled loop; ``profile`` is a published step under the
    framework's profiler, where that works. All products are of float32; ``tf32_loop`` and
    ``tf32_call`` are the same with TF32 allowed, None where the device has none. ``products_blas``
    are the same through NumPy's BLAS, on a CPU. ``seconds`` is what measuring all this took.
    """

    width: Width
    product_flops: Annotated[int, Field(ge=1)]
    products_loop: Samples
    products_call: Samples
    optimizer: Samples
    profile: StepProfile | None = None
    tf32_loop: Samples | None = None
    tf32_call: Samples | None = None
    products_blas: Samples | None = None
    seconds: Seconds | None = None

    def products_seconds(self, precision: Precision = "float32") -> float:
        """Seconds of a step's matrix products, the faster way (median).

        TF32's products are those of float32 where they were not measured.
        """
        ways: list[list[float] | None] = [self.products_loop, self.products_call]
        if precision == "tf32":
            ways += [self.tf32_loop, self.tf32_call]
        return min(statistics.median(way) for way in ways if way is not None)

    def flops_per_second(self, precision: Precision = "float32") -> float:
        """The rate that the matrix products of this width reach."""
        return self.product_flops / self.products_seconds(precision)

    def ways(self, precision: Precision) -> list[Peak]:
        """A step's products as ways to do arithmetic, the framework's and BLAS's."""
        what = f"the products of a step at width {self.width}"
        seconds = self.products_seconds(precision)
        ways = [Peak(way=what, precision=precision, flops=self.product_flops, seconds=[seconds])]
        if self.products_blas:
            way = f"{what}, NumPy's BLAS"
            ways.append(Peak(way=way, flops=self.product_flops, seconds=self.products_blas))
        return ways

    @property
    def blas_flops_per_second(self) -> float | None:
        """The rate that NumPy's BLAS reaches with the same products; None on a GPU."""
        seconds = self.products_blas
        return self.product_flops / statistics.median(seconds) if seconds else None


class Ceilings(Measured):
    """What one device can do, measured beside the study; seconds are raw samples.

    ``batch_copy`` moves one batch of ``batch_bytes`` from NumPy to the device, ``large_copy`` one
    block of ``large_bytes``; ``pinned_copy`` moves a batch from pinned host memory, None where the
    backend has no such memory. ``memory`` reads and writes a large block on the device. ``peaks``
    are the ways tried to do as much arithmetic as the device can. ``common_seconds`` is what
    measuring these took. ``dispatch`` and ``launch``, calls that do nothing, are of version 1,
    which needs them.
    """

    schema_version: Literal[1, 2] = 2
    dispatch: Samples | None = None
    launch: Samples | None = None
    batch_bytes: Annotated[int, Field(ge=1)]
    batch_copy: Samples
    pinned_copy: Samples | None = None
    large_bytes: Annotated[int, Field(ge=1)]
    large_copy: Samples
    memory: Samples
    peaks: Annotated[list[Peak], Field(max_length=16, default_factory=list)]
    common_seconds: Seconds | None = None
    widths: Annotated[list[WidthCeilings], Field(min_length=1, max_length=64)]

    @property
    def file_name(self) -> str:
        """Its record's file name."""
        return ceilings_name(self.backend, self.device, self.batch_size, self.threads)

    @property
    def common(self) -> dict[str, Any]:
        """What is measured once for all widths, as `Ceilings` takes it."""
        names = ("batch_bytes", "batch_copy", "pinned_copy", "large_bytes", "large_copy", "memory",
                 "peaks", "common_seconds")  # fmt: skip
        return {name: getattr(self, name) for name in names}

    @property
    def copy_bytes_per_second(self) -> float:
        """Rate of copying a large block from the host to the device."""
        return self.large_bytes / statistics.median(self.large_copy)

    @property
    def memory_bytes_per_second(self) -> float:
        """Rate of the device's own memory, bytes read plus bytes written."""
        return 2 * self.large_bytes / statistics.median(self.memory)

    def peak(self, precision: Precision = "float32") -> Peak | None:
        """The fastest way that was seen, TF32's where that is asked for and there is one.

        The products of a step count too; None where no peak was looked for.
        """
        wanted = [way for way in self.peaks if way.precision == precision]
        ways = wanted or [way for way in self.peaks if way.precision == "float32"]
        if not ways:
            return None
        ways += [way for parts in self.widths for way in parts.ways(ways[0].precision)]
        return max(ways, key=lambda way: way.flops_per_second)

    def at(self, width: int) -> WidthCeilings | None:
        """The measured parts at one width, or None."""
        return next((parts for parts in self.widths if parts.width == width), None)


def ceilings_table(ceilings: Ceilings) -> pd.DataFrame:
    """One row a width: microseconds a step of products and optimizer, and the rate."""
    rows = {}
    for parts in ceilings.widths:
        rows[parts.width] = {
            "matrix products, µs": round(parts.products_seconds() * 1e6, 1),
            "optimizer, µs": round(statistics.median(parts.optimizer) * 1e6, 1),
            "GFLOP/s": round(parts.flops_per_second() / 1e9, 2),
        }
        if parts.tf32_loop:
            rows[parts.width]["GFLOP/s, TF32"] = round(parts.flops_per_second("tf32") / 1e9, 2)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("width").sort_index()


def ceilings_name(backend: Backend, device: Device, batch_size: int, threads: int | None) -> str:
    """File name of a ceilings record."""
    return f"{backend}-{device}-b{batch_size}-t{threads or 'all'}.json"


def write_ceilings(folder: Path, ceilings: Ceilings) -> Path:
    """Write a ceilings record atomically and return its path; raises ``StorageError``."""
    path = folder / ceilings.file_name
    write_text(path, ceilings.model_dump_json(indent=1) + "\n")
    return path


def adopt_limits(folder: Path) -> None:
    """Give a study's ceilings their folder, where an earlier version called them limits."""
    if (folder / "limits").is_dir() and not (folder / "ceilings").exists():
        (folder / "limits").rename(folder / "ceilings")


def find_ceilings(path: Path) -> Ceilings | None:
    """The ceilings record of that path, None where there is none that can be read."""
    return find_model(Ceilings, path)


def read_ceilings(folder: Path) -> tuple[list[Ceilings], list[Problem]]:
    """Read all ceilings records of a folder; invalid files are named, never fatal."""
    return read_folder(Ceilings, folder)
