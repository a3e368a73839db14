"""What figures share: labels that do not overlap, plain numbers, text that stays text."""

import re
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from scipy.optimize import minimize

from crossover.report import figure as figures
from crossover.report.axes import parameter_axis, plain
from crossover.report.endlabels import EndLabel, end_labels, spread_apart
from crossover.report.figure import new_figure

matplotlib.use("agg")
bars = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 0.2)), min_size=2, max_size=6)


@given(bars)
def test_bars_do_not_overlap_and_keep_their_order(given_bars):
    wanted, heights = map(np.array, zip(*given_bars, strict=True))
    placed = spread_apart(wanted, heights)
    order = np.argsort(wanted, kind="stable")
    gaps = np.diff(placed[order])
    needed = (heights[order][1:] + heights[order][:-1]) / 2
    assert (gaps >= needed - 1e-9).all()


def test_bars_with_room_stay_where_they_are():
    wanted = np.array([0.9, 0.1, 0.5])
    assert spread_apart(wanted, np.full(3, 0.1)) == pytest.approx(wanted)


def test_bars_move_as_little_as_a_general_solver_finds():
    wanted, heights = np.array([0.5, 0.52, 0.53, 0.9]), np.full(4, 0.1)
    limits = [{"type": "ineq", "fun": lambda x, i=i: x[i + 1] - x[i] - 0.1} for i in range(3)]
    theirs = minimize(lambda x: ((x - wanted) ** 2).sum(), wanted, constraints=limits).x
    assert spread_apart(wanted, heights) == pytest.approx(theirs, abs=1e-4)


def test_drawn_labels_do_not_overlap():
    figure, ax = new_figure()
    parameter_axis(ax, [3_230, 2_913_290])
    ax.set_ylim(0, 1)
    names = ["CPU, published", "CPU, tuned", "GPU, a machine with quite a long name", "GPU, tuned"]
    end_labels(ax, [EndLabel(2_913_290, 0.5, name, "black") for name in names])
    figure.draw_without_rendering()
    boxes = sorted((Text.get_window_extent(text) for text in ax.texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)


def test_a_name_with_dollar_signs_is_drawn_as_it_is():
    figure, ax = new_figure()
    parameter_axis(ax, [10, 100])
    ax.set_ylim(0, 1)
    end_labels(ax, [EndLabel(100, 0.5, r"$\frac{1}", "black")])
    figure.draw_without_rendering()
    assert not ax.texts[0].get_parse_math()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (3230, "3,230"), (134_794, "135k"), (2_913_290, "2.91M"), (20, "20")],
)
def test_axes_carry_plain_numbers(value, text):
    assert plain(value) == text


def test_crowded_sizes_leave_ticks_out_but_keep_the_first():
    _, ax = new_figure()
    parameter_axis(ax, [1000, 1010, 1020, 100_000])
    assert list(ax.xaxis.get_majorticklocs()) == [1000, 100_000]


def test_the_phones_drawing_keeps_its_title_above_the_note(tmp_path):
    drawn = []

    def draw(ax):
        parameter_axis(ax, [10, 100])
        ax.set_title("A machine whose name is longer than a phone is wide, and on", pad=36)
        note = ax.annotate("note", (0.5, 1), (0, 3), xycoords="axes fraction",
                           textcoords="offset points", va="bottom")  # fmt: skip
        drawn.extend([ax, note])
        return "alt"

    figures.show(tmp_path, "figure", draw)
    ax, note = drawn[-2:]  # The second drawing is the narrow one.
    figure = ax.figure
    title = next(t for t in figure.findobj(Text) if t.get_text() == ax.get_title(loc="left"))
    assert "\n" in title.get_text()
    assert title.get_window_extent().x1 <= figure.bbox.x1
    assert Text.get_window_extent(note).y1 <= title.get_window_extent().y0


def test_a_views_place_is_that_of_the_drawn_picture(tmp_path, monkeypatch):
    """A red dot at 100 parameters and 10 seconds lies where the metadata say, wide and narrow."""
    shown = []
    monkeypatch.setattr(figures, "display", lambda data, metadata, raw: shown.append(metadata))

    def draw(ax):
        parameter_axis(ax, [10, 100, 1_000])
        ax.set_yscale("log")
        ax.set_ylim(1, 1_000)
        ax.set_ylabel("seconds")
        ax.set_title("A title that takes some room", pad=36)
        ax.plot([100], [10], "s", c="#ff0000", ms=8, mew=0)
        return "alt"

    figures.show(tmp_path, "f", draw, view={"protocol": "published", "timing": "cold"})
    about = shown[0]["image/svg+xml"]
    chart = about["chart"]
    assert (chart["protocol"], chart["timing"]) == ("published", "cold")
    pictures = {"wide": (tmp_path / "f.svg").read_text(), "narrow": about["narrow"]}
    for name, picture in pictures.items():
        width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture).groups())
        dot = re.search(r'x="([\d.]+)" y="([\d.]+)" style="fill: #ff0000', picture)
        left, bottom, right, top = chart[name]["box"]
        low, high, floor, ceiling = chart[name]["limits"]
        assert (floor, ceiling) == (0, 3)
        across = left + (2 - low) / (high - low) * (right - left)
        up = bottom + (1 - floor) / (ceiling - floor) * (top - bottom)
        assert float(dot[1]) / width == pytest.approx(across, abs=1e-3)
        assert 1 - float(dot[2]) / height == pytest.approx(up, abs=1e-3)
    assert chart["narrow"]["box"] != chart["wide"]["box"]
