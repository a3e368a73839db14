"""What one change of the published protocol buys, trained in turns with it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from crossover.analysis.order import Floats
from crossover.analysis.path import (
    enclosing,
    step_seconds_of,
    train_seconds,
    validation_seconds,
)
from crossover.problem import steps_per_epoch
from crossover.records.changes import CHANGES
from crossover.records.rounds import Rounds, Turns

NO_VALIDATION = "no validation"
RATIO = ["ratio", "low", "high"]
CHANGE = ["device", "width", "change", "base_us", "step_us", *RATIO, "behind"]
BATCH = ["device", "width", "batch_size", "epoch_seconds", *RATIO, "accuracy", "passes",
         "images", "own"]  # fmt: skip


def change_table(rounds: Sequence[Rounds]) -> pd.DataFrame:
    """Single changes that keep the learning problem.

    One row for each device, width and change: ``base_us`` and ``step_us``, microseconds of a step
    of the published protocol and of the changed one, evaluation included, as in
    `crossover.analysis.path.path_table`; ``ratio``, the one over the other (above 1 the change
    helps), with the least and the greatest such ratio within a round, ``low`` and ``high``. *No
    validation* is the published training without what its evaluation takes. ``behind`` tells
    whether another change, that of the greatest ratio, is faster in every round.
    """
    rows = [row for one in rounds for row in _changes(one)]
    table = pd.DataFrame(rows, columns=CHANGE)
    order = pd.Categorical(table["change"], [*CHANGES, NO_VALIDATION])
    ordered = table.assign(order=order).sort_values(["device", "order", "width"], ignore_index=True)
    return ordered.drop(columns="order")


def batch_table(rounds: Sequence[Rounds]) -> pd.DataFrame:
    """Other batch sizes, which change the learning problem.

    One row for each device, width and batch size, the published protocol's own among them:
    ``epoch_seconds`` (of a whole epoch, evaluation included), ``ratio`` of the published epoch over
    it with its limits as in `change_table`, and the ``accuracy`` on the test set after
    so many ``passes`` over so many ``images``; ``own`` marks the published protocol's.
    """
    rows = [row for one in rounds if one.batches for row in _batches(one)]
    table = pd.DataFrame(rows, columns=BATCH)
    return table.sort_values(["device", "width", "batch_size"], ignore_index=True)


def _changes(rounds: Rounds) -> Iterator[dict[str, Any]]:
    published = rounds.path[0]
    without = published.model_copy(
        update={"name": NO_VALIDATION, "validation": [0.0] * rounds.count}
    )
    # The first stage of the path is a single change too.
    changed = [*rounds.path[1:2], *rounds.changes]
    best = _step(min(changed or [without], key=step_seconds_of))
    for one in [*changed, without]:
        behind = one is without or bool((_step(one) > best).all())
        yield _row(rounds, one) | {"change": one.name, "behind": behind}


def _batches(rounds: Rounds) -> Iterator[dict[str, Any]]:
    for one in sorted([rounds.path[0], *rounds.batches], key=lambda one: one.batch_size):
        row = _row(rounds, one)
        yield row | {
            "batch_size": one.batch_size,
            "epoch_seconds": row["step_us"] / 1e6 * steps_per_epoch(rounds.batch_size),
            "accuracy": one.accuracy,
            "passes": rounds.count + 1,
            "images": rounds.images,
            "own": one is rounds.path[0],
        }


def _row(rounds: Rounds, changed: Turns) -> dict[str, Any]:
    """A training against the published one of the same rounds, both a step of the published size.

    Steps of another size are counted as the published steps that train as many images.
    """
    base, other = rounds.path[0], _by_published_steps(changed, rounds)
    ratio = step_seconds_of(base) / step_seconds_of(other)
    within = _step(base) / _step(other)
    low, high = enclosing(within[:, np.newaxis], pd.Series([ratio]))
    return {
        "device": rounds.device,
        "width": rounds.width,
        "base_us": 1e6 * step_seconds_of(base),
        "step_us": 1e6 * step_seconds_of(other),
        **dict(zip(RATIO, (ratio, low[0], high[0]), strict=True)),
    }


def _step(training: Turns) -> Floats:
    """Seconds of a step in each round, its share of the evaluation included, shape (rounds,)."""
    return train_seconds(training) + validation_seconds(training)


def _by_published_steps(training: Turns, rounds: Rounds) -> Turns:
    return training.model_copy(
        update={"steps": rounds.path[0].steps, "batch_size": rounds.batch_size}
    )
