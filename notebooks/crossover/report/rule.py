"""A comparison's crossover in words: the rule to decide by, the finding, and what it rests on."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from crossover.analysis.crossing import Crossover, outwards, rounded
from crossover.report import text
from crossover.words import counted

# Crossovers whose limits are no further apart say the same.
NEAR = 1.25
SINGLE = "as single trainings tell"
# How a reason begins that leaves the winner open.
OPEN = ("from ", "the devices' ")


class Measure(NamedTuple):
    """What devices are compared by: what the better one does, and whose numbers overlap."""

    better: str
    numbers: str


TIME = Measure("is faster", "times")
COST = Measure("is cheaper", "costs")
ENERGY = Measure("needs less energy", "joules")


def rule_words(crossing: Mapping[str, Any], measure: Measure = TIME) -> str:
    """Which device to take at which size: below and above the interval, and inside it."""
    if crossing["status"] == "crossed":
        cpu = "take the CPU" if measure is TIME else f"the CPU {measure.better}"
        low, high = outwards(crossing["low"], crossing["high"])
        if text.finite(low):
            about = "" if crossing["interval_kind"] == "interval" else "about "
            return (
                f"Below {about}{low:,.0f} parameters {cpu}, above {about}{high:,.0f} the GPU; "
                "between them either"
            )
        about = rounded(crossing["estimate"])
        return f"Below about {about} parameters {cpu}, above it the GPU, {SINGLE}"
    reason = str(crossing["reason"]).replace("devices' times", f"devices' {measure.numbers}")
    reason = reason.replace("is faster", measure.better)
    if crossing["status"] == "unresolved":
        lead = "Too close to call: " if reason.startswith(OPEN) else ""
        words = lead + reason if lead else f"{reason[0].upper()}{reason[1:]}"
        return f"{words}, {SINGLE}" if crossing["repeats"] == 1 else words
    device = str(crossing["status"])[:3].upper()
    about = f", {SINGLE}," if crossing["interval_kind"] == "none" else ""
    return f"The {device} {measure.better}{about} {reason}"


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rules say much the same: the same device, or crossovers near each other."""
    if one["status"] != other["status"]:
        return False
    if one["status"] != "crossed":
        return True
    (low, high), (lower, higher) = _limits(one), _limits(other)
    return max(low, lower) <= NEAR * min(high, higher)


def _limits(crossing: Mapping[str, Any]) -> tuple[float, float]:
    """A crossover's limits; its estimate where it has none."""
    if text.finite(crossing["low"]):
        return crossing["low"], crossing["high"]
    return crossing["estimate"], crossing["estimate"]


def measured_rule(crossover: Crossover, measure: Measure) -> str:
    """A crossover's rule with what its limits are."""
    rule = rule_words(vars(crossover), measure)
    return rule if SINGLE in rule else f"{rule} ({crossover.kind()}{crossover.once()})"


def finding(crossing: Mapping[str, Any] | None) -> str:
    """What a comparison found, as the title of its chart; without one, what is missing."""
    if crossing is None or crossing["status"] == "missing device":
        return "Not timed on both devices: nothing to compare"
    return rule_words(crossing)


def evidence(crossing: Mapping[str, Any], cpu: str, gpu: str) -> str:
    """How sure a comparison of two devices, by their own names, is, and what would settle it."""
    repeats, alone = int(crossing["repeats"]), crossing["alone"]
    if not repeats:
        return ""
    if crossing["interval_kind"] == "none":
        return (
            f"{cpu} and {gpu} were timed once each: `make report REPEATS=5` tells how sure that is."
        )
    once = {"CPU": (gpu, "CPU"), "GPU": (cpu, "GPU")}.get(alone)
    lead = (
        f"{once[0]} was timed once; the {once[1]}'s {counted(repeats, 'repeat')}"
        if once
        else f"{counted(repeats, 'repeat')} of {cpu} and {gpu}"
    )
    if not text.finite(crossing["low"]):
        return f"{lead} leave no size open ({kind(crossing)})."
    low, high = (f"{end:,.0f}" for end in outwards(crossing["low"], crossing["high"]))
    if crossing["status"] != "crossed":
        return f"{lead} leave {low} to {high} parameters open ({kind(crossing)})."
    about = rounded(crossing["estimate"])
    return (
        f"{lead} put the crossover at about {about} parameters, between {low} and {high} "
        f"({kind(crossing)})."
    )


def kind(crossing: Mapping[str, Any]) -> str:
    """What the limits are, by name: '93.8% interval', or the range of few repeats."""
    if text.finite(crossing["level"]):
        return f"{100 * crossing['level']:.1f}% interval"
    return f"the range of {crossing['repeats']} repeats; five give an interval"
