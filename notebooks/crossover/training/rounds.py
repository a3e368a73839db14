"""Rounds of trainings that take turns in one process, so that their differences add up."""

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from crossover.hardware.card import used_card
from crossover.hardware.conditions import Watched
from crossover.hardware.machine import describe_run
from crossover.problem import steps_per_epoch, trained_images
from crossover.records import changes
from crossover.records.backends import BACKENDS
from crossover.records.parameters import SweepParameters
from crossover.records.rounds import ROUNDS, Rounds, missing_widths
from crossover.records.settings import Device, protocol_settings
from crossover.training.assertions import assert_model
from crossover.training.progress import Progress
from crossover.training.sweep import prepare_data
from crossover.training.turns import FitTraining, Lesson, ProgramTraining, Training

# A turn is a whole epoch, or as many steps as this allows at the published pace.
TURN_SECONDS, FEWEST_STEPS = 1.0, 42


def measure_rounds(
    sweep: SweepParameters, device: Device, device_name: str, count: int = ROUNDS
) -> Iterator[Rounds]:
    """Train in turns what rounds records hold; yield one of each width, in the order given.

    A width that has a file in the sweep's folder is left out, whatever that holds.
    """
    widths = missing_widths(sweep, device)
    if len(widths) < len(sweep.widths):
        print(f"Already there: {len(sweep.widths) - len(widths)} of {len(sweep.widths)} widths.")
    facts = describe_run(sweep.backend, device, device_name) | {"device_name": device_name}
    seconds = BACKENDS[sweep.backend].rounds_seconds[device]
    expected = [(width, seconds) for width in widths]
    progress = Progress(expected, count + 1, words=("round", "turns", "all"))
    whole = Lesson(
        prepare_data(protocol_settings("published")), prepare_data(protocol_settings("tuned"))
    )
    for width in widths:
        yield _Width(sweep, device, width, whole).record(count, progress, facts)
        progress.ended(f"{count} rounds recorded")


@dataclass(frozen=True)
class _Width:
    """What takes turns at one width on one device."""

    sweep: SweepParameters
    device: Device
    width: int
    whole: Lesson

    def record(self, count: int, progress: Progress, facts: dict[str, Any]) -> Rounds:
        """Train all in turns, one round more than ``count``, and return their record."""
        begun, started = datetime.now(UTC), time.perf_counter()
        watched = Watched(used_card(facts["device_name"]) if self.device == "gpu" else None)
        lesson = self._lesson(self._steps_of_a_turn())
        groups = self._trainings(lesson)
        for number in range(1, count + 2):  # The first, which traces and compiles, is not counted.
            gc.collect()
            for training in (one for group in groups.values() for one in group):
                training.turn()
            progress.epoch(number)
        own = self.sweep.model_dump(include={"backend", "batch_size", "threads", "seed"})
        for name, group in groups.items():
            own[name] = [training.result(lesson) for training in group]
        return Rounds(
            **own,
            device=self.device,
            width=self.width,
            images=lesson.count,
            started=begun,
            seconds=time.perf_counter() - started,
            conditions=watched.so_far(),
            **facts,
        )

    def _lesson(self, steps: int) -> Lesson:
        return replace(self.whole, count=min(steps * self.sweep.batch_size, trained_images()))

    def _steps_of_a_turn(self) -> int:
        whole = steps_per_epoch(self.sweep.batch_size)
        few = min(FEWEST_STEPS, whole)
        tried = self._fitted(self._lesson(few), changes.PUBLISHED)
        tried.train()  # Traces.
        return min(whole, max(few, round(TURN_SECONDS / tried.train() * few)))

    def _trainings(self, lesson: Lesson) -> dict[str, list[Training]]:
        """The trainings of a round, by the record's fields."""
        backend = self.sweep.backend
        path, added = [changes.PUBLISHED], changes.path_of(backend, self.device)
        singles = [name for name in changes.changes_of(backend, self.device) if name != added[0]]
        return {
            "path": [
                self._on_path(lesson, added[:count], name)
                for count, name in enumerate([*path, *added])
            ],
            "changes": [self._fitted(lesson, name, self._change(lesson, name)) for name in singles],
            "batches": [
                self._fitted(lesson, f"batches of {size}", {"batch_size": size})
                for size in self.batch_sizes(lesson)
            ],
        }

    def batch_sizes(self, lesson: Lesson) -> list[int]:
        """Other batch sizes that a turn fills; smaller ones would take longer than all the rest."""
        own = self.sweep.batch_size
        return [size for size in changes.BATCH_SIZES if own < size <= lesson.count]

    def _on_path(self, lesson: Lesson, added: list[str], name: str) -> Training:
        """The training with all that is added up to a stage of the path."""
        if name == changes.ONE_PROGRAM:
            settings = protocol_settings("tuned", **self._asked, validation_split=0.0)
            program = ProgramTraining(lesson, name, self.width, settings, self.sweep.seed)
            return self._asserted(program, lesson)
        change = {k: v for one in added for k, v in self._change(lesson, one).items()}
        return self._fitted(lesson, name, change, changes.OWN_LAYERS in added)

    def _change(self, lesson: Lesson, name: str) -> dict[str, Any]:
        """The settings that a change is; a whole epoch is a turn of these images."""
        if name == changes.WHOLE_EPOCH:
            return {"steps_per_execution": -(-lesson.count // self.sweep.batch_size)}
        return changes.CHANGES.get(name, {})

    def _fitted(
        self, lesson: Lesson, name: str, change: dict[str, Any] | None = None, own: bool = False
    ) -> Training:
        """A training by Keras's ``fit``, the published protocol but for its changes."""
        settings = protocol_settings("published", **(self._asked | (change or {})))
        fitted = FitTraining(lesson, name, self.width, settings, self.sweep.seed, own_layers=own)
        return self._asserted(fitted, lesson)

    @property
    def _asked(self) -> dict[str, Any]:
        return self.sweep.model_dump(include={"backend", "batch_size", "threads"})

    def _asserted(self, training: Training, lesson: Lesson) -> Training:
        batch = lesson.published.images[: self.sweep.batch_size]
        assert_model(training.model, batch, self.sweep.backend, self.device)
        return training
