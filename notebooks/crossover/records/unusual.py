"""What is unusual about the machine of a trial, and changes its time: in a few words."""

from collections import Counter
from collections.abc import Mapping, Sequence

from crossover.records.record import Conditions, Machine, Record
from crossover.words import counted, printable

# These set the clocks by themselves; the governor's name is a hint, and the preference tells.
SELF_GOVERNED = ("intel_pstate", "amd-pstate-epp", "amd_pstate_epp")
SAVING = ("power", "balance_power")
SAVING_PROFILES = ("low-power", "quiet", "cool")
# A clock may be this share of the CPU's highest before it counts as held down.
CAPPED = 0.95
# The one thing to do about each, by how its text begins.
REMEDIES = {
    "on battery": "plug it in",
    "power profile": "choose the profile 'performance' in its power settings",
    "energy preference": "choose the profile 'performance' in its power settings",
    "governor powersave": "run 'sudo cpupower frequency-set --governor performance'",
    "clock limited": "raise the limit with 'sudo cpupower frequency-set --max'",
}
LONGEST_LINE = 400


def held_down(machine: Machine, conditions: Conditions) -> list[str]:
    """What holds the CPU's clocks down: battery, a mode that saves power, a lower limit."""
    reasons = ["on battery"] if conditions.on_battery else []
    if conditions.platform_profile in SAVING_PROFILES:
        reasons.append(f"power profile {conditions.platform_profile}")
    if machine.cpu_driver in SELF_GOVERNED:
        if conditions.cpu_preference in SAVING:
            reasons.append(f"energy preference {conditions.cpu_preference}")
    elif conditions.cpu_governor == "powersave":
        reasons.append("governor powersave")
    limit, highest = conditions.cpu_mhz_limit, machine.cpu_mhz_max
    if limit and highest and limit < CAPPED * highest:
        reasons.append(f"clock limited to {limit / 1e3:.1f} of {highest / 1e3:.1f} GHz")
    return reasons


def cores_held_back(machine: Machine, pinned: bool = False) -> list[str]:
    """What a container or an affinity, unless it was asked for, keeps of the machine."""
    reasons, visible = [], machine.visible_cores or 0
    if machine.cpu_quota:
        reasons.append(f"a CPU quota grants {machine.cpu_quota:.3g} of {counted(visible, 'core')}")
    if not pinned and 0 < visible < (machine.logical_cores or 0):
        seen = "core is" if visible == 1 else "cores are"
        reasons.append(f"{visible} of {machine.logical_cores} {seen} visible")
    if machine.memory_limit_bytes and machine.memory_bytes:
        granted, present = machine.memory_limit_bytes / 2**30, machine.memory_bytes / 2**30
        reasons.append(f"a limit grants {granted:.3g} of {present:.3g} GiB of memory")
    return reasons


def environment_text(environment: Mapping[str, str]) -> str:
    """Variables with their values, in the order of their names; 'none' where there is none."""
    return " ".join(f"{name}={value}" for name, value in sorted(environment.items())) or "none"


def unusual_of(records: Sequence[Record]) -> list[str]:
    """What was unusual about a study's machine, and in how many of its trials."""
    if not records:
        return []
    # Trials of earlier versions tell less.
    last = next((one for one in reversed(records) if one.environment is not None), records[-1])
    reasons = cores_held_back(last.machine, pinned=last.settings.threads is not None)
    trials = counted(len(records), "trial")
    cut = sum((record.conditions.cpu_throttled_fraction or 0) > 0 for record in records)
    if cut:
        reasons.append(f"the quota held {cut} of {trials} back")
    slowed = Counter(text for one in records for text in held_down(one.machine, one.conditions))
    reasons += [f"{text} in {count} of {trials}" for text, count in slowed.items()]
    if last.machine.cpu_boost is False:
        reasons.append("the CPU's boost was off")
    if last.environment:
        reasons.append(f"the environment set {environment_text(last.environment)}")
    return reasons


def announcement(
    machine: Machine,
    conditions: Conditions,
    environment: Mapping[str, str],
    ignored: Mapping[str, str],
    keras_file: list[str],
    threads: int,
) -> list[str]:
    """At most three lines: cores and memory, clocks, and the environment, each with what to do.

    ``environment`` are the variables that a training heeds, ``ignored`` those that it does not;
    ``keras_file`` are the settings in Keras's file that are not Keras's own, and ``threads`` what
    the trainings will use.
    """
    lines = []
    if cores := cores_held_back(machine):
        used = f" Trainings use {counted(threads, 'thread')}; what the quota holds back is flagged."
        lines.append(f"Unusual here: {'; '.join(cores)}.{used if machine.cpu_quota else ''}")
    if clocks := held_down(machine, conditions):
        todo = dict.fromkeys(
            todo for text in clocks for start, todo in REMEDIES.items() if text.startswith(start)
        )
        mend = "; ".join(todo)
        lines.append(f"Unusual here: {', '.join(clocks)}; trials are flagged. To mend: {mend}.")
    elif machine.cpu_boost is False:
        lines.append("Unusual here: the CPU's boost is off.")
    parts = [f"heeded and recorded: {environment_text(environment)}"] if environment else []
    if ignored or keras_file:
        left = [environment_text(ignored)] if ignored else []
        left += [f"Keras's file ({', '.join(keras_file)})"] if keras_file else []
        instead = " (give THREADS instead)" if any("THREADS" in name for name in ignored) else ""
        parts.append(f"not heeded: {' and '.join(left)}{instead}")
    if parts:
        lines.append(f"Unusual here: the environment; {'; '.join(parts)}.")
    return [printable(line, LONGEST_LINE) for line in lines]
