"""Costs: from which size on the GPU is cheaper, by hand, and wherever that is told."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from conftest import write_crossing_study
from crossover.__main__ import main
from crossover.analysis.band import log_ratio
from crossover.analysis.compared import compare, ratio_data
from crossover.analysis.comparison import crossovers, timed
from crossover.analysis.crossing import find_crossover
from crossover.analysis.interpolate import measured_curves
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge
from crossover.analysis.summary import summarise
from crossover.analysis.verdict import UNKNOWN, Prediction, Verdict, break_even, cheaper
from crossover.errors import CrossoverError
from crossover.problem import WIDTHS, parameter_count
from crossover.records.parameters import ParameterError, SummaryParameters, prices_of
from crossover.report import ask, text
from crossover.report.columns import written
from crossover.report.rule import COST, ENERGY, rule_words
from crossover.report.sections.cost import cost_lines
from crossover.report.sections.form import COLUMNS, at_round_sizes
from crossover.study.configuration import configuration, study_from
from crossover.study.workflow import workflow_plan

FOLDERS = dict.fromkeys(("records", "ceilings", "rounds", "own", "figure_folder", "table_folder"))


def asked(**given):
    return SummaryParameters(protocols=[], devices=[], widths="4", **FOLDERS, **given)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """CPU 5 + 4e-5 P and GPU 14 + 4e-6 P seconds: twice as dear, 23 / 3.2e-5 = 718,750 are even."""
    folder = tmp_path_factory.mktemp("cost")
    write_crossing_study(folder)
    return merge(folder, own_settings("tensorflow", 10, 128, None), folder)


@pytest.fixture(scope="module")
def compared(study):
    curves = measured_curves(study.trials, summarise(study.trials))
    crossings = crossovers(study.trials, study.pairs)
    return compare(curves, crossings, (study.own, study.own), "published", "cold")


def both(study):
    own = study.of(study.own).query("protocol == 'published'")
    return [timed(own[own["device"] == device], "cold_seconds") for device in ("cpu", "gpu")]


@pytest.mark.parametrize("price_ratio", [0.2, 0.5, 1.0, 1.9, 2.2, 10.0])
def test_a_price_is_a_factor_of_the_gpus_seconds(study, price_ratio):
    """Whether the times are multiplied or the ratio is moved, the crossover is the same."""
    cpu, gpu = both(study)
    found = cheaper(log_ratio(cpu, gpu), price_ratio)
    dearer = find_crossover(cpu, gpu.assign(seconds=gpu["seconds"] * price_ratio))
    assert found.status == dearer.status
    for name in ("estimate", "low", "high", "repeats"):
        np.testing.assert_allclose(getattr(found, name), getattr(dearer, name), rtol=1e-9)


def test_the_cheaper_device_turns_where_the_costs_are_equal(compared):
    assert cheaper(compared.ratio, 2.0).estimate == pytest.approx(718_750, rel=0.03)
    assert compared.at(600_000)[2].winner == "GPU"
    assert compared.cheaper_at(600_000, 2.0).winner == "CPU"
    assert compared.cheaper_at(600_000, 1.0) == compared.at(600_000)[2]
    assert compared.cheaper_at(600_000, 1.5).winner == "GPU"
    assert compared.cheaper_at(10**9, 1000.0).winner == "CPU"


def test_the_break_even_is_the_ratio_of_the_times(compared):
    # At a measured size the medians are the laws' own.
    cpu, gpu = 5 + 4e-5 * 134_794, 14 + 4e-6 * 134_794
    even = compared.break_even(134_794)
    assert even.price_ratio == pytest.approx(cpu / gpu)
    assert even.low <= even.price_ratio <= even.high
    assert not even.about
    # Well beyond its limits, for straight lines miss some between these widths, costs differ.
    for price_ratio, winner in ((even.low * 0.8, "GPU"), (even.high * 1.25, "CPU")):
        assert compared.cheaper_at(134_794, price_ratio).winner == winner
    assert compared.cheaper_at(134_794, even.price_ratio).winner == "either"


def test_break_even_limits_hold_between_widths_where_lines_are_curved():
    """Five equal repeats leave no noise: only the straight lines miss the laws."""
    laws = {"cpu": lambda size: 5 + 4e-5 * size, "gpu": lambda size: 14 + 4e-6 * size}
    widths = [parameter_count(width) for width in WIDTHS]
    frames = [
        pd.DataFrame([(size, repeat, law(size)) for size in widths for repeat in range(5)],
                     columns=["parameters", "repeat", "seconds"])
        for law in laws.values()
    ]  # fmt: skip
    ratio, missed = log_ratio(*frames), 0
    for size in np.geomspace(widths[0], widths[-1], 500):
        truth = laws["cpu"](size) / laws["gpu"](size)
        low, high = ratio.limits(size)
        assert low * (1 - 1e-9) <= truth <= high * (1 + 1e-9)
        line = np.exp(np.interp(np.log(size), np.log(widths), ratio.medians))
        missed += abs(line / truth - 1) > 0.005
    assert missed > 50
    measured = laws["cpu"](widths[3]) / laws["gpu"](widths[3])
    assert ratio.limits(widths[3]) == pytest.approx((measured, measured))


def test_a_break_even_without_repeats_or_beyond_them():
    single = Prediction(20.0, None, None, "interpolated", sure=False)
    wide = Prediction(10.0, 8.0, 12.0, "extrapolated", sure=False)
    ten = Prediction(20.0, 18.0, 24.0, "extrapolated", sure=False)
    assert break_even(single, UNKNOWN) is None
    assert break_even(single, wide)[:3] == (2.0, None, None)
    assert break_even(ten, wide)[:3] == (2.0, 1.5, 3.0)
    assert text.break_even_sentence(break_even(ten, wide)) == (
        "Break-even at this size: an hour of the GPU at about 2.00 times an hour of the CPU "
        "(1.50 to 3.00)."
    )
    assert text.break_even_sentence(None) == ""


def test_a_break_even_where_only_one_device_was_measured_around_has_the_times_limits():
    """Both times are interpolated, and their ratio was measured at other sizes."""
    sizes = pd.DataFrame({"parameters": [10, 100] * 5, "repeat": [*range(5)] * 2, "seconds": 1.0})
    ratio = log_ratio(sizes, sizes)
    time = Prediction(20.0, 18.0, 24.0, "interpolated", sure=True)
    other = Prediction(10.0, 8.0, 12.0, "interpolated", sure=True)
    assert break_even(time, other, ratio, 1_000)[:3] == (2.0, 1.5, 3.0)
    assert break_even(time, other, ratio, 10)[:3] == (2.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (Verdict("CPU", 2.5, about=True),
         "● The CPU is cheaper: a training costs about 2.50 times as much on the GPU."),
        (Verdict("GPU", 1340.0, about=False),
         "■ The GPU is cheaper: a training costs 1,340 times as much on the CPU."),
        (Verdict("either", 1.0, about=False),
         "Cost is too close to call: either may be cheaper."),
        (Verdict("unknown", math.nan, about=False), "No cost: a time is missing."),
    ],
)  # fmt: skip
def test_the_cheaper_device_in_a_sentence(told, sentence):
    assert text.cost_sentence(told) == sentence


def test_a_rule_is_told_of_costs_and_joules(compared):
    crossing = vars(cheaper(compared.ratio, 2.0))
    words = rule_words(crossing, COST)
    assert words.startswith("Below ")
    assert " parameters the CPU is cheaper, above " in words
    always = vars(cheaper(compared.ratio, 100.0))
    assert rule_words(always, COST).startswith("The CPU is cheaper at all sizes from 3,230 to")
    row = {"status": "unresolved", "reason": "the devices' times overlap at every width"}
    told = "Too close to call: the devices' joules overlap at every width"
    assert rule_words(row | {"repeats": 5}, ENERGY) == told
    assert rule_words(row | {"repeats": 1}, ENERGY) == f"{told}, as single trainings tell"


def test_the_report_tells_costs_only_at_prices(compared):
    one = {"published": compared}
    assert cost_lines(one, asked()) == []
    (line,) = cost_lines(one, asked(cpu_price=0.1, gpu_price=0.2))
    told = rule_words(vars(cheaper(compared.ratio, 2.0)), COST)
    assert line == (
        "- **Cost** of a training, *published*, an hour of the CPU at 0.1 and of the GPU at 0.2: "
        f"{told} (93.8% interval)."
    )
    assert at_round_sizes(compared)["cheaper"].isna().all()
    table = at_round_sizes(compared, 2.0).set_index("parameters")
    assert [table["cheaper"][size].winner for size in (10_000, 300_000)] == ["CPU", "CPU"]
    assert table["even"][300_000] == compared.break_even(300_000)
    shown = written(table.reset_index(), COLUMNS)["break-even"].tolist()
    assert shown[-1] == text.break_even(compared.break_even(300_000))
    assert shown[-1].startswith("1.18 (")


def test_the_form_classifies_from_what_json_can_hold(compared):
    data = ratio_data(compared.ratio)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert len(data["lower"]) == len(data["upper"]) == len(data["log_parameters"])
    assert set(data["repeats"]) == {5}


def test_predict_tells_the_costs_of_its_own_or_the_last_reports_prices(
    tmp_path, monkeypatch, capsys, compared
):
    write_crossing_study(tmp_path / "main" / "trials")
    monkeypatch.setattr(ask, "RUNS", tmp_path)
    cost = text.cost_sentence(compared.cheaper_at(600_000, 2.0))
    even = text.break_even_sentence(compared.break_even(600_000))
    assert main(["predict", "PARAMETERS=600000"]) == 0
    told = capsys.readouterr().out
    assert f"  {even}\n" in told
    assert "cheaper" not in told
    assert main(["predict", "PARAMETERS=600000", "CPU_PRICE=0.5", "GPU_PRICE=1"]) == 0
    assert f"  {even}\n  {cost}\n" in capsys.readouterr().out
    kept = {"study": {}, "cpu_price": 1.0, "gpu_price": 2.0}
    (tmp_path / "main" / "settings.json").write_text(json.dumps(kept))
    assert main(["predict", "PARAMETERS=600000"]) == 0
    assert f"  {even}\n  {cost}\n" in capsys.readouterr().out
    # Epochs at another batch size are predicted, and cost as much as they take.
    assert main(["predict", "PARAMETERS=600000", "BATCH_SIZE=512"]) == 0
    assert "Break-even at this size: an hour of the GPU at about " in capsys.readouterr().out


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "free", "1e12", "$2"])
def test_a_price_that_is_none_is_refused(value):
    with pytest.raises(ParameterError, match=r"CPU_PRICE is '.*': give what an hour costs"):
        prices_of({"CPU_PRICE": value, "GPU_PRICE": "1"})


@pytest.mark.parametrize("given", [{"cpu_price": 1.0}, {"gpu_price": 1.0}])
def test_one_price_is_none(given):
    with pytest.raises(CrossoverError, match="costs need both prices"):
        prices_of({name.upper(): value for name, value in given.items()})
    with pytest.raises(ValueError, match="costs need both prices"):
        asked(**given)


def test_prices_reach_the_report():
    config = configuration("report", ["DEVICES=cpu", "CPU_PRICE=0.25", "GPU_PRICE=1"])
    studies = [study_from(config["study"])]
    given = json.loads(workflow_plan(studies, [], config)["report"]["parameters"])
    assert (given["cpu_price"], given["gpu_price"]) == (0.25, 1.0)
    assert asked(**{name: given[name] for name in ("cpu_price", "gpu_price")}).prices.ratio == 4
    without = configuration("report", ["DEVICES=cpu"])
    given = json.loads(workflow_plan(studies, [], without)["report"]["parameters"])
    assert (given["cpu_price"], given["gpu_price"]) == (None, None)
