"""What a training costs once: told beside the answer, made up for by epochs, and flagged."""

from math import nan

import pytest

from conftest import make_record
from crossover.analysis.speedup import paid_once
from crossover.records.frame import to_frame
from crossover.records.published import MACHINE
from crossover.records.record import Phases
from crossover.records.settings import protocol_settings
from crossover.report.rule import alike
from crossover.report.sections.answer import answer
from crossover.report.sections.spread import flags_sentence, processes_sentence
from crossover.training.sweep import Runner
from test_assertions import runner
from test_sections import results_of


def timed(
    device, start, epoch, width=4, warm_up=12, epochs=10, runtime_start=5.0, **changes
):  # fmt: skip
    """A trial of which the first epoch takes ``start`` seconds more."""
    epochs = [start + epoch] + [epoch] * (epochs - 1)
    phases = Phases(
        runtime_start=runtime_start, warm_up=1.0, warm_up_width=warm_up, data=1.0, build=0.1,
        epochs=epochs, fit=sum(epochs), evaluate=0.5,
    )  # fmt: skip
    return make_record(width, device=device, phases=phases, **changes)


def study(start, epoch):
    """Two sizes; the CPU takes 1 s once and 1 s an epoch at the larger one."""
    sizes = ((4, 1.0, 0.5), (128, 1.0, 1.0))
    cpu = [timed("cpu", begin, one, width) for width, begin, one in sizes]
    return [*cpu, timed("gpu", abs(start - 1), epoch, 4), timed("gpu", start, epoch, 128)]


@pytest.mark.parametrize(
    ("start", "epoch"), [(20.0, 0.5), (20.1, 0.25), (2.0, 0.9), (1.0, 0.5), (0.9, 0.1)]
)
def test_the_epochs_that_make_up_for_it_are_the_first_that_do(start, epoch):
    once = paid_once(to_frame(study(start, epoch), "box"))
    ahead = [n for n in range(1, 200) if start + n * epoch < 1 + n * 1.0]
    assert (once.parameters, once.epochs) == (134_794, ahead[0])
    assert once.speedup == pytest.approx(1 / epoch)
    assert once.cpu == (1.0, 1.0)
    assert once.gpu == pytest.approx((abs(start - 1), start), abs=1e-9)


def test_nothing_makes_up_for_it_where_the_gpu_is_slower_an_epoch_too():
    assert paid_once(to_frame(study(20.0, 1.5), "box")).epochs is None


def test_one_device_alone_costs_nothing_once_that_can_be_compared():
    assert paid_once(to_frame([timed("cpu", 1.0, 1.0)], "box")) is None
    sizes = [timed("cpu", 1.0, 1.0, 4), timed("gpu", 1.0, 1.0, 8)]
    assert paid_once(to_frame(sizes, "box")) is None


def test_what_the_published_gpu_costs_once_is_not_known(tmp_path):
    results = results_of(tmp_path, timed("cpu", 1.0, 1.0))
    assert results.merged.gpu_machine == MACHINE
    assert "costs once" not in answer(results.merged, results.crossings)


def told(tmp_path, *records, **asked):
    """The paragraph of the answer that tells it."""
    results = results_of(tmp_path, *records, **asked)
    lines = answer(results.merged, results.crossings).split("\n>\n")
    assert len(lines) == 2
    return lines[1]


def test_the_answer_tells_it_where_it_changes_the_rule(tmp_path):
    assert told(tmp_path, *study(20.0, 0.6)) == (
        "> What a training costs once (tracing, compiling) is 1.0 s on the CPU and 19.0 to 20.0 s "
        "on the GPU, 77% of its training at 134,794 parameters. Without it (*steady* times): below "
        "about 8,600 parameters take the CPU, above it the GPU, as single trainings tell. At "
        "134,794 parameters the GPU is ahead from about 48 epochs on."
    )


def test_it_is_compared_with_the_epochs_of_the_study(tmp_path):
    """Three, where the published table beside it has ten."""
    settings = protocol_settings("published", epochs=3)
    given = {"epochs": 3, "settings": settings}
    both = [timed("cpu", 1.0, 0.5, 4, **given), timed("cpu", 1.0, 1.0, 128, **given),
            timed("gpu", 3.0, 0.6, 4, **given), timed("gpu", 4.0, 0.4, 128, **given)]  # fmt: skip
    # 1 + 5 · 1 is 4 + 5 · 0.4: ahead from the sixth on.
    assert "the GPU is ahead from about 6 epochs on" in told(tmp_path, *both, epochs=3)


def test_no_epochs_are_told_where_the_rule_is_open_at_that_size(tmp_path):
    """Medians half a per cent apart, whose repeats spread by more."""
    both = []
    for repeat, noise in enumerate((0.98, 0.99, 1.0, 1.01, 1.02), start=1):
        for width, cpu, gpu in ((4, 0.5, 0.6), (128, 1.0, 0.995)):
            both += [timed("cpu", 1.0, cpu * noise, width, repeat=repeat),
                     timed("gpu", 5.0, gpu / noise, width, repeat=repeat)]  # fmt: skip
    results = results_of(tmp_path, *both)
    assert "epochs on" not in answer(results.merged, results.crossings)
    assert paid_once(results.own_trials).epochs > 100


def test_it_is_the_median_of_the_repeats():
    starts = (1.0, 2.0, 9.0)
    both = [timed(device, start, 1.0, repeat=repeat) for device in ("cpu", "gpu")
            for repeat, start in enumerate(starts, start=1)]  # fmt: skip
    assert paid_once(to_frame(both, "box")).gpu == (2.0, 2.0)


def test_a_backend_that_compiles_nothing_is_not_said_to(tmp_path):
    settings = protocol_settings("published", backend="torch")
    both = [timed(device, start, epoch, width, settings=settings) for width in (4, 128)
            for device, start, epoch in (("cpu", 1.0, 1.0), ("gpu", 9.0, 0.5))]  # fmt: skip
    assert told(tmp_path, *both, backend="torch").startswith(
        "> What a training costs once is 1.0 s on the CPU and 9.0 s on the GPU, 64% of its"
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("crossed", 1e5, nan, nan), ("crossed", 1.2e5, nan, nan), True),
        (("crossed", 1e5, nan, nan), ("crossed", 1.3e5, nan, nan), False),
        (("crossed", 1e5, 8e4, 2e5), ("crossed", 3e5, 1.9e5, 4e5), True),
        (("crossed", 1e5, 8e4, 1.2e5), ("crossed", 3e5, 1.9e5, 4e5), False),
        (("crossed", 1e5, nan, nan), ("gpu always faster", nan, nan, nan), False),
        (("gpu always faster", nan, nan, nan), ("gpu always faster", nan, nan, nan), True),
    ],
)
def test_rules_that_say_much_the_same(one, other, same):
    names = ("status", "estimate", "low", "high")
    rules = [dict(zip(names, rule, strict=True)) for rule in (one, other)]
    assert alike(*rules) is alike(*reversed(rules)) is same


def test_the_answer_is_silent_where_the_rule_stays(tmp_path):
    both = [timed(device, 0.0, epoch, width) for width in (4, 128)
            for device, epoch in (("cpu", 1.0), ("gpu", 0.5))]  # fmt: skip
    results = results_of(tmp_path, *both)
    assert "costs once" not in answer(results.merged, results.crossings)


@pytest.mark.parametrize(("warm_up", "flag"), [(4, "cold: warmed up"), (12, ""), (None, "")])
def test_a_cell_that_the_warm_up_had_trained_is_flagged(warm_up, flag, tmp_path):
    results = results_of(tmp_path, timed("cpu", 1.0, 1.0, warm_up=warm_up))
    assert results.own_cells["flags"].tolist() == [flag]
    # What it costs once is not known then: some of it was paid before.
    assert results.own_trials["start_seconds"].isna().tolist() == [bool(flag)]


def test_records_that_tell_no_warm_up_had_one_of_width_16(tmp_path):
    """As the first version's; what its flag means stands below the table."""
    results = results_of(tmp_path, timed("cpu", 1.0, 1.0, width=16, warm_up=None))
    assert results.own_cells["flags"].tolist() == ["cold: warmed up"]
    assert "*warmed up*" in flags_sentence()


@pytest.mark.parametrize(
    ("widths", "warm_up"), [([16], 12), ([12], 13), ([12, 13, 15], 14), ([4, 8, 16, 32], 12)]
)
def test_no_trial_has_the_warm_ups_width(widths, warm_up):
    given = runner("published")
    sweep = given.sweep.model_copy(update={"widths": widths})
    assert Runner(sweep, "cpu", "CPU:0", given.data, 0.0).warm_up_width == warm_up


def test_a_record_tells_the_warm_ups_width():
    record = runner("published").trial(4, 1, lambda *_: None)
    assert record.phases.warm_up_width == 12
    assert not record.warmed


def test_curves_trained_in_parts_are_told():
    """A study that was stopped between widths, and gone on with: its processes differ."""
    whole = [timed("cpu", 1.0, 1.0, width) for width in (4, 8)]
    assert processes_sentence(whole) == ""
    later = [timed("cpu", 1.0, 1.0, width, runtime_start=6.5) for width in (64, 16)]
    assert processes_sentence([*whole, *later]).splitlines()[-1] == (
        "- published, CPU, repeat 1: widths 4, 8; 16, 64"
    )


def test_of_many_curves_in_parts_the_first_are_told():
    parts = [timed("cpu", 1.0, 1.0, width, repeat=repeat, runtime_start=float(width))
             for repeat in range(1, 14) for width in (4, 8)]  # fmt: skip
    lines = processes_sentence(parts).splitlines()
    assert lines[0].startswith("**13 curves trained in parts:**")
    assert lines[-2:] == ["- published, CPU, repeat 12: widths 4; 8", "- and 1 more"]
