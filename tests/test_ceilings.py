"""The ceilings: what is measured is what a step computes, and the record survives the disk."""

import itertools
import json
from datetime import UTC, datetime
from functools import partial

import keras
import numpy as np
import pytest

from conftest import make_record
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge
from crossover.problem import product_flops, step_bytes
from crossover.records.ceilings import (
    Ceilings,
    WidthCeilings,
    ceilings_table,
    find_ceilings,
    read_ceilings,
    write_ceilings,
)
from crossover.records.jsontext import NEWER, Problem
from crossover.records.parameters import parse_parameters
from crossover.records.record import Machine, Software
from crossover.records.storage import write_record
from crossover.training import microbenchmark, stepparts, timing


def make_ceilings(device="cpu", widths=(4, 1024), **changes):
    """Valid ceilings: products at 1 and 2 µs a step, a copy of 10 µs, 1 GB/s."""
    record = make_record()
    fields = {
        "backend": "tensorflow", "device": device, "device_name": "CPU:0", "batch_size": 128,
        "threads": None, "started": datetime(2026, 1, 1, tzinfo=UTC), "dispatch": [5e-5],
        "launch": [1e-5], "batch_bytes": 401_408, "batch_copy": [1e-5], "large_bytes": 10**9,
        "large_copy": [1.0], "memory": [2.0], "machine": record.machine,
        "software": record.software, "conditions": record.conditions, "code": record.code,
        "widths": [
            WidthCeilings(width=width, product_flops=product_flops(width, 128),
                        products_loop=[1e-6, 3e-6, 2e-6], products_call=[9e-6], optimizer=[4e-6])
            for width in widths
        ],
    }  # fmt: skip
    return Ceilings(**(fields | changes))


@pytest.mark.parametrize(("width", "batch"), [(4, 128), (1024, 32)])
def test_flops_are_those_of_the_products_of_a_step(width, batch):
    """Count 2·m·k·n over the eleven products, shape by shape."""
    sizes = [784, width, width, width, 10]
    flops = 0
    for layer, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        flops += 2 * batch * rows * columns  # forward
        flops += 2 * rows * batch * columns  # gradient of the weights
        if layer:
            flops += 2 * batch * columns * rows  # gradient of the layer below
    assert product_flops(width, batch) == flops


def test_bytes_of_a_step_at_width_4():
    assert step_bytes(4, 128) == 4 * (128 * 784 + 10 * 3_230)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("width", [8, 96])
def test_the_measured_step_holds_every_product(width, transposed, parts):
    """The gradients of a linear network, against NumPy's; those of parts add up to the whole."""
    batch, *kernels = map(keras.ops.convert_to_tensor, stepparts._arrays(width, 32))
    x, (a, b, c, d) = np.array(batch), map(np.array, kernels)
    h1, h2, h3 = x @ a, x @ a @ b, x @ a @ b @ c
    y = h3 @ d
    expected = [
        x.T @ (y @ d.T @ c.T @ b.T), h1.T @ (y @ d.T @ c.T), h2.T @ (y @ d.T), h3.T @ y,
    ]  # fmt: skip
    products = stepparts._products
    if transposed:
        products = partial(products, transposed=True)
        expected = [gradient.T for gradient in expected]
        kernels = [keras.ops.transpose(kernel) for kernel in kernels]
    batches = [batch[:12], batch[12:]] if parts == 2 else [batch]
    once = [sum(each) for each in zip(*(products(rows, *kernels) for rows in batches), strict=True)]
    looped = stepparts._repeat_products(products, 3, batches, kernels)[parts + 4 :]
    summed = [sum(np.array(each) for each in looped[place::4]) for place in range(4)]
    for wanted, step, loop in zip(expected, once, summed, strict=True):
        np.testing.assert_allclose(np.array(step), wanted, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(loop, wanted, rtol=1e-3, atol=1e-4)


def test_the_optimizer_step_is_adams():
    values, gradients, first, second = (np.array([v]) for v in (1.0, 2.0, 0.5, 0.1))
    updated, _, m, v = stepparts._adam_step(values, gradients, first, second)
    assert float(m[0]) == pytest.approx(0.9 * 0.5 + 0.1 * 2)
    assert float(v[0]) == pytest.approx(0.999 * 0.1 + 0.001 * 4)
    assert float(updated[0]) == pytest.approx(1 - 0.001 * 0.65 / (0.1039**0.5 + 1e-7), rel=1e-6)


def test_measured_parts_are_positive_and_many():
    found = stepparts.measure_width("tensorflow", 4, 128)
    for samples in (found.products_loop, found.products_call, found.optimizer):
        assert len(samples) == timing.BLOCKS
        assert min(samples) > 0
    copies = microbenchmark.measure_copy("tensorflow", 401_408)
    assert 0 < np.median(copies) < 1


def test_a_device_with_tf32_is_measured_with_it_and_without():
    found = stepparts.measure_width("tensorflow", 4, 128, rounded="tf32")
    assert len(found.tf32_loop) == len(found.tf32_call) == timing.BLOCKS
    assert found.products_seconds("tf32") <= found.products_seconds()
    assert microbenchmark.set_precision("tensorflow", False) == "float32"


def test_ceilings_are_there_after_each_width_and_go_on(tmp_path, monkeypatch):
    """Cut off after the first width, the next process measures only the second."""
    # Short blocks and no profile: what is looked at is what is measured, not how well.
    monkeypatch.setattr(timing, "BLOCK_SECONDS", 0.001)
    monkeypatch.setattr(microbenchmark, "profile_step", lambda *_: None)
    monkeypatch.setattr(microbenchmark, "measure_peaks", lambda *_: [])
    sweep = parse_parameters({"widths": [8, 4], "output": str(tmp_path)})
    measuring = microbenchmark.measure_ceilings(sweep, "cpu", "CPU:0")
    first = next(measuring)
    measuring.close()
    assert [found.width for found in first.widths] == [8]
    assert first.widths[0].seconds > 0
    (second,) = microbenchmark.measure_ceilings(sweep, "cpu", "CPU:0", first)
    assert second.widths[0] == first.widths[0]
    assert [found.width for found in second.widths] == [8, 4]
    assert second.common == first.common
    assert first.pinned_copy is None
    assert list(microbenchmark.measure_ceilings(sweep, "cpu", "CPU:0", second)) == []
    # What another version of the code measured is measured anew, all of it.
    other = second.model_copy(update={"code": second.code.model_copy(update={"digest": "x"})})
    again = microbenchmark.measure_ceilings(
        sweep.model_copy(update={"widths": [4]}), "cpu", "CPU:0", other
    )
    (last,) = again  # No record with less widths than the earlier one has.
    assert sorted(found.width for found in last.widths) == [4, 8]
    assert last.common != second.common


def test_only_few_widths_are_profiled_whatever_was_measured_before(tmp_path, monkeypatch):
    """4, 128 and 1024 where a study has one of them, or else its smallest and its largest."""
    parts = {one.width: one for one in make_ceilings(widths=(4, 8, 16, 32, 128)).widths}
    profiled = []
    monkeypatch.setattr(microbenchmark, "measure_width", lambda _, width, *__: parts[width])
    monkeypatch.setattr(microbenchmark, "measure_blas", lambda *_: [1e-6])
    monkeypatch.setattr(microbenchmark, "measure_common", lambda *_: make_ceilings().common)
    monkeypatch.setattr(microbenchmark, "profile_step", lambda *given: profiled.append(given[2]))

    def measured(widths, earlier=None):
        profiled.clear()
        sweep = parse_parameters({"widths": widths, "output": str(tmp_path)})
        *_, last = microbenchmark.measure_ceilings(sweep, "cpu", "CPU:0", earlier)
        return last

    whole = measured([4, 128, 8])
    assert profiled == [4, 128]
    measured([16, 32], whole)
    assert profiled == []
    rest = measured([16])
    measured([8, 32], rest)
    assert profiled == [8, 32]


class Clock:
    """A clock and a runtime in one, on which each call takes its own seconds."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def synchronize(self):
        self.now += 1e-7

    def wait(self, result):
        self.now += 1e-7

    def call(self, *seconds):
        """A call that takes these seconds one after another, the last of them from then on."""
        left, count = list(seconds), itertools.count()

        def called():
            self.calls = next(count) + 1
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return called


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(timing, "time", made)
    monkeypatch.setattr(timing, "runtime", lambda _: made)
    return made


@pytest.mark.parametrize("seconds", [1e-6, 3e-4, 0.5])
def test_a_sample_is_what_a_call_takes_without_its_compiling(clock, seconds):
    call = clock.call(2.0, seconds * 3, seconds)  # The second is slow as well.
    samples = timing.samples("tensorflow", call, calls=4)
    assert samples == pytest.approx([seconds / 4] * timing.BLOCKS, rel=0.01)
    # Seven blocks that last long enough, and little more than a block to find out how long.
    fewest = max(timing.BLOCK_SECONDS / seconds, 1)
    assert timing.BLOCKS * fewest <= clock.calls <= (timing.BLOCKS + 2) * 2 * fewest + 2


def test_the_fastest_way_is_chosen_without_its_compiling_and_its_first_call(clock):
    slow, fast = clock.call(0.1, 0.3), clock.call(9.0, 0.5, 0.2)
    assert timing.fastest("tensorflow", [slow, fast]) is fast


def test_a_copy_from_pinned_memory_is_measured_where_there_is_such_memory(monkeypatch):
    """TensorFlow's Python has none; a runtime that has is asked once, with a batch's bytes."""
    assert microbenchmark.measure_pinned_copy("tensorflow", 401_408) is None
    blocks, copies = [], []

    class Pinned:
        def pinned_copy(self, block):
            blocks.append(block)
            return lambda: copies.append(1)

        def synchronize(self):
            pass

        def wait(self, result):
            pass

    for module in (microbenchmark, timing):
        monkeypatch.setattr(module, "runtime", lambda _: Pinned())
    monkeypatch.setattr(timing, "BLOCK_SECONDS", 1e-4)
    found = microbenchmark.measure_pinned_copy("jax", 401_408)
    assert len(found) == timing.BLOCKS
    assert [block.nbytes for block in blocks] == [401_408]
    assert len(copies) > timing.BLOCKS


def test_ceilings_come_back_and_bad_files_are_named(tmp_path):
    ceilings = make_ceilings()
    write_ceilings(tmp_path, ceilings)
    write_ceilings(tmp_path, make_ceilings(device="gpu"))
    (tmp_path / "a.json").write_text('{"dispatch": "<script>"}')
    (tmp_path / "b.json").write_bytes(b" " * 2_000_000)
    found, problems = read_ceilings(tmp_path)
    assert found[0] == ceilings
    assert [one.device for one in found] == ["cpu", "gpu"]
    assert [problem.name for problem in problems] == ["a.json", "b.json"]


@pytest.mark.parametrize("field", ["dispatch", "memory", "large_copy"])
def test_a_call_that_took_no_time_is_named_and_no_crash(tmp_path, field):
    text = json.loads(make_ceilings().model_dump_json())
    text[field] = [0.0]
    (tmp_path / "a.json").write_text(json.dumps(text))
    found, problems = read_ceilings(tmp_path)
    assert found == []
    assert str(problems[0]) == f"a.json: {field}.0: Input should be greater than 0"


@pytest.mark.parametrize(
    ("seconds", "told"), [({}, "at least 1 item"), ({"Python": 0.0}, "it took no time")]
)
def test_an_empty_profile_is_named_and_no_crash(tmp_path, seconds, told):
    text = json.loads(make_ceilings().model_dump_json())
    text["widths"][0]["profile"] = {"steps": 10, "seconds": seconds}
    (tmp_path / "a.json").write_text(json.dumps(text))
    found, problems = read_ceilings(tmp_path)
    assert found == []
    assert problems[0].reason.startswith("widths.0.profile.seconds: ")
    assert told in problems[0].reason


def test_a_byte_order_mark_costs_no_ceilings_and_a_key_twice_does(tmp_path):
    path = write_ceilings(tmp_path, make_ceilings())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_ceilings(tmp_path) == ([make_ceilings()], [])
    path.write_text(path.read_text(encoding="utf-8-sig").replace("{", '{"device": "gpu",', 1))
    assert str(read_ceilings(tmp_path)[1][0]).endswith("the key 'device' stands there twice")


def test_ceilings_of_a_newer_version_are_told_as_such_and_not_used(tmp_path):
    path = write_ceilings(tmp_path, make_ceilings())
    text = json.loads(path.read_text()) | {"schema_version": 3, "a_new_field": 1}
    path.write_text(json.dumps(text))
    assert read_ceilings(tmp_path) == ([], [Problem(path.name, NEWER)])
    assert find_ceilings(path) is None


OTHERS = {
    "cpu_model ('Other' and 'Test CPU')": {"machine": Machine(cpu_model="Other", visible_cores=2)},
    "backend version ('2.0' and '2.21.0')": {
        "software": Software(backend="2.0", keras="3.15.1", numpy="2.4.6")
    },
}


@pytest.mark.parametrize("told", OTHERS)
def test_ceilings_of_another_machine_or_software_are_named_and_not_used(tmp_path, told):
    write_record(tmp_path, make_record())
    merged = merge(tmp_path, own_settings("tensorflow", 10, 128, None), tmp_path / "none")
    alike = make_ceilings(machine=make_record().machine, software=make_record().software)
    other = alike.model_copy(update=OTHERS[told])
    found, others = merged.own_of([alike, other], "ceilings")
    assert found == [alike]
    assert [str(each) for each in others] == [
        f"ceilings of tensorflow on the CPU: measured with another {told} than the trials'; to "
        "measure them anew, move their file away"
    ]


def test_rates_follow_from_the_medians():
    ceilings = make_ceilings()
    assert ceilings.copy_bytes_per_second == 1e9
    assert ceilings.memory_bytes_per_second == 1e9
    assert ceilings.at(4).products_seconds() == 2e-6
    assert ceilings.at(5) is None
    assert ceilings_table(ceilings).loc[4, "optimizer, µs"] == 4.0
