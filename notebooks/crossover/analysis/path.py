"""What lies between a published and a tuned step: parts that add up."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crossover.analysis.order import Floats
from crossover.problem import steps_per_epoch
from crossover.records.rounds import Rounds, Turns

COLUMNS = [
    "device", "width", "stage", "step_us", "train_us", "validation_us", "saved_us", "low", "high",
    "saved_train_us", "train_low", "train_high", "accuracy",
]  # fmt: skip


def path_table(rounds: Sequence[Rounds]) -> pd.DataFrame:
    """The path from the published step towards the tuned one, microseconds a step.

    One row for each device, width and stage, a training with one change more than the stage before.
    ``train_us`` and ``validation_us`` are the medians over the rounds of a training step and of its
    share of the evaluation, ``step_us`` is both, and ``saved_us`` what that is less than the stage
    before, of it ``saved_train_us`` in the training itself: so the parts add up to the first step
    less the last. All stages trained in the same rounds, which a slow machine slows alike. ``low``
    and ``high`` are the least and the greatest difference within a round, ``train_low`` and
    ``train_high`` those in the training itself. ``accuracy`` is a share of the test images.
    """
    tables = [_one_path(one) for one in rounds if len(one.path) > 1]
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(tables).sort_values(["device", "width"], kind="stable", ignore_index=True)


def _one_path(rounds: Rounds) -> pd.DataFrame:
    trained = 1e6 * np.array([train_seconds(one) for one in rounds.path])
    validated = 1e6 * np.array([validation_seconds(one) for one in rounds.path])
    table = pd.DataFrame(
        {
            "device": rounds.device,
            "width": rounds.width,
            "stage": [one.name for one in rounds.path],
            "train_us": np.median(trained, axis=1),
            "validation_us": np.median(validated, axis=1),
            "accuracy": [one.accuracy for one in rounds.path],
        }
    )
    table["step_us"] = table["train_us"] + table["validation_us"]
    table["saved_us"], table["saved_train_us"] = -table["step_us"].diff(), -table["train_us"].diff()
    for low, high, times, saved in (
        ("low", "high", trained + validated, "saved_us"),
        ("train_low", "train_high", trained, "saved_train_us"),
    ):
        within = -np.diff(times, axis=0, prepend=np.nan)
        table[low], table[high] = enclosing(within.T, table[saved])
    return table[COLUMNS]


def enclosing(values: Floats, estimates: "pd.Series[float]") -> tuple[Floats, Floats]:
    """The least and the greatest of each column of values, shape (rounds, columns).

    An estimate, of the medians of several parts, may lie outside, where the limits go on to it.
    """
    both = np.vstack([values, estimates])
    return both.min(axis=0), both.max(axis=0)


def train_seconds(training: Turns) -> Floats:
    """Seconds of a training step in each round, evaluation left out, shape (rounds,)."""
    return np.array(training.seconds) / training.steps


def validation_seconds(training: Turns) -> Floats:
    """Seconds a step of evaluating the images held out, once an epoch, shape (rounds,)."""
    return np.array(training.validation) / steps_per_epoch(training.batch_size)


def step_seconds_of(training: Turns) -> float:
    """Seconds of a step, its share of the evaluation included: the sum of both medians."""
    return float(np.median(train_seconds(training)) + np.median(validation_seconds(training)))


def level(count: int) -> float:
    """How often the least and the greatest of so many values enclose their median."""
    return float(1 - 2 * 0.5**count)
