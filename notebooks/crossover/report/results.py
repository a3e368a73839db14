"""What all sections of the report read, worked out once from the recorded trials."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crossover.analysis.compared import Comparison, compare
from crossover.analysis.comparison import crossovers
from crossover.analysis.interpolate import Curve, measured_curves
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import AnyMeasured, Merged, merge
from crossover.analysis.own import OwnModel, own_models
from crossover.analysis.parity import accuracy_parity
from crossover.analysis.speedup import speedups
from crossover.analysis.summary import summarise
from crossover.analysis.timemodel import fit_all
from crossover.files import write_text
from crossover.records.ceilings import Ceilings, read_ceilings
from crossover.records.jsontext import Problem
from crossover.records.own import read_own
from crossover.records.parameters import SummaryParameters
from crossover.records.rounds import Rounds, read_rounds
from crossover.records.settings import PROTOCOLS
from crossover.records.storage import set_aside_before

# A chart's protocol and timing: as the published study trained and timed comes first.
VIEWS = [(protocol, timing) for protocol in PROTOCOLS for timing in ("cold", "steady")]
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Results:
    """What was merged, and the frames of all machines that several sections share.

    The functions that `read_results` calls describe the frames' columns. ``curves`` are those of
    all machines that solved the same learning problem with the same backend. ``ceilings`` and
    ``rounds`` are those of the study's machine, software, batch size and threads, ``own_models``
    what was measured there of the reader's own; ``problems`` names those set aside.
    """

    asked: SummaryParameters
    merged: Merged
    cells: pd.DataFrame
    ratios: pd.DataFrame
    crossings: pd.DataFrame
    parity: pd.DataFrame
    models: pd.DataFrame
    curves: list[Curve]
    ceilings: list[Ceilings]
    rounds: list[Rounds]
    own_models: list[OwnModel]
    problems: list[Problem]

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return Path(self.asked.figure_folder)

    @property
    def tables(self) -> Path:
        """The folder of ``summary.csv``, ``crossover.csv`` and ``chart.csv``."""
        return Path(self.asked.table_folder)

    @property
    def own_trials(self) -> pd.DataFrame:
        """The trials of this machine."""
        return self.merged.of(self.merged.own)

    @property
    def own_cells(self) -> pd.DataFrame:
        """The cells of this machine."""
        return self.cells[self.cells["machine"] == self.merged.own]

    def drawn(self, protocol: str, timing: str) -> pd.DataFrame:
        """The cells of the CPU and of the GPU that it is compared with that have such times."""
        cells = self.cells[self.cells["protocol"] == protocol]
        own = cells[cells["machine"] == cells["device"].map(self.merged.compared)]
        return own.dropna(subset=[f"{timing}_seconds"])

    @property
    def views(self) -> list[tuple[str, str]]:
        """The protocols and timings of which either device has a time; the report's own first."""
        return [view for view in VIEWS if len(self.drawn(*view))]

    def compared(self, protocol: str, timing: str) -> Comparison:
        """The machine's CPU beside the GPU that it is compared with."""
        machines = self.merged.own, self.merged.gpu_machine
        return compare(self.curves, self.crossings, machines, protocol, timing)


def read_results(asked: SummaryParameters) -> Results:
    """Read the trials and ceilings that a report was asked for.

    Raises `MixedTrialsError` if the trials of the machine that it speaks of differ in software.
    """
    settings = own_settings(asked.backend, asked.epochs, asked.batch_size, asked.threads)
    merged = merge(Path(asked.records), settings)
    cells = summarise(merged.trials)
    alike = [name for name in merged.trials["machine"].unique() if merged.comparable(name)]
    ceilings, no_ceilings = read_ceilings(Path(asked.ceilings))
    rounds, no_rounds = read_rounds(Path(asked.rounds))
    own_ceilings, others_ceilings = merged.own_of(_as_asked(ceilings, asked), "ceilings")
    own_rounds, others_rounds = merged.own_of(_as_asked(rounds, asked), "rounds")
    runs, no_runs = read_own(Path(asked.own))
    own_runs, others_runs = merged.own_of(runs, "a model of your own")
    aside = [
        problem
        for folder in (asked.ceilings, asked.rounds, asked.own)
        for problem in set_aside_before(Path(folder), "measurement")
    ]
    return Results(
        asked=asked,
        merged=merged,
        cells=cells,
        ratios=speedups(cells),
        crossings=crossovers(merged.trials, merged.pairs),
        parity=accuracy_parity(merged.trials),
        models=fit_all(merged.trials),
        curves=measured_curves(merged.trials[merged.trials["machine"].isin(alike)], cells),
        ceilings=own_ceilings,
        rounds=own_rounds,
        own_models=own_models(own_runs),
        problems=[
            *no_ceilings,
            *no_rounds,
            *no_runs,
            *others_ceilings,
            *others_rounds,
            *others_runs,
            *aside,
        ],
    )


def _as_asked(measured: list[AnyMeasured], asked: SummaryParameters) -> list[AnyMeasured]:
    """What was measured with the study's backend, batch size and threads."""
    kind = asked.backend, asked.batch_size, asked.threads
    return [one for one in measured if (one.backend, one.batch_size, one.threads) == kind]


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table for other programs."""
    write_text(path, csv_text(frame))


def csv_text(frame: pd.DataFrame) -> str:
    """A table as comma-separated values; no text in it is a spreadsheet's formula."""
    strings = frame.select_dtypes(include=["object", "string"])
    safe = strings.map(lambda value: f"'{value}" if str(value).startswith(FORMULA) else value)
    return frame.assign(**safe).to_csv(index=False)
