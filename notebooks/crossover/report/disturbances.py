"""What disturbed a measurement beside the trials, in words."""

from collections.abc import Iterable, Iterator

from crossover.analysis.summary import FOREIGN_LIMIT, QUOTA_LIMIT, STEAL_LIMIT
from crossover.records.record import Measured
from crossover.records.unusual import held_down
from crossover.report import text


def cautions(measured: Iterable[tuple[str, Measured]], so: str = "") -> str:
    """A flagged paragraph for each disturbed measurement, named by its words, with what follows."""
    return "\n\n".join(
        text.flagged(f"While {words}: {what}.{so}")
        for words, one in measured
        if (what := ", ".join(_disturbances(one)))
    )


def _disturbances(measured: Measured) -> Iterator[str]:
    """What took the machine's time, or slowed it down, while this was measured."""
    conditions = measured.conditions
    held_back, stolen = conditions.cpu_throttled_fraction or 0, conditions.steal_fraction or 0
    if held_back > QUOTA_LIMIT:
        yield f"the CPU quota held them back in {held_back:.1%} of the periods"
    if stolen > STEAL_LIMIT:
        yield f"the hypervisor took {stolen:.1%} of the capacity"
    if (foreign := conditions.foreign_fraction or 0) > FOREIGN_LIMIT:
        yield f"other programs took {foreign:.1%} of the capacity"
    yield from held_down(measured.machine, conditions)
    if conditions.gpu_throttled:
        yield "the GPU lowered its clock"
