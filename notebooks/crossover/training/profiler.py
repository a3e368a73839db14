"""A training step under the framework's own profiler: what the wall clock was spent on.

Where a trace cannot be taken, or is not read, there is no profile, and the study goes on.
"""

import re
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from crossover.hardware.runtimes import runtime, runtime_class
from crossover.hardware.runtimes.base import Event
from crossover.problem import CLASSES, IMAGE_PIXELS
from crossover.records.ceilings import KINDS, Kind, StepProfile
from crossover.records.settings import Backend, Device, protocol_settings
from crossover.training.mnist import one_hot
from crossover.training.model import build_model

STEPS, FEWEST_STEPS, SECONDS = 100, 25, 0.5
# Of a first fit, which compiles and tells how long a step takes.
FIRST_STEPS = 6
# XLA hands products to libraries together with the additions that follow them (YNNPACK on CPUs).
PRODUCTS = re.compile(
    r"(?i)matmul|gemm|gemv|splitk|cutlass|\bdot\b|xmma|nvjet|[xy]nn_fusion|einsum"
    r"|conv\dd|convolution|cudnn|winograd"
)
TO_DEVICE = re.compile(
    r"(?i)memcpy_?h(ost)?(2|to)d|\bh2d\b|host ?to ?device|copytodevice|deviceput"
)
FROM_DEVICE = re.compile(r"(?i)memcpy_?d(evice)?(2|to)h|\bd2h\b|device ?to ?host|copytohost")
INPUT = re.compile(r"IteratorGetNext|Iterator::Root")
# Threads that run operations. A GPU's streams run nothing else, whatever a kernel's C++ name holds.
WORKERS = re.compile(r"tf_Compute|XLAEigen|XLAPjRtCpuClient")
STREAM = re.compile(r"Stream")
# TensorFlow's input pipeline works ahead in threads of its own; the profiler repeats in lines of
# its own what the streams did.
IGNORED = re.compile(
    r"tf_data_(?!iterator_get_next)|XLA (Ops|Modules|TraceMe)|Steps|Framework|TensorFlow |Source"
)
# What a runtime says of itself, and not of an operation.
RUNTIME = re.compile(r"::|\(|^(FunctionRun|ExecutorDoneCallback|Memory\w+|end: .*)$")


# Trains so many steps with a callback.
Fit = Callable[["StepClock", int], object]


def profile_step(
    backend: Backend, device: Device, width: int, batch_size: int
) -> StepProfile | None:
    """Profile published steps at one width; None where the profiler does not work.

    The images are random: a step's time does not depend on them.
    """
    if runtime_class(backend).step_event is None:
        return None
    fit = _published_fit(backend, width, batch_size)
    return profile_fit(backend, device, fit, f"width {width}")


def profile_fit(
    backend: Backend,
    device: Device,
    fit: Fit,
    what: str,
    wait: Callable[[], None] = lambda: None,
) -> StepProfile | None:
    """Profile a short epoch of Keras's ``fit``; None where the profiler does not work.

    The same fit runs without the profiler just before. A step that takes longer than Python needs
    to begin the next must be waited for, lest the beginnings of steps tell nothing of their ends.
    """
    step = runtime_class(backend).step_event
    if step is None:
        return None
    short = _short(fit, wait)
    untraced = short()
    try:
        with tempfile.TemporaryDirectory() as folder:
            with runtime(backend).tracing(Path(folder)):
                short()
            (trace,) = Path(folder).rglob("*.xplane.pb")
            events = list(runtime(backend).events(trace))
        if device == "gpu" and not any(STREAM.search(event.thread) for event in events):
            raise ValueError("the trace holds nothing of the GPU (is CUPTI installed?)")
        return step_profile(events, step).model_copy(update={"untraced_seconds": untraced})
    except Exception as error:  # The frameworks' own errors have no other class in common.
        print(f"No profile of {what}: {str(error)[:200]}")
        return None


def step_profile(events: list[Event], step: str) -> StepProfile:
    """Split the time between the steps' beginnings by what any thread was busy with.

    Each moment counts once, for the first kind of ``KINDS`` that a thread was in; moments without
    any event are the interpreter's. Raises `ValueError` if the trace holds fewer than two steps.
    """
    starts = _step_starts(events, step)
    if len(starts) < 2:
        raise ValueError(f"the trace holds no steps named {step}")
    begin, end, steps = starts[0], starts[-1], len(starts) - 1
    spans: dict[Kind, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for event in events:
        kind = kind_of(event)
        if kind and event.end > begin and event.start < end:
            spans[kind].append((max(event.start, begin), min(event.end, end)))
    seconds: dict[Kind, float] = {}
    busy: list[tuple[float, float]] = []
    counted = 0.0
    for kind in KINDS[:-1]:
        busy += spans[kind]
        total = covered(np.array(busy).reshape(-1, 2))
        seconds[kind] = (total - counted) / steps / 1e9
        counted = total
    seconds[KINDS[-1]] = (end - begin - counted) / steps / 1e9
    return StepProfile(steps=steps, seconds=seconds)


def kind_of(event: Event) -> Kind | None:
    """What an event's time is spent on; None if it is no part of the step."""
    return _kind_of(event.name, event.thread)


@cache  # Few operations make up tens of thousands of events.
def _kind_of(name: str, thread: str) -> Kind | None:
    if IGNORED.match(thread):
        return None
    if INPUT.search(name):
        return "waiting for a batch"
    if TO_DEVICE.search(name):
        return "copying to the device"
    if FROM_DEVICE.search(name):
        return "copying from the device"
    works = WORKERS.search(thread) and not RUNTIME.search(name)
    if works or STREAM.search(thread):
        return "matrix products" if PRODUCTS.search(name) else "other arithmetic"
    return "starting operations"


def covered(spans: NDArray[np.float64]) -> float:
    """The length of the union of spans, shape (spans, 2), in their unit."""
    if not len(spans):
        return 0.0
    start, end = spans[np.argsort(spans[:, 0])].T
    reached = np.maximum.accumulate(end)
    gaps = np.clip(start[1:] - reached[:-1], 0, None)
    return float(reached[-1] - start[0] - gaps.sum())


def _step_starts(events: Iterable[Event], step: str) -> list[float]:
    """When each step begins; an event inside another of its name is no step."""
    starts, reached = [], -np.inf
    for event in sorted((e for e in events if e.name == step), key=lambda e: e.start):
        if event.start >= reached:
            starts.append(event.start)
            reached = event.end
    return starts


class StepClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Tell when each training batch of a fit begins, as the steps of a trace do."""

    def __init__(self, wait: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.wait = wait

    def on_train_begin(self, logs: object = None) -> None:
        """Forget an earlier fit."""
        self.begins: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Read the clock; unless it is waited for, the device may still be at work."""
        self.wait()
        self.begins.append(time.perf_counter())

    def steps(self) -> NDArray[np.float64]:
        """Seconds from the beginning of each batch to that of the next."""
        return np.diff(self.begins)


def _published_fit(backend: Backend, width: int, batch_size: int) -> Fit:
    """Keras's ``fit`` of a published model on random images."""
    settings = protocol_settings("published", backend=backend, batch_size=batch_size, epochs=1)
    model = build_model(width, settings)
    random = np.random.default_rng(0)
    images = random.random((STEPS * batch_size, IMAGE_PIXELS), dtype=np.float32)
    labels = one_hot(random.integers(CLASSES, size=len(images)))

    def fit(clock: StepClock, steps: int) -> None:
        rows = slice(steps * batch_size)
        model.fit(images[rows], labels[rows], batch_size=batch_size, verbose=0, callbacks=[clock])

    return fit


def _short(fit: Fit, wait: Callable[[], None]) -> Callable[[], float]:
    """A fit of one short epoch, compiled beforehand.

    It returns the mean seconds from the beginning of a step to that of the next.
    """
    clock = StepClock(wait)

    def timed(steps: int) -> NDArray[np.float64]:
        fit(clock, steps)
        return clock.steps()

    once = np.median(timed(FIRST_STEPS))
    steps = int(np.clip(SECONDS / once, FEWEST_STEPS, STEPS))
    return lambda: float(timed(steps).mean())
