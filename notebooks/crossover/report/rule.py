"""A comparison's crossover in words: the rule to decide by, the finding, and what it rests on."""

from collections.abc import Mapping
from typing import Any

from crossover.analysis.crossing import outwards, rounded
from crossover.report import text
from crossover.words import counted

# How a reason begins that leaves the winner open.
OPEN = ("from ", "the devices' times overlap")


def rule_words(crossing: Mapping[str, Any]) -> str:
    """Which device to take at which size: below and above the interval, and inside it."""
    if crossing["status"] == "crossed":
        low, high = outwards(crossing["low"], crossing["high"])
        if text.finite(low):
            return (
                f"Below {low:,.0f} parameters take the CPU, above {high:,.0f} the GPU; between "
                "them either"
            )
        about = rounded(crossing["estimate"])
        return f"Below about {about} parameters take the CPU, above it the GPU"
    reason = str(crossing["reason"])
    if crossing["status"] == "unresolved":
        if reason.startswith(OPEN):
            return f"Too close to call: {reason}"
        return f"{reason[0].upper()}{reason[1:]}"
    device = str(crossing["status"])[:3].upper()
    about = ", as single trainings tell," if crossing["interval_kind"] == "none" else ""
    return f"The {device} is faster{about} {reason}"


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
