"""The path from published to tuned and the single changes, against numbers worked out by hand."""

import numpy as np
import pytest

from conftest import make_record
from crossover.analysis.changes import NO_VALIDATION, batch_table, change_table
from crossover.analysis.path import level, path_table
from crossover.records.backends import BACKENDS
from crossover.records.changes import ONE_PROGRAM, path_of
from crossover.records.frame import to_frame
from crossover.records.record import Conditions
from crossover.records.settings import protocol_settings
from crossover.report.figure import new_figure
from crossover.report.sections.changes import batch_sentences, change_plot, change_sentences
from crossover.report.sections.path import (
    PANELS,
    STAGES,
    path_plot,
    path_sentences,
    rounds_caution,
    rounds_sentence,
    stage_meanings,
    study_sentences,
)
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
    # The limits hold what the stages take apart in the machine's fastest and slowest round.
    for low, high, apart in zip(
        table["low"][1:], table["high"][1:], -np.diff(own) * 1.1e6 / 422, strict=True
    ):
        assert low == pytest.approx(apart * scale.min(), rel=0.25)
        assert high == pytest.approx(apart * scale.max(), rel=0.25)
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
    assert table["own"].to_dict() == {128: True, 2048: False}
    assert set(zip(table["passes"], table["images"], strict=True)) == {(4, 54_000)}


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
    assert set(batches["images"]) == {5_376}


def test_the_sentences_say_what_the_table_says():
    table = path_table([make_rounds()])
    assert path_sentences(table) == (
        "- CPU, width 4: from 2,200 µs to 110 µs a step, 20.0 times as fast. Of the 2,090 µs "
        "saved: *an epoch an execution* 1,100 (53%), *one program an epoch* 990 (47%)."
    )
    whole = rounds_sentence([make_rounds()])
    assert "in 3 rounds, after a first that is not counted, in turns inside one process" in whole
    assert "on 100% of an epoch's images a turn" in whole
    part = rounds_sentence([make_rounds(), make_rounds(8, images=5_400)])
    assert "on 10% to 100% of an epoch's images a turn" in part
    assert change_sentences(change_table([make_rounds()])) == (
        "- CPU, width 4: *an epoch an execution* (2.00 times as fast) buys most. Less, but in "
        "every round: *XLA*."
    )
    assert batch_sentences(batch_table([make_rounds()])) == (
        "- CPU: at width 4 an epoch in batches of 2048 is 4.22 times as fast, and after 4 passes "
        "over 54,000 images 0.2500 of the test images are right instead of 0.5000."
    )


def test_changes_that_help_now_and_then_are_not_praised():
    """Faster in one round and slower in another: nothing can be told; slower in all is slower."""
    mixed = turns("XLA", seconds=[0.4, 2.0, 0.9])
    slower = turns("XLA", seconds=[1.0, 2.0, 1.0]).model_copy(update={"name": "no metrics"})
    text = change_sentences(change_table([make_rounds(changes=[mixed, slower])]))
    alone = change_table([make_rounds(path=[turns("published")], changes=[mixed])])
    alone = alone[alone["change"] == "XLA"]
    assert "Nothing helps in every round. Whether *XLA* helps cannot be told." in (
        change_sentences(alone)
    )
    assert "Slower in every round: *no metrics*. Whether *XLA* helps cannot be told." in text
    both = change_sentences(change_table([make_rounds(changes=[turns("XLA"), slower, slower])]))
    assert both.endswith("Slower in every round: *no metrics* and *no metrics*.")


def test_changes_that_the_rounds_do_not_tell_apart_share_the_praise():
    """XLA is as fast in one round and slower in two: it is not behind in every round."""
    close = turns("XLA", seconds=[0.43, 0.84, 0.43], validation=[0.0422, 0.0844, 0.0422])
    table = change_table([make_rounds(changes=[close])]).set_index("change")
    assert table["behind"].to_dict() == {"an epoch an execution": False, "XLA": False,
                                         NO_VALIDATION: True}  # fmt: skip
    text = change_sentences(table.reset_index())
    ratio = table.loc["XLA", "ratio"]
    assert text == (
        "- CPU, width 4: *an epoch an execution* (2.00 times as fast) or "
        f"*XLA* ({ratio:.2f} times as fast) buys most: the rounds do not tell which."
    )


def test_a_rival_that_helps_now_and_then_is_a_rival():
    """XLA is twice as fast in one round and slower in another: which buys most is not known."""
    mixed = turns("XLA", seconds=[0.3, 2.0, 0.45], validation=[0.03, 0.2, 0.045])
    text = change_sentences(change_table([make_rounds(changes=[mixed])]))
    assert "*an epoch an execution* (2.00 times as fast) or *XLA* (" in text
    assert text.endswith("the rounds do not tell which. Whether *XLA* helps cannot be told.")


def test_a_stage_whose_rounds_disagree_is_not_said_to_save():
    mixed = turns("XLA", seconds=[0.5, 0.7, 0.3], validation=[0.04, 0.08, 0.04])
    path = [turns("published"), turns("an epoch an execution"), mixed]
    text = path_sentences(path_table([make_rounds(path=path)]))
    assert text.endswith("Whether *XLA* saves anything cannot be told: its limits hold 0.")


def test_only_the_stages_that_were_trained_are_explained():
    text = stage_meanings(path_table([make_rounds()]))
    assert [line.split("*")[1] for line in text.splitlines()] == ["an epoch an execution",
                                                                  ONE_PROGRAM]  # fmt: skip
    assert "halves of a batch" in text
    assert "kernels" not in text
    both = stage_meanings(path_table([make_rounds(), make_rounds(device="gpu")]))
    assert "kernels" in both


def test_every_stage_of_every_path_is_explained():
    devices = ("cpu", "gpu")
    stages = {stage for backend in BACKENDS for device in devices
              for stage in path_of(backend, device)}  # fmt: skip
    assert stages == set(STAGES)


def test_the_waterfall_ends_where_tuned_begins():
    _, axes = new_figure(**(PANELS | {"ncols": 1}))
    alt = path_plot(axes, path_table([make_rounds()]), "cpu")
    assert "width 4: 2,200 to 110 µs; saved: an epoch an execution 1,100, one program an ep" in alt
    spans = {}
    for bar in axes[0][0].patches:
        spans.setdefault(round(bar.get_y() + bar.get_height() / 2), []).extend(
            [bar.get_x(), bar.get_x() + bar.get_width()]
        )
    # Published, what two changes take away from its end on, and what is left.
    assert [(min(x), max(x)) for _, x in sorted(spans.items())] == [
        pytest.approx(ends) for ends in ((0, 2200), (1100, 2200), (110, 1100), (0, 110))
    ]


def losing():
    """A path whose only change makes a step slower, as one of PyTorch's may."""
    slower = turns("published", seconds=[1.1, 1.1, 1.1]).model_copy(
        update={"name": "data on the device"}
    )
    return make_rounds(path=[turns("published"), slower], changes=[], batches=[])


def test_a_path_that_saves_nothing_has_no_shares():
    text = path_sentences(path_table([losing()]))
    assert text.startswith("- CPU, width 4: from 2,200 µs to 2,807 µs a step. Saved, a loss where")
    assert ": *data on the device* −607. Whether *data on the device* saves anything cannot" in text
    _, axes = new_figure(**(PANELS | {"ncols": 1}))
    path_plot(axes, path_table([losing()]), "cpu")
    assert [label.get_text() for label in axes[0][0].get_yticklabels()][-1] == "the rest"


def test_what_a_stage_saves_and_what_it_costs_are_both_seen():
    """XLA saves 1,000 µs of the training and costs 300 of validation, which is drawn thin."""
    mixed = turns("an epoch an execution", validation=[0.211, 0.422, 0.211])
    rounds = make_rounds(path=[turns("published"), mixed], changes=[], batches=[])
    _, axes = new_figure(**(PANELS | {"ncols": 1}))
    path_plot(axes, path_table([rounds]), "cpu")
    bars = [bar for bar in axes[0][0].patches if round(bar.get_y() + bar.get_height() / 2) == 1]
    assert [bar.get_width() for bar in bars] == pytest.approx([-1000, 300])
    assert bars[1].get_height() < bars[0].get_height()


def test_a_round_far_off_runs_no_bar_or_number_out_of_the_axis():
    slow = turns("an epoch an execution", seconds=[0.422, 8.44, 0.422])
    rounds = make_rounds(path=[turns("published"), slow], changes=[], batches=[])
    _, axes = new_figure(**(PANELS | {"ncols": 1}))
    path_plot(axes, path_table([rounds]), "cpu")
    axis = axes[0][0]
    assert axis.get_xlim() == pytest.approx((0, 1.28 * 2200))
    (whisker,) = axis.collections
    assert whisker.get_segments()[0][:, 0].max() <= axis.get_xlim()[1]
    assert all(text.xy[0] < axis.get_xlim()[1] for text in axis.texts)


def test_the_paths_ends_stand_beside_the_studys_own_steps():
    """Fits of 22 s are steady epochs of 2 s, 4,739 µs a step, against 2,200 µs."""
    trials = to_frame([make_record(fit=22.0)], "here")
    text = study_sentences(path_table([make_rounds()]), trials)
    assert text == (
        "Beside the study, which was trained at another time: the path's published step took 0.46 "
        "times the study's."
    )
    assert study_sentences(path_table([make_rounds()]), trials[:0]) == ""


def test_both_whole_ways_stand_side_by_side():
    """2,200 to 110 µs on the path; 22 s to 4.4 s in the study."""
    records = [make_record(fit=22.0), make_record(fit=4.4, settings=protocol_settings("tuned"))]
    text = study_sentences(path_table([make_rounds()]), to_frame(records, "here"))
    assert text.endswith(
        "From end to end it gets so many times as fast: 20.0 on the CPU at width 4 (5.0 in the "
        "study)."
    )


def test_what_disturbed_the_turns_is_told():
    assert rounds_caution([make_rounds()]) == ""
    loud = make_rounds(conditions=Conditions(steal_fraction=0.3))
    assert rounds_caution([make_rounds(), loud]) == (
        "⚑ While trainings took turns on the CPU at width 4: the hypervisor took 30.0% of the "
        "capacity."
    )


def test_the_dots_of_both_devices_share_one_axis():
    both = change_table([make_rounds(), make_rounds(device="gpu"), make_rounds(128)])
    _, axis = new_figure(figsize=(8, 6))
    alt = change_plot(axis, both)
    assert "an epoch an execution, CPU, width 4: 2.00; an epoch an execution, GPU, width 4: " in alt
    labels = [label.get_text() for label in axis.get_yticklabels()]
    places = ("CPU, width 4", "GPU, width 4", "CPU, width 128")
    assert labels[:3] == [f"an epoch an execution, {place}" for place in places]
    assert axis.get_xscale() == "log"
    assert axis.texts[0].get_text() == "2,200 → 1,100 µs   2.00×"
