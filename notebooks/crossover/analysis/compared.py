"""One CPU beside one GPU: their curves, the crossover's rule, and the verdict at any size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from crossover.analysis.band import Ratio
from crossover.analysis.interpolate import Curve, choose, predict
from crossover.analysis.verdict import (
    BreakEven,
    Prediction,
    Rule,
    Verdict,
    break_even,
    cheaper,
    rule_of,
    verdict,
)

MIME = "application/vnd.crossover.curves+json"
START_PARAMETERS = 1_000_000
EDGE = 5  # Digits of a log ratio after the point.


@dataclass(frozen=True)
class Comparison:
    """One CPU and one GPU in one protocol and timing: their curves, ratio and crossover's rule.

    None stands for what was not measured. Where an hour of the GPU has a ``price``, in hours of the
    CPU, the GPU's times are costs.
    """

    cpu: Curve | None
    gpu: Curve | None
    rule: Rule | None
    ratio: Ratio | None
    price: float = 1.0

    def at(self, parameters: float) -> tuple[Prediction, Prediction, Verdict]:
        """Both devices' predicted times of a size, and the verdict."""
        cpu, gpu = (predict(curve, parameters) for curve in (self.cpu, self.gpu))
        gpu = gpu.priced(self.price)
        return cpu, gpu, verdict(cpu, gpu, self.rule, parameters)

    def break_even(self, parameters: float) -> BreakEven | None:
        """The price ratio at which a training of a size costs both devices the same."""
        cpu, gpu, _ = self.at(parameters)
        return break_even(cpu, gpu, self.ratio, parameters)

    def cheaper_at(self, parameters: float, price_ratio: float) -> Verdict:
        """Which device trains a size for less, where a GPU's hour costs so many of the CPU's."""
        return self.priced(price_ratio).at(parameters)[2]

    def priced(self, price_ratio: float) -> "Comparison":
        """The comparison of costs, where a GPU's hour costs so many of the CPU's."""
        rule = rule_of(vars(cheaper(self.ratio, price_ratio))) if self.ratio else None
        return replace(self, rule=rule, price=price_ratio)


def compare(
    curves: Sequence[Curve], crossings: pd.DataFrame, machines: tuple[str, str],
    protocol: str, timing: str,
) -> Comparison:  # fmt: skip
    """The comparison of a CPU's machine with a GPU's, from all curves and all crossovers."""
    cpu, gpu = (
        choose(curves, machine, device, protocol, timing)
        for machine, device in zip(machines, ("cpu", "gpu"), strict=True)
    )
    crossing = crossing_of(crossings, machines, protocol, timing)
    return Comparison(cpu, gpu, rule_of(crossing), crossing["ratio"] if crossing else None)


def crossing_of(
    crossings: pd.DataFrame, machines: tuple[str, str], protocol: str, timing: str
) -> dict[str, Any] | None:
    """The row of `crossovers` of one comparison, by its columns, or None."""
    wanted = {"cpu_machine": machines[0], "gpu_machine": machines[1],
              "protocol": protocol, "timing": timing}  # fmt: skip
    rows = crossings[(crossings[list(wanted)] == list(wanted.values())).all(axis=1)]
    return {str(name): value for name, value in rows.iloc[0].items()} if len(rows) else None


def form_data(
    curves: Sequence[Curve], crossings: pd.DataFrame, cpu: str, gpu: str,
    protocol: str, timing: str,
) -> dict[str, object]:  # fmt: skip
    """What the report's form computes from; empty unless both devices have two sizes timed.

    ``curves`` of two sizes and more; the ``rules`` of all comparisons, by ``cpu`` and ``gpu``
    machine, ``protocol`` and ``timing``, whose unknown numbers are None, each with the ``ratio``
    that it was read off; and the choices and the size to ``start`` with.
    """
    curves = [curve for curve in curves if len(curve["parameters"]) > 1]
    if not {("cpu", cpu), ("gpu", gpu)} <= {(one["device"], one["machine"]) for one in curves}:
        return {}
    start = {"cpu": cpu, "gpu": gpu, "protocol": protocol, "timing": timing}
    chosen = (choose(curves, cpu, "cpu", protocol, timing),
              choose(curves, gpu, "gpu", protocol, timing))  # fmt: skip
    largest = [curve["parameters"][-1] for curve in chosen if curve]
    return {
        "curves": curves,
        "rules": [named for row in crossings.to_dict("records") if (named := _named_rule(row))],
        "start": start | {"parameters": min([START_PARAMETERS, *largest])},
    }


def _named_rule(crossing: dict[Any, Any]) -> dict[str, object]:
    """One comparison's rule under its names; empty where a device is missing."""
    rule = rule_of(crossing)
    if rule is None:
        return {}
    names = {"cpu": "cpu_machine", "gpu": "gpu_machine", "protocol": "protocol", "timing": "timing"}
    values = {name: None if value != value else value for name, value in vars(rule).items()}
    whose = {name: crossing[column] for name, column in names.items()}
    return whose | values | {"ratio": ratio_data(crossing["ratio"])}


def ratio_data(ratio: Ratio) -> dict[str, object]:
    """A ratio as plain data that JSON can hold, from which the form's script classifies.

    ``log_parameters``, ``lower``, ``upper`` and ``repeats`` are the band's.
    """
    band = ratio.band
    return {
        "parameters": ratio.parameters.tolist(),
        "medians": ratio.medians.tolist(),
        "log_parameters": band.log_parameters.round(9).tolist(),
        "lower": band.lower.round(EDGE).tolist(),
        "upper": band.upper.round(EDGE).tolist(),
        "repeats": band.repeats.tolist(),
    }
