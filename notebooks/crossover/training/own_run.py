"""One repeat of a model of the reader's own: batch sizes take turns, an epoch each."""

import gc
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import keras
import psutil

from crossover.hardware.card import used_card
from crossover.hardware.conditions import Watched
from crossover.hardware.device import assert_placement, set_precision
from crossover.hardware.machine import describe_run
from crossover.hardware.runtimes import runtime
from crossover.problem import steps_per_epoch
from crossover.records.backends import BACKENDS
from crossover.records.ceilings import StepProfile
from crossover.records.frame import difference
from crossover.records.own import (
    BATCHES,
    OUT_OF_MEMORY,
    TOO_SLOW,
    Batches,
    OwnRun,
    StepCost,
    own_name,
    recorded_repeats,
)
from crossover.records.own_parameters import (
    FEWEST_TURNS,
    ModelFileError,
    RepeatOrder,
    file_digest,
)
from crossover.training.memory import most_memory
from crossover.training.own_batches import Batch, draw_batches
from crossover.training.own_file import ModelFile, OutOfMemoryError, model_digest
from crossover.training.profiler import profile_fit
from crossover.training.published_training import EpochClock

try:
    import resource
except ImportError:  # Windows.
    resource = None  # type: ignore[assignment]

# The first steps trace and compile; some more tell how long one takes.
FIRST_STEPS, FEWEST_STEPS = 2, 3
# An epoch has the published study's steps at most. It comes near its seconds by shares of them,
# whose beginnings weigh more.
CALIBRATIONS, MOST_STEPS = (0.1, 0.5, 1.0), steps_per_epoch(128)
# What the rows of an epoch may hold, and what a process may take of the memory that there is.
MOST_DATA_BYTES, MOST_MEMORY = 2**29, 0.9
SEED = 777


class Orphaned(BaseException):
    """The process that asked for a repeat has ended."""


@dataclass
class Size:
    """One batch size of those that take turns; ``missing`` says why it no longer does."""

    batch_size: int
    steps: int = FIRST_STEPS
    first_seconds: float | None = None
    step_seconds: float = math.nan
    peak_bytes: int = 0
    epochs: list[float] = field(default_factory=list)
    missing: str | None = None

    @property
    def rows(self) -> int:
        """The rows of its epochs; the last batch lacks one.

        The last batch of nearly every data set is a smaller one, for which TensorFlow traces a step
        of batches of any size. One of full batches alone is faster, and no measure of the others.
        """
        return max(self.steps * self.batch_size - 1, 1)

    def record(self) -> Batches:
        """What is recorded of it."""
        if self.missing:
            return Batches(batch_size=self.batch_size, epochs=[], missing=self.missing)
        return Batches(
            batch_size=self.batch_size,
            steps=self.steps,
            first_seconds=self.first_seconds,
            epochs=self.epochs,
        )


class Repeat:
    """One repeat: the model built anew, its batches, and their epochs in turns.

    Raises `ModelFileError`, which says in one sentence what is wrong with the model or its file.
    """

    def __init__(
        self, order: RepeatOrder, device_name: str, say: Callable[[str], None] = print
    ) -> None:
        self.order, self.asked, self.device = order, order.asked, order.device
        self.device_name, self.say = device_name, say
        asked = self.asked
        self.parent = os.getppid()
        self.runtime = runtime(asked.backend)
        self.precision = set_precision(asked.backend, allow_tf32=False)
        self._check_file()
        self.file = ModelFile(asked.file)
        self.say("building the model")
        started = time.perf_counter()
        self.model = self._compiled()
        self.runtime.synchronize()
        self.build_seconds = time.perf_counter() - started
        self.batches = draw_batches(self.file, self.model, asked.batch_size)
        self._build()
        self.digest = model_digest(self.model)
        self.facts = describe_run(asked.backend, self.device, device_name)
        self._check_alike()

    def _check_file(self) -> None:
        """Refuse a file that has changed since the first repeat was asked for."""
        if file_digest(self.asked.file) != self.order.digest:
            raise ModelFileError(
                f"{self.asked.file.name} has changed while it was measured, so that this repeat is "
                "dropped: run the same command again to measure it as it is now."
            )

    def _compiled(self) -> keras.Model:
        """The model that the file builds, XLA set as the published protocol sets it."""
        keras.utils.set_random_seed(SEED + self.order.number - 1)
        model = self.file.model()
        model.jit_compile = BACKENDS[self.asked.backend].xla == "always"
        return model

    def _build(self) -> None:
        """See to it that the model has its weights, and that some of them are trained."""
        if not self.model.built:
            with self.file.told("building it"):
                self.model.predict_on_batch(self.batches.rows(self.asked.batch_size).inputs)
        if not sum(math.prod(weight.shape) for weight in self.model.trainable_weights):
            raise self.file.error("build() returns a model that trains no parameters")

    def _check_alike(self) -> None:
        """Refuse what could share no median with the repeats that are recorded.

        That is a model that an unchanged file builds otherwise than before, and another machine or
        software.
        """
        for run in recorded_repeats(self.asked, self.device):
            away = f"or move {own_name(self.asked, self.device, run.repeat)} away"
            if run.model_digest != self.digest:
                raise self.file.error(
                    "builds another model than the recorded repeats trained, though it has not "
                    "changed: what it imports, reads or draws has; make build() return the same "
                    f"each time, {away}"
                )
            if differs := difference(run, run.model_copy(update=self.facts)):
                raise self.file.error(
                    f"was measured with another {differs}: measure all its repeats there, {away}"
                )

    def record(self) -> OwnRun:
        """Train in turns for as long as was asked, and return the record."""
        begun = datetime.now(UTC)
        sizes = list(self._sizes())
        self._assert_placement()
        self.say("taking turns")
        watched = Watched(used_card(self.device_name) if self.device == "gpu" else None)
        self._turns(sizes)
        watched.ends("fit")
        self._assert_placement()
        first, uncounted = self.batches.rows(self.asked.batch_size), None
        cost: StepCost | None = None
        profile: StepProfile | None = None
        if self.order.number == 1:
            self.say("counting and profiling a step")
            cost, uncounted = self._cost(first)
            profile = self._profile(sizes[0])
        self._check_file()
        return OwnRun(
            **self.asked.model_dump(include={"backend", "batch_size", "threads", "seconds"}),
            device=self.device,
            device_name=self.device_name,
            started=begun,
            model=self.asked.name,
            file_digest=self.order.digest,
            model_digest=self.digest,
            parameters=sum(math.prod(w.shape) for w in self.model.trainable_weights),
            inputs=_inputs_text(first),
            repeat=self.order.number,
            precision=self.precision,
            policy=str(self.model.dtype_policy.name),
            jit_compile=bool(self.model.jit_compile),
            build_seconds=self.build_seconds,
            batch_bytes=first.bytes,
            batches=[size.record() for size in sizes],
            cost=cost,
            uncounted=uncounted,
            profile=profile,
            conditions=watched.so_far(),
            **self.facts,
        )

    def _sizes(self) -> Iterator[Size]:
        """The batch sizes, each tried once; none above one that cannot take part."""
        earlier: list[Size] = []
        for batch_size in self.asked.batch_sizes:
            size = Size(batch_size)
            if why := self.order.left_out.get(batch_size):
                size.missing = why
            elif earlier and earlier[-1].missing:
                size.missing = f"larger than {earlier[-1].batch_size:,}, which was left out"
            elif not self.order.decided and (why := self._unfit(size, earlier)):
                size.missing = why
            else:
                self._tried(size, earlier)
            earlier.append(size)
            yield size

    def _unfit(self, size: Size, earlier: list[Size]) -> str:
        """Why a larger batch size is not even tried; empty where it is."""
        if not earlier:
            return ""
        expected = earlier[-1].step_seconds * size.batch_size / earlier[-1].batch_size
        if (least := FEWEST_TURNS * FEWEST_STEPS * expected) > self.asked.seconds:
            tries = f"SECONDS={math.ceil(least)} tries it"
            return f"{TOO_SLOW}: a step would take about {expected:.2g} s; {tries}"
        if self.device == "gpu" or len(earlier) < 2:
            return ""  # A card says itself that its memory does not suffice.
        less, more = earlier[-2:]
        growth = (more.peak_bytes - less.peak_bytes) / (more.batch_size - less.batch_size)
        needed = more.peak_bytes + growth * (size.batch_size - more.batch_size)
        if needed <= MOST_MEMORY * (granted := most_memory()):
            return ""
        return f"{OUT_OF_MEMORY}: it would take {needed / 1e9:.1f} GB of {granted / 1e9:.1f}"

    def _tried(self, size: Size, others: Sequence[Size]) -> None:
        """Train the first steps of a size, and choose its steps; ``others`` take turns with it."""
        self.say(f"{BATCHES}{size.batch_size}")
        try:
            size.first_seconds = self._fit(size)
            for share in CALIBRATIONS:
                size.step_seconds = self._fit(size) / size.steps
                size.steps = self._steps(size, share * self.asked.epoch_seconds)
        except OutOfMemoryError as error:
            self._without(size, error, others)
        size.peak_bytes = _peak_bytes()

    def _without(self, size: Size, error: OutOfMemoryError, others: Sequence[Size]) -> None:
        """Go on without a size that memory does not hold; raise where it is the one asked for.

        The model is built anew, for such an error may leave it without its weights, and what the
        ``others`` train is traced and compiled again.
        """
        if size.batch_size == self.asked.batch_size:
            raise OutOfMemoryError(
                f"{self.file.path.name} cannot be trained in batches of {size.batch_size}: "
                f"{error}; give a smaller BATCH_SIZE."
            ) from None
        size.missing = f"{OUT_OF_MEMORY}: {error}"[:200]
        size.epochs.clear()
        del self.model
        gc.collect()
        self.model = self._compiled()
        for other in others:
            for _ in range(2):
                self._fit(other)

    def _steps(self, size: Size, seconds: float) -> int:
        """The steps of an epoch that shall take so long."""
        row_bytes = self.batches.bytes / self.batches.height
        held = int(MOST_DATA_BYTES / (row_bytes * size.batch_size))
        return max(FEWEST_STEPS, min(round(seconds / size.step_seconds), MOST_STEPS, held))

    def _turns(self, sizes: list[Size]) -> None:
        """An epoch of each size, again and again for as long as was asked."""
        fitting = [size for size in sizes if not size.missing]
        self.batches = self.batches.rows(max(size.rows for size in fitting))
        ends, turns = time.monotonic() + self.asked.seconds, 0
        while turns < FEWEST_TURNS or time.monotonic() < ends:
            if os.getppid() != self.parent:
                raise Orphaned
            gc.collect()
            for size in [*fitting]:
                try:
                    size.epochs.append(self._fit(size))
                except OutOfMemoryError as error:
                    fitting.remove(size)
                    self._without(size, error, fitting)
            turns += 1

    def _fit(self, size: Size) -> float:
        """Seconds of an epoch of Keras's ``fit``, from its first batch to its last."""
        clock = EpochClock(self.asked.backend, lambda _: None)
        with self.file.told(f"training in batches of {size.batch_size}"):
            rows = self.batches.rows(size.rows)
            history = self.model.fit(
                *rows, batch_size=size.batch_size, verbose=0, callbacks=[clock]
            )
        loss = history.history.get("loss", [0.0])[0]  # A step of the reader's own may tell none.
        if size.first_seconds is None and not math.isfinite(loss):
            raise self.file.error(
                "trains a model whose loss is not a finite number from the first steps on: look "
                "at its layers, its loss and its data"
            )
        return clock.seconds[0]

    def _assert_placement(self) -> None:
        """Refuse a model or a batch, as the framework takes it, that lies on another device."""
        taken = map(keras.ops.convert_to_tensor, self.batches.rows(1).arrays)
        for tensor in (*taken, *(one.value for one in self.model.trainable_variables)):
            assert_placement(self.asked.backend, self.device, tensor)

    def _cost(self, batch: Batch) -> tuple[StepCost | None, str | None]:
        """What the framework counts of a step, or why it counts nothing."""
        try:
            return self.runtime.step_cost(self.model, *batch), None
        except Exception as error:  # The frameworks' own errors have no other class in common.
            return None, f"{type(error).__name__}: {error}"[:200]

    def _profile(self, size: Size) -> StepProfile | None:
        def fit(clock: keras.callbacks.Callback, steps: int) -> None:
            part = self.batches.rows(replace(size, steps=min(steps, size.steps)).rows)
            self.model.fit(*part, batch_size=size.batch_size, verbose=0, callbacks=[clock])

        return profile_fit(
            self.asked.backend, self.device, fit, self.asked.name, self.runtime.synchronize
        )


def _inputs_text(batch: Batch) -> str:
    """What one row of the inputs is, in few words: '784 float32'."""
    arrays = keras.tree.flatten(batch.inputs)
    told = [f"{' x '.join(map(str, a.shape[1:])) or '1'} {a.dtype}" for a in arrays]
    return ", ".join(told)[:200]


def _peak_bytes() -> int:
    """The most memory that this process has had until now; what it has where none tells."""
    if resource is None:
        return int(psutil.Process().memory_info().rss)
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
