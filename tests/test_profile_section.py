"""The profile's section: its table, figure and words, against values computed by hand."""

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from conftest import make_record
from crossover.analysis.profile import profile_table
from crossover.problem import explained_widths
from crossover.records.ceilings import KINDS, StepProfile
from crossover.records.frame import to_frame
from crossover.report.columns import DEVICE, numbers, written
from crossover.report.figure import new_figure
from crossover.report.looks import BLUE, PARTS, VERMILION, bar_look
from crossover.report.sections.profile import (
    beside_trials,
    nothing_profiled,
    overlap_sentences,
    path_sentences,
    profile_plot,
    profile_sentences,
    slowdown,
)
from test_ceilings import make_ceilings
from test_rounds import make_rounds, turns

mpl.use("agg")

SECONDS = dict.fromkeys(KINDS, 0.0) | {
    "matrix products": 1e-3, "starting operations": 2e-3, "Python": 1e-3,
}  # fmt: skip


def profiled(ceilings, *widths, untraced=None, seconds=SECONDS):
    """The ceilings with a profile at these widths."""
    profile = StepProfile(steps=9, seconds=seconds, untraced_seconds=untraced)
    parts = [one.model_copy(update={"profile": profile if one.width in widths else None})
             for one in ceilings.widths]  # fmt: skip
    return ceilings.model_copy(update={"widths": parts})


def test_the_profile_stands_beside_the_same_step_without_the_profiler():
    table = profile_table([profiled(make_ceilings(widths=(4, 8)), 4, untraced=3.2e-3)])
    (row,) = table.to_dict("records")
    assert (row["width"], row["profiled_us"]) == (4, pytest.approx(4000))
    assert row["untraced_us"] == pytest.approx(3200)
    assert sum(row[kind] for kind in KINDS) == pytest.approx(4000)
    text = profile_sentences(table)
    assert text.startswith("- CPU: under the profiler a step takes 1.25 times as long as without; ")
    assert "at width 4, of 4,000 µs, 25% is arithmetic, 0% copying to and from the device" in text
    assert "75% starting operations and Python" in text
    assert text.count("at width") == 1
    _, axis = new_figure()
    alt = profile_plot(axis, table, "jax")
    assert (
        "CPU, width 4 (4,000 µs): 25% matrix products, 50% starting operations, 25% Python" in alt
    )


def test_without_a_profile_the_way_to_one_is_told():
    assert profile_sentences(profile_table([make_ceilings()])) == ""
    assert "make report" in nothing_profiled("jax")
    assert nothing_profiled("torch") == (
        "The profiler's split of a step: PyTorch's are not profiled."
    )


def test_the_paths_training_step_stands_beside_it():
    """2,000 µs in the middle round of the path, against 3,200 µs without the profiler."""
    ceilings = [profiled(make_ceilings(widths=(4, 8)), 4, 8, untraced=3.2e-3)]
    table = profile_table(ceilings, [make_rounds()])
    assert table["path_us"].tolist() == pytest.approx([2000, float("nan")], nan_ok=True)
    text = path_sentences(table)
    assert "took 0.62 times as long as this one" in text
    # 1,000 of the path's 2,000 µs go with the first change; in the slow round twice as much.
    assert (
        "- CPU, width 4: it saves 1,000 µs (1,000 to 2,000) of a training step of 2,000 µs; here "
        "3,000 of 4,000 µs are not arithmetic."
    ) in text
    assert "only the path's holds an epoch's beginning and end." in text
    assert path_sentences(profile_table(ceilings)) == ""


def test_a_change_that_the_rounds_do_not_decide_is_not_held_against_the_profile():
    """An epoch an execution is slower in one round: only the times of both steps are told."""
    mixed = turns("an epoch an execution", seconds=[0.9, 0.8, 0.4])
    rounds = make_rounds(path=[turns("published"), mixed])
    text = path_sentences(profile_table([profiled(make_ceilings(), 4, untraced=3e-3)], [rounds]))
    assert text.endswith("an epoch's beginning and end.")


def test_a_record_without_the_untraced_step_says_missing():
    table = profile_table([profiled(make_ceilings(), 4)])
    assert "without the profiler was not measured" in profile_sentences(table)
    columns = [DEVICE, *numbers(["untraced_us", "profiled_us"], ",.0f")]
    assert written(table, columns).iloc[0].tolist() == ["CPU", "missing", "4,000"]


@pytest.mark.parametrize(
    ("profiled_us", "told"),
    [
        ([103.0, 109.0], "1.03 to 1.09 times as long as without"),
        ([103.2, 102.8], "1.03 times as long as without"),
        ([97.0, 91.0], "0.91 to 0.97 times as long as without: what is below 1 is noise"),
        ([97.0, 109.0], "0.97 to 1.09 times as long as without: what is below 1 is noise"),
        ([np.nan, 109.0], "1.09 times as long as without"),
    ],
)  # fmt: skip
def test_what_the_profiler_costs_is_told_over_all_widths(profiled_us, told):
    """A profiler makes nothing faster: a shorter step is noise, and is called so."""
    table = pd.DataFrame({"profiled_us": profiled_us, "untraced_us": [100.0, 100.0]})
    assert slowdown(table) == f"under the profiler a step takes {told}"


def test_what_cannot_be_told_apart_is_said_and_shown():
    """TensorFlow does not trace the smallest operations on a CPU; on a GPU every kernel is seen."""
    tables = {device: profile_table([profiled(make_ceilings(device), 4)])
              for device in ("cpu", "gpu")}  # fmt: skip
    for backend, device, hidden in (("tensorflow", "cpu", True), ("tensorflow", "gpu", False),
                                    ("jax", "cpu", False)):  # fmt: skip
        told = overlap_sentences(tables[device], backend)
        assert told.startswith("A moment when several threads were busy counts once")
        figure, axis = new_figure()
        profile_plot(axis, tables[device], backend)
        names = [name.get_text() for name in figure.legends[0].get_texts()]
        assert ("smallest operations" in told) == hidden
        assert any("smallest operations" in name for name in names) == hidden
        assert "several threads" in axis.get_xlabel()


def test_profiles_are_told_by_width_whatever_was_measured_first():
    ceilings = make_ceilings(widths=(4, 1024, 8))
    table = profile_table([profiled(ceilings, 4, 8, 1024, seconds=dict.fromkeys(KINDS, 1e-3))])
    assert table["width"].tolist() == [4, 8, 1024]


@pytest.mark.parametrize(
    ("widths", "explained"),
    [
        ((4, 8, 16, 32, 64, 128, 256, 512, 1024), [4, 128, 1024]),
        ((1024, 64, 4), [4, 1024]),
        ((128, 8), [128]),
        ((64, 16, 32), [16, 64]),
        ((64,), [64]),
        ((), []),
    ],
)
def test_a_step_is_taken_apart_at_few_widths(widths, explained):
    assert explained_widths(widths) == explained


ALIASES = {
    "dispatch": "starting operations",
    "data on the device": "copying to the device",
    "XLA": "other arithmetic",
}


def test_a_part_has_one_look_and_no_devices_colour():
    assert {*KINDS, *ALIASES, "validation", "other"} == set(PARTS)
    for alias, part in ALIASES.items():
        assert PARTS[alias] == PARTS[part]
    own = [PARTS[part] for part in PARTS if part not in ALIASES]
    colours = [colour for colour, _ in own]
    assert len(set(colours)) == len(own)
    for colour, device in itertools.product(colours, (BLUE, VERMILION)):
        assert np.abs(np.subtract(to_rgb(colour), to_rgb(device))).max() > 0.2


def test_parts_are_told_apart_in_grey():
    """By their hatch, or else by a brightness that differs by half of all there is."""
    own = [PARTS[part] for part in PARTS if part not in ALIASES]
    for (one, hatch), (other, another) in itertools.combinations(own, 2):
        # Rec. 709's weights.
        grey = np.dot(np.subtract(to_rgb(one), to_rgb(other)), (0.2126, 0.7152, 0.0722))
        assert hatch != another or abs(grey) > 0.5, (one, other)


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_hatch_is_seen_on_its_colour(part):
    """Contrast by WCAG 2's relative luminance; 3 is what it asks of graphics."""

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
                  for c in to_rgb(colour)]  # fmt: skip
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    look = bar_look(part)
    dark, light = sorted(luminance(look[name]) for name in ("facecolor", "edgecolor"))
    assert (light + 0.05) / (dark + 0.05) > 3


def test_the_step_stands_beside_the_trials_where_there_is_no_path():
    """The trials' epochs take a second, and so their 422 steps 2,370 µs each."""
    table = profile_table([profiled(make_ceilings(widths=(4, 8)), 4, 8, untraced=3.2e-3)])
    records = [make_record(4, fit=11.0), make_record(8, fit=22.0)]
    trials = to_frame(records, "box")
    assert beside_trials(table, trials).startswith(
        "This step without the profiler takes 0.68 to 1.35 times as long as the published trials'"
    )
    assert beside_trials(table, trials[trials["device"] == "gpu"]) == ""
    tuned = trials.assign(protocol="tuned")
    assert beside_trials(table, tuned) == ""
