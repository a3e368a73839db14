"""The path from published to tuned and the single changes, against numbers worked out by hand."""

import numpy as np
import pytest

from crossover.analysis.changes import NO_VALIDATION, batch_table, change_table
from crossover.analysis.path import level, path_table
from crossover.records.changes import ONE_PROGRAM
from crossover.report.figure import new_figure
from crossover.report.sections.changes import batch_sentences, change_plot, change_sentences
from crossover.report.sections.path import PANELS, path_plot, path_sentences, rounds_sentence
from test_rounds import make_rounds, turns


def test_the_parts_add_up_to_published_less_tuned():
    table = path_table([make_rounds()])
    # Training steps of 2,000, 1,000 and 100 µs; evaluations of a tenth of an epoch's training.
    assert table["train_us"].tolist() == pytest.approx([2000, 1000, 100])
    assert table["validation_us"].tolist() == pytest.approx([200, 100, 10])
    assert table["step_us"].tolist() == pytest.approx([2200, 1100, 110])
    assert table["saved_us"].tolist()[1:] == pytest.approx([1100, 990])
    assert table["saved_train_us"].tolist()[1:] == pytest.approx([1000, 900])
    # In the slow round everything took twice as long.
    assert table["low"].tolist()[1:] == pytest.approx([1100, 990])
    assert table["high"].tolist()[1:] == pytest.approx([2200, 1980])
    assert table["accuracy"].tolist() == [0.5, 0.5, 0.6]


@pytest.mark.parametrize("drift", ["none", "slower", "two speeds"])
def test_they_add_up_whatever_the_machine_does(drift):
    """Seven rounds of noise, of a machine that slows down by half, or that is slow in three."""
    random = np.random.default_rng(3)
    scale = {"none": np.ones(7), "slower": np.linspace(1, 1.5, 7),
             "two speeds": np.array([1, 2, 1, 2, 1, 2, 1])}[drift]  # fmt: skip
    own = [2.0, 1.1, 0.9, 0.12]
    names = ["published", "an epoch an execution", "XLA", ONE_PROGRAM]

    def noisy(seconds):
        return [float(s) for s in seconds * scale * random.lognormal(0, 0.01, 7)]

    path = [turns("published", seconds=noisy(seconds), validation=noisy(seconds / 10))
            .model_copy(update={"name": name})
            for name, seconds in zip(names, own, strict=True)]  # fmt: skip
    table = path_table([make_rounds(path=path, changes=[], batches=[])])
    ends = table["step_us"].iloc[0] - table["step_us"].iloc[-1]
    assert table["saved_us"].sum() == pytest.approx(ends, rel=1e-12)
    limits = table.iloc[1:]
    assert (limits["low"] <= limits["saved_us"]).all()
    assert (limits["saved_us"] <= limits["high"]).all()
    # Shares of the whole are those without noise, whatever the drift.
    expected = -np.diff(own) / (own[0] - own[-1])
    shares = table["saved_us"].iloc[1:] / ends
    assert shares.tolist() == pytest.approx(expected.tolist(), abs=0.02)


def test_seven_rounds_enclose_the_median_at_their_level():
    # All seven on one side of the median: twice a half to the seventh.
    assert level(7) == pytest.approx(1 - 2 / 128)


def test_ratios_are_those_of_the_values_beside_them():
    table = change_table([make_rounds()]).set_index("change")
    assert table["ratio"].tolist() == pytest.approx((table["base_us"] / table["step_us"]).tolist())
    # Steps of 2,200 µs against 1,100, 1,700, and 2,000 without the evaluation.
    assert table["step_us"].to_dict() == pytest.approx(
        {"an epoch an execution": 1100, "XLA": 1700, NO_VALIDATION: 2000}
    )
    assert table.loc["XLA", ["low", "high"]].tolist() == pytest.approx([2200 / 1700] * 2)


def test_a_batch_sizes_epoch_is_that_of_as_many_images():
    table = batch_table([make_rounds()]).set_index("batch_size")
    # The published epoch of 0.844 + 0.0844 s against 0.2 + 0.02 s, both of 54,000 images.
    assert table["epoch_seconds"].to_dict() == pytest.approx({128: 0.9284, 2048: 0.22})
    assert table.loc[2048, "ratio"] == pytest.approx(0.9284 / 0.22)
    assert table.loc[128, "ratio"] == 1
    assert table["accuracy"].to_dict() == {128: 0.5, 2048: 0.25}
    assert table["epochs_seen"].tolist() == pytest.approx([4, 4])


def test_turns_of_a_part_of_an_epoch_tell_whole_epochs():
    """A tenth of the steps in a tenth of the time; the images held out are all evaluated."""
    tenth = [turns(one.name, steps=one.steps, seconds=[s / 10 for s in one.seconds])
             .model_copy(update={"steps": 42, "validation": one.validation})
             for one in make_rounds().path]  # fmt: skip
    short = make_rounds(path=tenth, changes=[], batches=[], images=5_376)
    whole = path_table([make_rounds()])["step_us"]
    assert path_table([short])["step_us"].tolist() == pytest.approx(whole.tolist(), rel=0.01)
    large = turns("batches of 2048").model_copy(
        update={"batch_size": 2048, "steps": 3, "seconds": [0.02, 0.04, 0.02]}
    )
    batches = batch_table([make_rounds(path=tenth, changes=[], batches=[large], images=5_376)])
    assert batches["epoch_seconds"].tolist() == pytest.approx([0.9284, 0.22], rel=0.01)
    assert batches["epochs_seen"].tolist() == pytest.approx([4 * 5_376 / 54_000] * 2)


def test_the_sentences_say_what_the_table_says():
    table = path_table([make_rounds()])
    assert path_sentences(table) == (
        "- CPU, width 4: from 2,200 µs to 110 µs a step, 20.0 times as fast. Of the 2,090 µs "
        "saved: *an epoch an execution* 1,100 (53%), *one program an epoch* 990 (47%)."
    )
    assert "in 3 rounds, in turns inside one process, on a whole epoch a round" in (
        rounds_sentence([make_rounds()])
    )
    part = rounds_sentence([make_rounds(), make_rounds(8, images=5_400)])
    assert "on 10% to 100% of an epoch a round" in part
    assert change_sentences(change_table([make_rounds()])) == (
        "- CPU: at width 4 *an epoch an execution* buys most (2.00 times as fast)."
    )
    assert batch_sentences(batch_table([make_rounds()])) == (
        "- CPU: at width 4 an epoch in batches of 2048 is 4.22 times as fast, and after 4.0 epochs "
        "0.250 of the test images are right instead of 0.500."
    )


def test_changes_that_help_now_and_then_are_not_praised():
    """Faster in one round and slower in another: nothing can be told; slower in all is slower."""
    mixed = turns("XLA", seconds=[0.4, 2.0, 0.9])
    slower = turns("XLA", seconds=[1.0, 2.0, 1.0]).model_copy(update={"name": "no metrics"})
    text = change_sentences(change_table([make_rounds(changes=[mixed, slower])]))
    assert "slower by themselves are *no metrics*, nothing can be told of *XLA*" in text


def test_the_waterfall_ends_where_tuned_begins():
    _, axes = new_figure(**(PANELS | {"ncols": 1}))
    alt = path_plot(axes, path_table([make_rounds()]), "cpu")
    assert "width 4: 2,200 to 110 µs, most by an epoch an execution, 1,100 µs" in alt
    spans = {}
    for bar in axes[0][0].patches:
        spans.setdefault(round(bar.get_y() + bar.get_height() / 2), []).extend(
            [bar.get_x(), bar.get_x() + bar.get_width()]
        )
    # Published, what two changes take away from its end on, and what is left.
    assert [(min(x), max(x)) for _, x in sorted(spans.items())] == [
        pytest.approx(ends) for ends in ((0, 2200), (1100, 2200), (110, 1100), (0, 110))
    ]


def test_the_dots_of_both_devices_share_one_axis():
    both = change_table([make_rounds(), make_rounds(device="gpu"), make_rounds(128)])
    _, axis = new_figure(figsize=(8, 6))
    alt = change_plot(axis, both)
    assert "Most: an epoch an execution on the CPU at width 4, 2.00 times." in alt
    labels = [label.get_text() for label in axis.get_yticklabels()]
    places = ("CPU, width 4", "GPU, width 4", "CPU, width 128")
    assert labels[:3] == [f"an epoch an execution, {place}" for place in places]
    assert axis.get_xscale() == "log"
    assert axis.texts[0].get_text() == "2,200 → 1,100 µs   2.00×"
