"""One training of those that take turns: Keras's ``fit``, or the tuned protocol's program."""

import abc
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from crossover.hardware.device import set_precision
from crossover.hardware.runtimes import runtime
from crossover.problem import trained_images
from crossover.records.rounds import Turns
from crossover.records.settings import Settings
from crossover.training.model import Rows, build_model, read_from_device
from crossover.training.published_training import EpochClock
from crossover.training.sweep import Prepared
from crossover.training.tuned import TunedTraining


class EvaluationClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Time an evaluation from its first batch to its last."""

    seconds = 0.0

    def __init__(self, wait: Callable[[], None]) -> None:
        super().__init__()
        self.wait = wait

    def on_test_begin(self, logs: object = None) -> None:
        """Start the clock, the device being idle."""
        self.wait()
        self.started = time.perf_counter()

    def on_test_end(self, logs: object = None) -> None:
        """Stop the clock when the device has finished."""
        self.wait()
        self.seconds = time.perf_counter() - self.started


@dataclass(frozen=True)
class Lesson:
    """What every training of a width learns from: the first ``count`` images, as each takes them.

    The images held out are all that the study holds out.
    """

    published: Prepared
    tuned: Prepared
    count: int = trained_images()

    @cached_property
    def rows(self) -> Rows:
        """The images on the device, those held out after the others; one table for all models."""
        return Rows(np.concatenate([self.published.images[: self.count], self.held_out[0]]))

    @property
    def held_out(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Images and labels that are held out, as the published protocol takes them."""
        first = trained_images()
        return self.published.images[first:], self.published.labels[first:]


class Training(abc.ABC):
    """One of the trainings that take turns; ``name`` is what is changed in it.

    All begin with the same seed.
    """

    def __init__(
        self, name: str, width: int, settings: Settings, seed: int, own_layers: bool = False
    ) -> None:
        self.name, self.settings = name, settings
        self.runtime = runtime(settings.backend)
        self.precision = set_precision(settings.backend, settings.allows_tf32)
        keras.utils.set_random_seed(seed)
        self.model = build_model(width, settings, own_layers)
        self.seconds: list[float] = []
        self.validation: list[float] = []

    @abc.abstractmethod
    def train(self) -> float:
        """Train on all images once; seconds."""

    @abc.abstractmethod
    def validate(self) -> float:
        """Evaluate the images held out; seconds."""

    def turn(self) -> None:
        """Train and evaluate once more, and keep the seconds of both."""
        self.runtime.allow_tf32(self.settings.allows_tf32)
        self.seconds.append(self.train())
        self.validation.append(self.validate())

    def result(self, lesson: Lesson) -> Turns:
        """What is recorded of it, its first turn left out."""
        data, size = lesson.published, self.settings.batch_size
        self.runtime.allow_tf32(self.settings.allows_tf32)
        answers = self.model.predict(data.test_images, batch_size=1000, verbose=0).argmax(axis=1)
        return Turns(
            name=self.name,
            batch_size=size,
            steps=-(-lesson.count // size),
            precision=self.precision,
            seconds=self.seconds[1:],
            validation=self.validation[1:],
            accuracy=float(np.mean(answers == data.test_labels.argmax(axis=1))),
        )


class FitTraining(Training):
    """Keras's ``fit``, an epoch a call, and its ``evaluate``."""

    def __init__(self, lesson: Lesson, *asked: Any, **more: Any) -> None:
        super().__init__(*asked, **more)
        count, (held_out, self.held_out_labels) = lesson.count, lesson.held_out
        self.labels = lesson.published.labels[:count]
        self.inputs: NDArray[Any] = lesson.published.images[:count]
        self.held_out: NDArray[Any] = held_out
        self.fitted = self.model
        if self.settings.data == "device":
            self.fitted = read_from_device(self.model, lesson.rows, self.settings)
            self.inputs = np.arange(count, dtype=np.int32)
            self.held_out = np.arange(count, count + len(held_out), dtype=np.int32)

    def train(self) -> float:
        """Train on all images once; seconds, from the first batch on."""
        clock = EpochClock(self.settings.backend, lambda _: None)
        size = self.settings.batch_size
        self.fitted.fit(self.inputs, self.labels, batch_size=size, verbose=0, callbacks=[clock])
        return clock.seconds[0]

    def validate(self) -> float:
        """Evaluate the images held out; seconds, from the first batch on."""
        clock, size = EvaluationClock(self.runtime.synchronize), self.settings.batch_size
        held_out = self.held_out, self.held_out_labels
        self.fitted.evaluate(*held_out, batch_size=size, verbose=0, callbacks=[clock])
        return clock.seconds


class ProgramTraining(Training):
    """The tuned protocol: an epoch is one program, and so is the evaluation."""

    def __init__(
        self, lesson: Lesson, name: str, width: int, settings: Settings, seed: int
    ) -> None:
        super().__init__(name, width, settings, seed)
        images, labels, first = lesson.tuned.images, lesson.tuned.labels, trained_images()
        learned = images[: lesson.count], labels[: lesson.count]
        self.training = TunedTraining(self.model, *learned, settings, seed)
        self.held_out = tuple(map(ops.convert_to_tensor, (images[first:], labels[first:])))

    def train(self) -> float:
        """Train on all images once; seconds of the program's call."""
        started = time.perf_counter()
        self.training.epoch()
        return time.perf_counter() - started

    def validate(self) -> float:
        """Evaluate the images held out; seconds of the program's call."""
        started = time.perf_counter()
        self.training.validate(*self.held_out)
        return time.perf_counter() - started

    def result(self, lesson: Lesson) -> Turns:
        """What is recorded of it, the model having what the program learned."""
        self.training.program.finish()
        return super().result(lesson)
