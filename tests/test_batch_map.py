"""The map of batch sizes, against cells, edges and sentences worked out by hand."""

from itertools import product

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb

from conftest import make_record
from crossover.analysis.batch_map import (
    BATCH_SIZES,
    MAP_EPOCHS,
    MAP_WIDTHS,
    batch_map,
    beside_study,
    on_map,
)
from crossover.analysis.merge import with_batch_sizes
from crossover.records.settings import Settings, protocol_settings
from crossover.report import looks, text
from crossover.report.columns import written
from crossover.report.figure import new_figure
from crossover.report.sections import batch_map as section
from crossover.report.sections.batch_map import map_plot
from crossover.study.configuration import configuration, study_from
from test_sections import results_of

matplotlib.use("agg")


def mapped(width, batch_size, seconds=1.0, **changes):
    """A training of the map whose second and third epochs take some seconds, its first twice."""
    settings = protocol_settings("published", epochs=3, batch_size=batch_size)
    return make_record(width, fit=4 * seconds, settings=settings, **changes)


# CPU time / GPU time by batch size and width; the training of NaN is missing on the GPU.
RATIOS = {32: [0.5, 0.5, 2.0], 128: [0.5, 2.0, 2.0], 512: [1.0, np.nan, 2.0]}
SIZES = {4: 3_230, 16: 13_274, 64: 59_210}
# Around the squares whose centres are (2, 0), (1, 1) and (2, 1), without what borders on NaN.
EDGES = [((0.5, 0.5), (0.5, 1.5)), ((0.5, 0.5), (1.5, 0.5)), ((1.5, -0.5), (1.5, 0.5))]


def simulated():
    """Records of both devices with these ratios; the CPU takes a second everywhere."""
    cells = [(width, batch_size, ratio) for batch_size, ratios in RATIOS.items()
             for width, ratio in zip(SIZES, ratios, strict=True)]  # fmt: skip
    on_cpu = [mapped(width, batch_size) for width, batch_size, _ in cells]
    on_gpu = [mapped(width, batch_size, 1 / ratio, device="gpu")
              for width, batch_size, ratio in cells if np.isfinite(ratio)]  # fmt: skip
    return [*on_cpu, *on_gpu]


def drawn(records):
    """The axis of these records' map, and its alt text."""
    _, ax = new_figure()
    alt = map_plot(ax, batch_map(records))
    return ax, alt


def square_colours(ax):
    """The colour of each square, rows by columns."""
    (image,) = ax.images
    return image.to_rgba(image.get_array())[..., :3]


def test_the_map_holds_each_batch_size_and_nothing_else():
    records = [mapped(4, size, float(size)) for size in BATCH_SIZES]
    table = batch_map([*records, make_record()])
    # The first of three epochs, which takes twice as long, is not counted.
    assert dict(zip(table["batch_size"], table["epoch_seconds"], strict=True)) == pytest.approx(
        {size: size for size in BATCH_SIZES}
    )
    assert not on_map(Settings(epochs=3, jit_compile=True))
    assert not on_map(Settings(epochs=3, batch_size=64))
    assert not on_map(Settings(epochs=2))
    assert on_map(protocol_settings("published", epochs=3, backend="jax", threads=2))


def test_a_cell_is_the_median_of_its_trainings_with_their_range():
    seconds = [3.0, 1.0, 1.5]
    repeats = [mapped(4, 32, each, repeat=n) for n, each in enumerate(seconds, 1)]
    table = batch_map([*repeats, mapped(4, 128, 0.5)]).set_index("batch_size")
    assert table.loc[32, ["epoch_seconds", "low", "high", "trainings"]].tolist() == [1.5, 1, 3, 3]
    assert table.loc[128, ["epoch_seconds", "low", "high", "trainings"]].tolist() == [
        0.5, 0.5, 0.5, 1,
    ]  # fmt: skip


def widths_of(records):
    return sorted(set(batch_map(records)["width"]))


def test_no_column_of_the_map_is_half_empty():
    whole = [mapped(*cell) for cell in product((4, 1024), BATCH_SIZES)]
    assert widths_of([mapped(8, 128)]) == []
    # A study of three epochs, and a map that was stopped after its second batch size.
    begun = [mapped(8, 128), mapped(16, 32), mapped(16, 128)]
    assert widths_of(whole + begun) == [4, 1024]
    assert widths_of([*whole, *begun, mapped(16, 512)]) == [4, 16, 1024]
    # A device's own trainings decide.
    assert set(batch_map([*whole, mapped(16, 32, device="gpu")])["device"]) == {"cpu"}


def test_the_map_counts_two_epochs_and_each_repeat_adds():
    given = configuration("map", ["DEVICES=cpu", "REPEATS=3"])["study"]
    study = study_from(given)
    assert {sweep.epochs for sweep in study.sweeps()} == {MAP_EPOCHS}
    assert MAP_EPOCHS - 1 >= 2
    assert study.trial_count == 3 * len(MAP_WIDTHS) * len(BATCH_SIZES)
    first = [mapped(*cell) for cell in product(MAP_WIDTHS, BATCH_SIZES)]
    assert {sweep.repeat for sweep in study.missing(first).values()} == {2, 3}


def test_the_crossover_runs_along_edges_between_a_gpu_and_a_cpu_square():
    ax, _ = drawn(simulated())
    (line,) = ax.collections
    assert isinstance(line, LineCollection)
    segments = [tuple(map(tuple, ends)) for ends in line.get_segments()]
    assert sorted(segments) == EDGES
    assert ax.get_xlim() == (-0.5, 2.5)


def test_blue_is_where_the_cpu_wins_and_a_missing_square_says_so():
    ax, _ = drawn(simulated())
    colours = np.apply_along_axis(to_hex, -1, square_colours(ax)).tolist()
    cpu, gpu = looks.BLUE.lower(), looks.VERMILION.lower()
    missing = colours[2][1]
    assert colours == [[cpu, cpu, gpu], [cpu, gpu, gpu], ["#ffffff", missing, gpu]]
    assert missing not in (cpu, gpu, "#ffffff")
    assert {number.get_position(): number.get_text() for number in ax.texts} == {
        (0, 0): "0.5×", (1, 0): "0.5×", (2, 0): "2×",
        (0, 1): "0.5×", (1, 1): "2×", (2, 1): "2×",
        (0, 2): "1×", (1, 2): "missing", (2, 2): "2×",
    }  # fmt: skip
    assert [label.get_text() for label in ax.get_yticklabels()] == ["32", "128", "512"]


def test_two_equal_devices_are_white_and_have_no_crossover():
    cells = product(("cpu", "gpu"), (4, 16), (32, 128))
    ax, alt = drawn([mapped(width, size, device=device) for device, width, size in cells])
    assert (square_colours(ax) == 1).all()
    assert ax.collections[0].get_segments() == []
    assert "at batches of 32 at no size, at batches of 128 at no size." in alt


@pytest.mark.parametrize(("device", "colour"), [("cpu", looks.BLUE), ("gpu", looks.VERMILION)])
def test_one_device_has_shades_of_its_own_colour(device, colour):
    cells = [(4, 32, 2.0), (4, 128, 1.0), (16, 32, 8.0), (16, 128, 4.0)]
    ax, alt = drawn([mapped(*cell, device=device) for cell in cells])
    assert alt == (
        f"Seconds of an epoch on the {device.upper()} by parameters and batch size: from 1 to 8."
    )
    assert sorted(number.get_text() for number in ax.texts) == ["1 s", "2 s", "4 s", "8 s"]
    colours = square_colours(ax)
    assert to_hex(colours[0, 1]) == colour.lower()
    # Each lies between white and the colour, the shortest time nearest to white.
    share = (1 - colours) / (1 - np.array(to_rgb(colour)))
    assert share == pytest.approx(share[..., :1] * np.ones(3), abs=0.02)
    assert list(np.argsort(share[..., 0], axis=None)) == [2, 0, 3, 1]
    assert share.min() > 0.1
    assert not ax.collections


def contrast(one, other):
    """The contrast ratio of WCAG 2, from its text."""
    channels = np.array([to_rgb(one), to_rgb(other)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (high + 0.05) / (low + 0.05)


def test_every_number_is_legible_on_its_square():
    assert contrast("#767676", "white") == pytest.approx(4.54, abs=0.01)
    steps = np.linspace(0, 1, 201)
    for devices in (("cpu", "gpu"), ("cpu",), ("gpu",)):
        shades = looks.shades(*devices)
        for colour in [shades(share)[:3] for share in steps] + [shades(np.nan)[:3]]:
            assert contrast(colour, looks.text_on(*colour)) >= 4.5


def test_the_alt_text_says_from_how_many_parameters_on_the_gpu_wins():
    ax, alt = drawn(simulated())
    assert alt == (
        "Speed-up of the GPU over the CPU by parameters and batch size: from 0.5 to 2 times. "
        "The GPU wins at batches of 32 from 59,210 parameters on, at batches of 128 from 13,274 "
        "parameters on, at batches of 512 from 59,210 parameters on."
    )
    assert ax.get_title(loc="left").endswith("each cell is 1 training with 2 counted epochs")


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ((2.0, 2.0, 2.0), "at every size"),
        ((0.5, 1.0, 0.5), "at no size"),
        ((2.0, 0.5, 2.0), "at 3,230 and 59,210 parameters only"),
        ((0.5, 2.0, 0.5), "at 13,274 parameters only"),
    ],
)
def test_a_batch_size_tells_where_the_gpu_wins(ratios, words):
    table = pd.DataFrame([ratios], index=[32], columns=list(SIZES.values()))
    assert section.wins_sentence(table) == f"The GPU wins at batches of 32 {words}."


def test_devices_without_a_cell_in_common_are_not_compared():
    records = [mapped(4, 32), mapped(4, 128), *(mapped(16, b, device="gpu") for b in (32, 128))]
    _, alt = drawn(records)
    assert alt == "Seconds of an epoch on the CPU by parameters and batch size: from 1 to 1."


def test_the_map_says_how_many_trainings_stand_behind_a_cell():
    once = [mapped(*cell) for cell in product((4, 16), (32, 128))]
    twice = [mapped(*cell, repeat=2) for cell in product((4, 16), (32, 128))]
    assert section.trainings_sentence(batch_map(once)) == (
        "On the map, each cell is 1 training with 2 counted epochs; the first epoch is never "
        "counted. A single training shows no spread: `make map REPEATS=3` adds more."
    )
    assert "each cell is the median of 1 to 2 trainings with 2 counted epochs each" in (
        section.trainings_sentence(batch_map(once + twice[:1]))
    )
    assert section.trainings_sentence(batch_map(once + twice)) == (
        "On the map, each cell is the median of 2 trainings with 2 counted epochs each; the first "
        "epoch is never counted."
    )


def studied(width, seconds=1.0, **changes):
    """A training of the study, ten epochs, of which all but the first take some seconds."""
    return make_record(width, fit=11 * seconds, **changes)


def whole_map(at_128, **changes):
    """Trainings of widths 4 and 16: a second at batches of 32, those given at 128."""
    cells = [(4, 32, 1.0), (16, 32, 1.0), (4, 128, at_128[0]), (16, 128, at_128[1])]
    return [mapped(*cell, **changes) for cell in cells]


def test_the_map_is_compared_with_the_study(tmp_path, capsys):
    again = mapped(16, 128, 1.0, repeat=2, test_accuracy=0.5)
    records = [studied(4), studied(16), *whole_map((1.5, 0.8)), again]
    results = results_of(tmp_path, *records, widths=[4, 16])
    section.show(results)
    assert "range of the trainings" in capsys.readouterr().out
    assert (tmp_path / "out" / "map.svg").exists()
    sizes = batch_map(results.merged.recorded)
    beside, told = section.compared(results, sizes)
    assert told == (
        "At batches of 128 the map's epochs take 0.90 to 1.50 times the study's own (steady) on "
        "the CPU, which were measured at another time.\n\n"
        "⚑ More than 20% apart: on the CPU at 3,230 parameters 1.5 s on the map and 1 s in the "
        "study."
    )
    table = written(section.with_study(sizes, beside), section.COLUMNS)
    right = f"{records[0].test_accuracy:.3f}"
    # Accuracy is the median of the trainings, too.
    assert table.to_numpy().tolist() == [
        ["CPU", "3,230", "32", "1", "1", "", right],
        ["CPU", "3,230", "128", "1.5", "1", "⚑ 1", right],
        ["CPU", "13,274", "32", "1", "1", "", right],
        ["CPU", "13,274", "128", "0.9 (0.8 to 1)", "2", "1", f"{(0.5 + float(right)) / 2:.3f}"],
    ]


def test_both_devices_are_compared_with_their_own():
    both = [*whole_map((1.1, 1.1)), *whole_map((0.97, 0.96), device="gpu")]
    study = [studied(width, device=device) for device in ("cpu", "gpu") for width in (4, 16)]
    cells = pd.DataFrame(
        {"protocol": "published", "device": record.device, "width": record.width,
         "steady_seconds": record.steady_seconds} for record in study
    )  # fmt: skip
    assert section.study_sentences(beside_study(batch_map(both), cells, 128, 10)) == (
        "At batches of 128 the map's epochs take 1.10 times the study's own (steady) on the CPU "
        "and 0.96 to 0.97 times the study's own (steady) on the GPU, which were measured at "
        "another time."
    )


@pytest.mark.parametrize(
    ("seconds", "apart"), [(1.19, False), (1.21, True), (1 / 1.19, False), (1 / 1.21, True)]
)
def test_times_are_apart_from_a_fifth_of_the_shorter_on(seconds, apart):
    cells = pd.DataFrame({"protocol": ["published"], "device": ["cpu"], "width": [4],
                          "steady_seconds": [10.0]})  # fmt: skip
    beside = beside_study(batch_map(whole_map((seconds, seconds))), cells, 128, 10)
    assert beside.set_index("width")["apart"].to_dict() == {4: apart, 16: False}


def test_a_study_of_the_maps_own_settings_is_not_compared_with_itself(tmp_path):
    records = [*whole_map((1.0, 1.0)), mapped(8, 128)]
    results = results_of(tmp_path, *records, epochs=3, widths=[4, 8, 16])
    beside, told = section.compared(results, batch_map(results.merged.recorded))
    assert beside["study_seconds"].isna().all()
    assert told == ("At batches of 128 the map's trainings are the study's own.")
    pool = with_batch_sizes(results.merged, results.merged.own)
    assert sorted(zip(pool["width"], pool["batch_size"], strict=True)) == [
        (4, 32), (4, 128), (8, 128), (16, 32), (16, 128),
    ]  # fmt: skip


@pytest.mark.parametrize("asked", [{}, {"batch_size": 256}])
def test_a_map_without_a_study_is_compared_with_nothing(tmp_path, asked):
    """And not with the published machine, which stands in for this one then."""
    results = results_of(tmp_path, *whole_map((1.0, 1.0)), **asked)
    beside, told = section.compared(results, batch_map(results.merged.recorded))
    assert beside["study_seconds"].isna().all()
    assert told == ("The map and the study's own steady epochs have no cell in common.")


def test_without_a_map_the_section_says_how_to_train_it(tmp_path, monkeypatch):
    texts = []
    monkeypatch.setattr(text, "display", lambda markdown: texts.append(markdown.data))
    section.show(results_of(tmp_path, studied(4), mapped(4, 128)))
    assert texts == ["The map of batch sizes: `make map` trains it."]
