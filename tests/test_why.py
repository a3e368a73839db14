"""Why: guess, roofline, and the sentences on them, against values computed by hand."""

import re

import pandas as pd
import pytest

from conftest import make_record
from crossover.analysis.copying import copying_of, smallest_step
from crossover.analysis.roofline import roofline
from crossover.analysis.summary import summarise, with_flags
from crossover.analysis.timemodel import fit_all
from crossover.paths import PUBLISHED
from crossover.problem import product_flops, step_bytes
from crossover.records.ceilings import Peak, write_ceilings
from crossover.records.frame import to_frame
from crossover.records.published import MACHINE, load_published
from crossover.records.record import Conditions
from crossover.report.columns import written
from crossover.report.figure import new_figure
from crossover.report.sections import guess
from crossover.report.sections import roofline as roofline_section
from crossover.report.sections.guess import (
    ceilings_caution,
    cpu_guess,
    gpu_guess,
    published_guess,
)
from crossover.report.sections.roofline import (
    roofline_plot,
    roofline_sentences,
    unmeasured,
)
from crossover.report.text import three_digits
from test_ceilings import make_ceilings
from test_sections import results_of


def flagged_roofline(trials, ceilings):
    """The rates as the section shows them."""
    return with_flags(roofline(trials, ceilings), summarise(trials))


STEP = 2.0 / 422 * 1e6  # µs: fits of 22 s are ten steady epochs of 2 s


@pytest.fixture
def trials():
    return to_frame([make_record(fit=22.0), make_record(width=1024, fit=22.0)], "here")


def own_models(trials):
    """The time models of one machine's trials."""
    models = fit_all(trials)
    return models[models["machine"] == "here"]


@pytest.fixture
def three_sizes():
    """Fits of 22 s whatever the size, on both devices: steps that are all overhead."""
    return to_frame(
        [make_record(width=width, device=device, fit=22.0)
         for width in (8, 4, 16) for device in ("cpu", "gpu")], "here")  # fmt: skip


def test_the_guess_is_answered_with_numbers(three_sizes):
    """A copy of 10 µs, and of 4 ms, of steps of 4,739 µs."""
    models, step = own_models(three_sizes), smallest_step(three_sizes, "gpu")
    text = gpu_guess(copying_of("here", models, [make_ceilings("gpu")]), step)
    assert text == (
        "- **GPU:** copying one batch of 401,408 bytes takes 10 µs from ordinary memory, as "
        "Keras's `fit` copies it, at 40,141 MB/s where a large block reaches 1,000 (from pinned "
        "memory, which a card reads by itself: not measured, for TensorFlow has no call for it). "
        "That is 0.2% of a published step at width 4 (4,739 µs, the steady median, validation "
        "included) and 0.2% of a step's overhead (4,739 µs, steady times). Copying is the "
        "smaller part of that overhead."
    )
    slow = make_ceilings("gpu", batch_copy=[1e-5, 4e-3, 1.0], pinned_copy=[7e-6, 1e-5, 8e-6])
    text = gpu_guess(copying_of("here", models, [make_ceilings(), slow]), step)
    assert "takes 4,000 µs from" in text
    assert "by itself: 8 µs)." in text
    assert text.endswith(f"{4000 / STEP:.1%} of a step's overhead (4,739 µs, steady times). "
                         "Copying is most of that overhead.")  # fmt: skip


def test_two_sizes_tell_a_share_of_the_step_but_no_verdict(three_sizes):
    trials = three_sizes[three_sizes["width"] < 16]
    copying = copying_of("here", own_models(trials), [make_ceilings("gpu")])
    text = gpu_guess(copying, smallest_step(trials, "gpu"))
    assert "0.2% of a published step at width 4" in text
    assert text.endswith("included). A step's overhead takes times of 3 widths to tell.")


def test_a_gpu_that_was_not_timed_or_measured_is_told_of(three_sizes):
    cpu = three_sizes[three_sizes["device"] == "cpu"]
    text = gpu_guess(copying_of("here", own_models(cpu), []), smallest_step(cpu, "gpu"))
    assert (
        text
        == "- **GPU:** No GPU was timed here in the protocol 'published': there is no copy to test."
    )
    copying = copying_of("here", own_models(three_sizes), [make_ceilings("cpu")])
    text = gpu_guess(copying, smallest_step(three_sizes, "gpu"))
    assert text == "- **GPU:** The copy to this GPU was not measured: run make report."


def test_a_cpu_has_overhead_without_a_copy(three_sizes):
    """The overhead is STEP at every size; of two sizes nobody knows it, and of no CPU nothing."""
    text = cpu_guess(own_models(three_sizes))
    assert (
        "no copy to test. Yet its published step has 4,739 µs of overhead by its line (4,73" in text
    )
    assert text.endswith("steady times): overhead needs no copy to a device.")
    few = cpu_guess(own_models(three_sizes[three_sizes["width"] < 16]))
    assert few.endswith(
        "there is no copy to test. A step's overhead takes times of 3 widths to tell."
    )
    cold = own_models(three_sizes).assign(timing="cold")
    assert cpu_guess(cold).endswith("do not tell a step's overhead by itself.")
    none = own_models(three_sizes).assign(overhead_low=0.0)
    assert cpu_guess(none).endswith("Its times do not tell its overhead from none.")
    gpu = copying_of("here", none, [make_ceilings("gpu")])
    assert (gpu.explains, gpu.reason) == (None, "Its times do not tell its overhead from none.")
    assert cpu_guess(own_models(three_sizes[three_sizes["device"] == "gpu"])) == ""


def test_the_published_guess_would_mean_a_slow_copy():
    models = fit_all(load_published(PUBLISHED))
    overhead = models[models["device"] == "gpu"]["overhead_seconds"].iloc[0]
    text = published_guess(copying_of(MACHINE, models, []))
    assert f"{401_408 / overhead / 1e6:,.0f} MB/s" in text
    assert "moves up to 8,000 MB/s: at that rate the batch takes 50 µs, 0.7% of the" in text
    # Half of the overhead: 2 · 53 of 8,000 MB/s.
    less = 8e9 * (overhead / 2) / 401_408
    rate = 2 * 401_408 / overhead / 1e6
    assert text.endswith(f"is less than half of it, unless it ran at less than 1/{less:.0f} of the "
                         f"link's rate, {rate:,.0f} MB/s.")  # fmt: skip


def test_the_guess_is_shown_of_the_published_gpu_and_of_what_is_here(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(guess.text, "show", shown.append)
    of = {}
    for records in ([], [make_record()]):
        guess.show(results_of(tmp_path, *records))
        of[len(records)] = re.findall(r"^- \*\*(.*?):", shown[-1], re.MULTILINE)
    assert of == {0: ["Published GPU"], 1: ["GPU", "CPU", "Published GPU"]}


def test_the_ceiling_is_the_lower_of_arithmetic_and_memory(trials):
    table = roofline(trials, [make_ceilings()]).set_index("width")
    flops, moved = product_flops(4, 128), step_bytes(4, 128)
    assert table.loc[4, "intensity"] == pytest.approx(flops / moved)
    # 2 µs of products would be faster than 1 GB/s of memory allows.
    memory_bound = flops / moved * 1e9
    # Each epoch also evaluates 6,000 images: forward, a product for each of four kernels.
    evaluated = 6_000 * 2 * (784 * 4 + 4 * 4 + 4 * 4 + 4 * 10)
    rate = (flops + evaluated / 422) / (STEP / 1e6)
    assert table.loc[4, "flops_per_second"] == pytest.approx(rate)
    assert table.loc[4, "share"] == pytest.approx(rate / memory_bound)
    assert "of the ceiling at width 4" in roofline_sentences(table.reset_index())
    assert "More than 100%" not in roofline_sentences(table.assign(share=0.98).reset_index())
    assert table["peak_flops"].isna().all()
    over = table.assign(share=1.02).reset_index()
    assert roofline_sentences(over).endswith("slower while its ceiling was measured.")


def test_all_is_told_against_the_most_arithmetic_of_all(trials):
    """BLAS takes twice, and the fastest way a quarter of, the framework's 2 µs at width 4."""
    ceilings = make_ceilings()
    flops = product_flops(4, 128)
    small = ceilings.widths[0].model_copy(update={"products_blas": [4e-6]})
    ways = [Peak(way="slow", flops=flops, seconds=[1e-6]),
            Peak(way="a loop", flops=flops, seconds=[5e-7])]  # fmt: skip
    ceilings = ceilings.model_copy(update={"widths": [small], "peaks": ways})
    table = flagged_roofline(trials, [ceilings])
    assert table["blas_flops"].tolist() == pytest.approx([flops / 4e-6])
    assert table["peak_flops"].tolist() == pytest.approx([flops / 5e-7])
    text = roofline_sentences(table)
    assert f"seen to do is {three_digits(flops / 5e-7 / 1e9)} GFLOP/s (a loop). Of that" in text
    assert "products alone 25%, NumPy's BLAS with the same products 12%, the best tra" in text
    shown = written(table, roofline_section.COLUMNS).iloc[0]
    assert shown["BLAS GFLOP/s"] == f"{flops / 4e-6 / 1e9:,.3g}"
    unknown = written(flagged_roofline(trials, [make_ceilings()]), roofline_section.COLUMNS)
    assert unknown["BLAS GFLOP/s"].tolist() == ["missing"] * 2
    _, axis = new_figure()
    roofline_plot(axis, table)
    drawn = [text.get_text() for text in axis.texts]
    assert f"most of all on the CPU, {three_digits(flops / 5e-7 / 1e9)} GFLOP/s" in drawn


def test_what_disturbed_the_ceilings_is_told():
    quiet = Conditions(steal_fraction=0.01, foreign_fraction=0.05, on_battery=False)
    assert ceilings_caution([make_ceilings(conditions=quiet), make_ceilings()]) == ""
    loud = Conditions(cpu_throttled_fraction=0.97, steal_fraction=0.03, on_battery=True)
    text = ceilings_caution([make_ceilings(conditions=quiet), make_ceilings(conditions=loud)])
    assert text == (
        "⚑ While the ceilings of the CPU were measured: the CPU quota held them back in 97.0% of "
        "the periods, the hypervisor took 3.0% of the capacity, on battery. They are rough."
    )


def test_trainings_in_tf32_have_tf32s_ceiling(trials):
    """Half the seconds of float32's products, which are then no ceiling, where both were tried."""
    ceilings = make_ceilings(memory=[1e-6])
    faster = ceilings.widths[0].model_copy(update={"tf32_loop": [1e-6], "tf32_call": [9e-6]})
    both = ceilings.model_copy(update={"widths": [faster, *ceilings.widths[1:]]})
    plain, rounded = (
        roofline(trials.assign(precision=name), [both]).set_index("width").loc[4, "ceiling_flops"]
        for name in ("float32", "tf32")
    )
    assert rounded == pytest.approx(2 * plain) == pytest.approx(product_flops(4, 128) / 1e-6)
    # Where TF32 was not measured, float32's ceiling stands in.
    alone = roofline(trials.assign(precision="tf32"), [ceilings]).set_index("width")
    assert alone.loc[4, "ceiling_flops"] == pytest.approx(plain)


def test_each_precision_has_its_ceilings_in_chart_and_words(trials):
    """Tuned trainings in TF32 would lie above float32's ceiling."""
    ceilings = make_ceilings(memory=[1e-6])
    width = ceilings.widths[0].model_copy(update={"tf32_loop": [1e-6], "tf32_call": [9e-6]})
    peaks = [Peak(way="exact", flops=10**12, seconds=[0.02]),
             Peak(way="rounded", precision="tf32", flops=10**12, seconds=[0.0025])]  # fmt: skip
    both = ceilings.model_copy(update={"widths": [width], "peaks": peaks})
    rounded = trials.assign(precision="tf32", protocol="tuned")
    table = flagged_roofline(pd.concat([trials, rounded], ignore_index=True), [both])
    _, axis = new_figure()
    roofline_plot(axis, table)
    drawn = [text.get_text() for text in axis.texts]
    assert "CPU matrix\nproducts alone\nfloat32 and TF32" in drawn
    (named,) = (text for text in axis.texts if "products alone" in text.get_text())
    slowest = table[table["intensity"] == table["intensity"].max()]["ceiling_flops"].min()
    assert named.xy == (table["intensity"].max(), pytest.approx(slowest / 1e9))
    for told in (drawn, roofline_sentences(table).splitlines()):
        text = "; ".join(told)
        assert re.search("in float32,? (is )?50,000 GFLOP/s", text)
        assert re.search("in TF32,? (is )?400,000 GFLOP/s", text)
    # One precision needs no name.
    assert "seen to do is 50,000" in roofline_sentences(roofline(trials, [both]))


def test_what_has_trainings_and_no_ceilings_is_told(trials):
    rates = roofline(trials, [make_ceilings()])
    own = trials[trials["width"].isin(rates["width"])]
    assert unmeasured(own, rates) == ""
    wide = own.assign(width=own["width"] + 100)
    assert " at the widths 104, " in unmeasured(pd.concat([own, wide]), rates)
    more, other = (
        trials.iloc[[0]].assign(**given) for given in ({"width": 512}, {"device": "gpu"})
    )
    assert unmeasured(pd.concat([own, more, other]), rates) == (
        "The CPU's ceilings, and what is inside its step at width 512: `make report` measures "
        "them. The GPU's ceilings, and what is inside its step: `make report` measures them."
    )


def test_the_report_lists_ceilings_that_are_missing(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(roofline_section.text, "not_measured", told.append)
    monkeypatch.setattr(roofline_section.figure, "show", lambda *_, **__: None)
    write_ceilings(tmp_path / "ceilings", make_ceilings())
    records = [make_record(width) for width in (4, 512)]
    roofline_section.show(results_of(tmp_path, *records))
    assert told == [
        "The CPU's ceilings, and what is inside its step at width 512: `make report` measures them."
    ]


def test_the_rooflines_alt_text_states_the_finding(trials):
    _, axis = new_figure()
    assert "CPU, published" in roofline_plot(axis, flagged_roofline(trials, [make_ceilings()]))
