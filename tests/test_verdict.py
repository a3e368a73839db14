"""The one verdict: by hand, and the same in the form's sentence, the table and ``make predict``."""

import math

import pytest

from conftest import write_crossing_study
from crossover.analysis.compared import compare, crossing_of, form_data
from crossover.analysis.comparison import crossovers
from crossover.analysis.crossing import limits_text, outwards, rounded
from crossover.analysis.interpolate import measured_curves
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge
from crossover.analysis.summary import summarise
from crossover.analysis.verdict import UNKNOWN, Prediction, Rule, rule_of, verdict
from crossover.records.published import MACHINE
from crossover.report import text
from crossover.report.ask import answer
from crossover.report.rule import evidence, finding, rule_words
from crossover.report.sections.answer import answer as answer_of

NAN = math.nan


def timed(seconds, spread=0.0, source="interpolated", sure=True):
    """A time with its limits; single, and so not sure, where it has no spread."""
    if not spread:
        return Prediction(seconds, None, None, source, sure=False)
    return Prediction(seconds, seconds / (1 + spread), seconds * (1 + spread), source, sure)


@pytest.mark.parametrize(
    ("cpu", "gpu", "short", "long"),
    [
        (timed(10, 0.1), timed(5, 0.1), "■ GPU 2.00×", "■ The GPU is 2.00 times as fast."),
        (timed(5, 0.1), timed(67, 0.1), "● CPU 13.4×", "● The CPU is 13.4 times as fast."),
        (timed(5, 0.1), timed(5.5, 0.1), "too close to call",
         "Too close to call: either may be faster."),
        (timed(10), timed(5), "■ GPU ≈2.00×", "■ The GPU is about 2.00 times as fast."),
        (timed(10, 0.1, sure=False), timed(5, 0.1), "■ GPU ≈2.00×",
         "■ The GPU is about 2.00 times as fast."),
        (timed(10), timed(10.5, 0.1), "too close to call",
         "Too close to call: either may be faster."),
        (timed(1000), timed(1001), "too close to call",
         "Too close to call: either may be faster."),
        (timed(6000, 0.1), timed(4, 0.1), "■ GPU 1,500×", "■ The GPU is 1,500 times as fast."),
        (timed(10), UNKNOWN, text.MISSING, "No verdict: a time is missing."),
    ],
)  # fmt: skip
def test_without_a_rule_the_times_limits_decide(cpu, gpu, short, long):
    told = verdict(cpu, gpu)
    assert text.faster(told) == short
    assert text.verdict_sentence(told) == long


CROSSED = Rule("crossed", 300_000, 240_000, 580_000)


@pytest.mark.parametrize(
    ("rule", "parameters", "ratio", "winner"),
    [
        (CROSSED, 239_999, 0.5, "CPU"),
        (CROSSED, 240_000, 0.5, "either"),
        (CROSSED, 580_000, 2, "either"),
        (CROSSED, 580_001, 2, "GPU"),
        (CROSSED, 10_000, 2, "either"),  # One slow median does not turn the rule.
        (Rule("crossed", 300_000, NAN, NAN), 299_999, 0.9, "CPU"),
        (Rule("crossed", 300_000, NAN, NAN), 300_001, 1.1, "GPU"),
        (Rule("gpu always faster", NAN, NAN, NAN), 5_000, 2, "GPU"),
        (Rule("cpu always faster", NAN, NAN, NAN), 5_000, 0.5, "CPU"),
        (Rule("unresolved", NAN, 3_200, 20_000), 5_000, 2, "either"),
        (Rule("unresolved", NAN, 3_200, 20_000), 50_000, 2, "GPU"),
    ],
)
def test_between_measured_sizes_the_crossovers_interval_decides(rule, parameters, ratio, winner):
    # The times' own limits overlap, or do not, as they like.
    for spread in (0.01, 3.0):
        told = verdict(timed(ratio, spread), timed(1.0, spread), rule, parameters)
        assert told.winner == winner
        beyond = timed(ratio, spread, source="extrapolated")
        assert (verdict(beyond, timed(1.0, spread), rule, parameters).winner == "either") == (
            spread > 1
        )


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (248_600, 571_700, "240,000 to 580,000"),
        (240_000, 580_000, "240,000 to 580,000"),
        (99_900, 100_100, "99,000 to 110,000"),
        (3_230, 2_913_290, "3,200 to 3,000,000"),
    ],
)
def test_limits_are_rounded_away_from_each_other(low, high, shown):
    assert limits_text(low, high) == shown
    assert outwards(low, high)[0] <= low <= high <= outwards(low, high)[1]


def test_a_crossover_has_two_digits():
    assert [rounded(value) for value in (139_903, 95_500, 1_050_000, 7.4)] == [
        "140,000", "96,000", "1,000,000", "7"]  # fmt: skip


def test_limits_that_are_unknown_stay_so():
    assert all(math.isnan(end) for end in outwards(NAN, NAN))
    assert rule_of(None) is None
    assert rule_of({"status": "missing device"}) is None


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verdict")
    write_crossing_study(folder)
    return merge(folder, own_settings("tensorflow", 10, 128, None), folder)


@pytest.mark.parametrize("size", [3_230, 20_000, 235_000, 250_000, 270_000, 900_000])
def test_sentence_table_form_and_predict_say_the_same(study, size):
    """CPU 5 + 4e-5 P and GPU 14 + 4e-6 P seconds are equal at 250,000 parameters."""
    curves = measured_curves(study.trials, summarise(study.trials))
    crossings = crossovers(study.trials, study.pairs)
    machines = study.own, study.gpu_machine
    *_, told = compare(curves, crossings, machines, "published", "cold").at(size)
    lines = answer(study, size, 128)
    assert lines[0] == "published protocol, a training of 10 epochs, cold:"
    assert lines[3] == f"  {text.verdict_sentence(told)}"
    row = crossing_of(crossings, machines, "published", "cold")
    low, high = outwards(row["low"], row["high"])
    sure = "either" if low <= size <= high else "CPU" if size < low else "GPU"
    assert told.winner == sure
    assert rule_words(row) == (
        f"Below {low:,.0f} parameters take the CPU, above {high:,.0f} the GPU; between them either"
    )
    form = form_data(curves, crossings, *machines, "published", "cold")
    (rule,) = [rule for rule in form["rules"]
               if (rule["cpu"], rule["protocol"], rule["timing"]) == (
                   study.own, "published", "cold")]  # fmt: skip
    assert (rule["status"], rule["low"], rule["high"]) == ("crossed", low, high)


def test_the_published_study_is_called_about(study):
    row = crossing_of(crossovers(study.trials), (MACHINE, MACHINE), "published", "cold")
    assert (
        rule_words(row)
        == "Below about 140,000 parameters take the CPU, above it the GPU, as single trainings tell"
    )
    assert finding(row) == rule_words(row)
    assert evidence(row, "One", "Another") == (
        "One and Another were timed once each: `make report REPEATS=5` tells how sure that is."
    )


def test_the_side_with_repeats_is_named(study):
    row = crossing_of(crossovers(study.trials), (study.own, study.own), "published", "cold")
    alone = row | {"alone": "CPU", "low": 241_000.0, "estimate": 252_000.0, "high": 259_000.0}
    assert evidence(alone, "Test CPU", "GeForce GTX 660 (2018)") == (
        "GeForce GTX 660 (2018) was timed once; the CPU's 5 repeats put the crossover at about "
        "250,000 parameters, between 240,000 and 260,000 (93.8% interval)."
    )


def test_a_device_that_always_wins_does_so_only_as_far_as_repeats_tell():
    row = {"status": "gpu always faster", "reason": "at all sizes from 1 to 9 parameters",
           "interval_kind": "none", "repeats": 1, "alone": "", "low": NAN, "high": NAN}  # fmt: skip
    assert finding(row) == (
        "The GPU is faster, as single trainings tell, at all sizes from 1 to 9 parameters"
    )
    many = row | {"interval_kind": "interval", "repeats": 5, "level": 0.9375}
    assert rule_words(many) == "The GPU is faster at all sizes from 1 to 9 parameters"
    assert evidence(many, "a", "b") == "5 repeats of a and b leave no size open (93.8% interval)."


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("the GPU wins for small models and the CPU for large ones",
         "The GPU wins for small models and the CPU for large ones"),
        ("the devices' times overlap at every width",
         "Too close to call: the devices' times overlap at every width"),
        ("no width was measured on both devices", "No width was measured on both devices"),
    ],
)  # fmt: skip
def test_only_what_is_open_is_too_close_to_call(reason, shown):
    row = {"status": "unresolved", "reason": reason, "repeats": 0, "alone": "",
           "interval_kind": "none", "low": NAN, "high": NAN, "estimate": NAN}  # fmt: skip
    assert finding(row) == shown
    assert evidence(row, "a", "b") == ""
    assert rule_of(row) is None


def test_beyond_the_measured_sizes_a_verdict_is_about(study):
    curves = measured_curves(study.trials, summarise(study.trials))
    crossings = crossovers(study.trials, study.pairs)
    machines = study.own, study.gpu_machine
    comparison = compare(curves, crossings, machines, "published", "cold")
    assert not comparison.at(932_362)[2].about
    assert comparison.at(932_363)[2].about
    told = answer_of(study, crossings)
    assert "Measured from 3,230 to 932,362 parameters; beyond them times are extrapolated." in told


def test_the_form_starts_inside_what_was_measured(study):
    curves = measured_curves(study.trials, summarise(study.trials))
    crossings = crossovers(study.trials, study.pairs)
    data = form_data(curves, crossings, study.own, study.own, "tuned", "steady")
    assert data["start"] == {"cpu": study.own, "gpu": study.own, "protocol": "tuned",
                             "timing": "steady", "parameters": 932_362}  # fmt: skip
    one = [{name: values[:1] if isinstance(values, list) else values
            for name, values in curve.items()} for curve in curves]  # fmt: skip
    assert form_data(one, crossings, study.own, study.own, "tuned", "steady") == {}
