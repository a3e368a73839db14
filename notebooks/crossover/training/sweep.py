"""A sweep: the trials of one device, protocol and repeat, one after the other."""

import gc
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from crossover.hardware.card import used_card
from crossover.hardware.conditions import Watched
from crossover.hardware.device import assert_float32, set_precision
from crossover.hardware.machine import describe_run
from crossover.hardware.runtimes import runtime
from crossover.problem import IMAGE_PIXELS
from crossover.records.frame import check_one_machine, processor
from crossover.records.parameters import SweepParameters
from crossover.records.record import Phases, Record
from crossover.records.settings import Device, Precision, Settings
from crossover.training import mnist
from crossover.training.assertions import assert_model
from crossover.training.model import build_model
from crossover.training.published_training import EpochHook, fit_published
from crossover.training.tuned import fit_tuned

# The throw-away training is of the first width from here on that the sweep does not train.
SMALLEST_WARM_UP, WARM_UP_IMAGES = 12, 1280


@dataclass(frozen=True)
class Prepared:
    """MNIST as a protocol trains on it, and the scaled test set."""

    images: NDArray[Any]
    labels: NDArray[Any]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.float32]
    seconds: float


def prepare_data(settings: Settings) -> Prepared:
    """Load, verify and scale MNIST; raises ``DataSetError`` if it is not MNIST."""
    started = time.perf_counter()
    data = mnist.load_mnist()
    test = mnist.scale(data.x_test), mnist.one_hot(data.y_test)
    if settings.protocol == "tuned":
        train = data.x_train.reshape(-1, IMAGE_PIXELS), data.y_train
        return Prepared(*train, *test, time.perf_counter() - started)
    scaled = mnist.scale(data.x_train), mnist.one_hot(data.y_train)
    return Prepared(*scaled, *test, time.perf_counter() - started)


class Fit(NamedTuple):
    """A trained model, and the wall-clock seconds that building and training took."""

    model: keras.Model
    build_seconds: float
    epoch_seconds: list[float]
    cold_seconds: float
    history: dict[str, list[float]]


@dataclass(frozen=True)
class Runner:
    """Trains and records trials that share settings, device and data."""

    sweep: SweepParameters
    device: Device
    device_name: str
    data: Prepared
    runtime_start_seconds: float

    @cached_property
    def settings(self) -> Settings:
        """The settings that all trials of the sweep share."""
        return self.sweep.settings

    @property
    def seed(self) -> int:
        """Each repeat trains from its own seed; both devices share it."""
        return self.sweep.seed + self.sweep.repeat - 1

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What the trials run on, gathered once: the fields of `describe_run`."""
        return describe_run(self.settings.backend, self.device, self.device_name)

    def check_alike(self, recorded: Sequence[Record]) -> None:
        """Refuse trials that could share no curve with those of these settings on this machine.

        `MixedTrialsError` names what differs: software, threads, or the environment.
        """
        here = {**self.provenance, "device": self.device}
        own = processor(self.provenance["machine"])
        for record in recorded:
            if record.settings == self.settings and processor(record.machine) == own:
                check_one_machine([record, record.model_copy(update=here)])

    @cached_property
    def precision(self) -> Precision:
        """What the trials' matrix products are rounded to, set and tried once."""
        return set_precision(self.settings.backend, self.settings.allows_tf32)

    @cached_property
    def warm_up_width(self) -> int:
        """A width that the sweep does not train: what the warm-up compiles, its trial would not."""
        return next(w for w in itertools.count(SMALLEST_WARM_UP) if w not in self.sweep.widths)

    @cached_property
    def warm_up_seconds(self) -> float:
        """Seconds of a throw-away training, so that no trial pays the start-up."""
        started = time.perf_counter()
        settings = self.settings.model_copy(update={"epochs": 1})
        self._fit(self.warm_up_width, settings, lambda *_: None, images=WARM_UP_IMAGES)
        return time.perf_counter() - started

    def trial(self, width: int, position: int, on_epoch: EpochHook) -> Record:
        """Train one width, evaluate it, and return its record.

        ``position`` is its place in the sweep's training order, from 1.
        """
        precision, warm_up_seconds = self.precision, self.warm_up_seconds
        provenance = self.provenance
        gc.collect()
        begun = datetime.now(UTC)
        watched = Watched(used_card(self.device_name) if self.device == "gpu" else None)
        fit = self._fit(width, self.settings, on_epoch, ends=watched.ends)
        started = time.perf_counter()
        loss, accuracy = self._evaluate(fit.model)
        evaluate_seconds = time.perf_counter() - started
        watched.ends("evaluate")
        conditions = watched.so_far()
        return Record(
            settings=self.settings,
            device=self.device,
            device_name=self.device_name,
            width=width,
            parameters=fit.model.count_params(),
            repeat=self.sweep.repeat,
            seed=self.seed,
            position=position,
            started=begun,
            phases=Phases(
                runtime_start=self.runtime_start_seconds,
                warm_up=warm_up_seconds,
                warm_up_width=self.warm_up_width,
                data=self.data.seconds,
                build=fit.build_seconds,
                epochs=fit.epoch_seconds,
                fit=fit.cold_seconds,
                evaluate=evaluate_seconds,
            ),
            test_accuracy=accuracy,
            test_loss=_finite(loss),
            history={name: [_finite(v) for v in values] for name, values in fit.history.items()},
            precision=precision,
            conditions=conditions,
            **provenance,
        )

    def _fit(
        self,
        width: int,
        settings: Settings,
        on_epoch: EpochHook,
        images: int | None = None,
        ends: Callable[[str], None] = lambda phase: None,
    ) -> Fit:
        keras.utils.set_random_seed(self.seed)
        started = time.perf_counter()
        model = build_model(width, settings)
        runtime(settings.backend).synchronize()
        build_seconds = time.perf_counter() - started
        train = self.data.images[:images], self.data.labels[:images]
        assert_model(model, train[0][: settings.batch_size], settings.backend, self.device)
        ends("build")
        started = time.perf_counter()
        if settings.protocol == "tuned":
            trained = fit_tuned(model, *train, settings, self.seed, on_epoch)
        else:
            trained = fit_published(model, *train, settings, on_epoch)
        cold_seconds = time.perf_counter() - started
        ends("fit")
        assert_model(model, train[0][: settings.batch_size], settings.backend, self.device)
        for value in trained.values:
            assert_float32("what a step carries, the optimizer's moments too, is", value.dtype)
        return Fit(model, build_seconds, trained.epochs, cold_seconds, trained.history)

    def _evaluate(self, model: keras.Model) -> tuple[float, float]:
        """Loss and accuracy on the 10,000 test images."""
        loss = keras.losses.CategoricalCrossentropy()
        probabilities = model.predict(
            self.data.test_images, batch_size=self.settings.batch_size, verbose=0
        )
        right = probabilities.argmax(axis=1) == self.data.test_labels.argmax(axis=1)
        return float(loss(self.data.test_labels, probabilities)), float(np.mean(right))


def _finite(value: float) -> float | None:
    """A JSON-safe number: a diverged training has losses that are none."""
    return value if math.isfinite(value) else None
