"""How curves are told apart in all figures: by colour, marker and dashes alike."""

from typing import Any, NamedTuple

import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, to_rgb

INK, SOFT, MARK = "#1b1f24", "#57606a", "#333333"
# Okabe and Ito's colours for colour-blind readers; markers and dashes tell them apart in grey.
BLUE, VERMILION = "#0072B2", "#D55E00"
DASHED: Any = (0, (5, 1.5))
DOTTED: Any = (0, (1, 1.2))
EARLIER = "2018"


class Look(NamedTuple):
    """The look of one curve.

    ``alone`` is its marker where no dashes tell it apart. Single trainings stand beside their
    median, ``beside`` in the logarithm of parameters.
    """

    colour: str
    marker: str
    dashes: Any = "-"
    alone: str = ""
    beside: float = 0.0


# By device, and protocol or the published machine's year; a device alone looks as published.
LOOKS = {
    ("cpu", "published"): Look(BLUE, "o", "-", "o", -0.13),
    ("cpu", "tuned"): Look(BLUE, "o", DASHED, "^", -0.221),
    ("cpu", EARLIER): Look(BLUE, "o", DOTTED, "", -0.221),
    ("gpu", "published"): Look(VERMILION, "s", "-", "s", 0.13),
    ("gpu", "tuned"): Look(VERMILION, "s", DASHED, "D", 0.221),
    ("gpu", EARLIER): Look(VERMILION, "s", DOTTED, "", 0.221),
}
# In turn; neither device's colour, for these curves are ratios of both.
RATIO_LOOKS = [
    Look(INK, "D", DOTTED),
    Look("#00704f", "^"),
    Look("#7b3294", "v", DASHED),
    Look("#8c6d00", "P", (0, (3, 1, 1, 1))),
]
# Parts of a step's time, one look in all figures: Paul Tol's muted scheme for colour-blind readers
# (SRON/EPS/TN/09-002), in which no device has its colour; hatches tell the parts apart in grey.
PARTS: dict[str, tuple[str, str]] = {
    "matrix products": ("#332288", ""),
    "other arithmetic": ("#88CCEE", "//"),
    "copying to the device": ("#882255", "xx"),
    "copying from the device": ("#AA4499", "--"),
    "waiting for a batch": ("#117733", "\\\\"),
    "starting operations": ("#DDCC77", ".."),
    "Python": ("#CC6677", "++"),
    "validation": ("#44AA99", "||"),
    "other": ("#DDDDDD", ""),
}
# One part by the names of the profiler and of the trainings that leave it out.
PARTS |= {
    "dispatch": PARTS["starting operations"],
    "data on the device": PARTS["copying to the device"],
    "XLA": PARTS["other arithmetic"],
}


def bar_look(part: str) -> dict[str, Any]:
    """How a bar of a part is drawn: its hatch is of the colour that a text on it has."""
    colour, hatch = PARTS[part]
    edge = text_on(*to_rgb(colour))
    return {"facecolor": colour, "hatch": hatch, "edgecolor": edge, "linewidth": 0.5}


def look_of(row: "pd.Series[Any]") -> Look:
    """The look of the curve of a row that `crossover.report.curve.name_curves` has named."""
    protocol = EARLIER if str(row["curve"]).startswith(EARLIER) else row["protocol"]
    return LOOKS[row["device"], protocol]


def pale(colour: str) -> tuple[float, float, float]:
    """A colour half way to white, for what stands behind."""
    red, green, blue = ((part + 1) / 2 for part in to_rgb(colour))
    return red, green, blue


def shades(*devices: str) -> LinearSegmentedColormap:
    """The colour map from white to a device's colour, or from one's over white to another's.

    What is missing is grey.
    """
    colours = [LOOKS[device, "published"].colour for device in devices]
    ends = [*colours[:-1], "white", colours[-1]]
    # An odd number of steps, lest the white in the middle fall between two.
    whole = LinearSegmentedColormap.from_list("shades", ends, N=257)
    whole.set_bad("#e3e6ea")
    return whole


def text_on(red: float, green: float, blue: float) -> str:
    """Black or white, whichever has more contrast on a colour: at least 4.5 as WCAG 2 counts it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
              for part in (red, green, blue)]  # fmt: skip
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"
