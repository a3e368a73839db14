"""The reader of compiled programs: kernels, loops, bytes and products of one written by hand."""

import importlib.util
import re
import sys

import pytest

from crossover.paths import PROJECT, REFERENCES
from crossover.records.reference import read_reference

spec = importlib.util.spec_from_file_location("compiled", PROJECT / "benchmarks" / "compiled.py")
compiled = importlib.util.module_from_spec(spec)
sys.modules["compiled"] = compiled
spec.loader.exec_module(compiled)

# A loop of seven turns: it looks 4 rows of 784 bytes up in 60,000, multiplies (4, 784) by
# (784, 8), and adds a bias; beside it one copy of the data.
TEXT = """HloModule epoch, is_scheduled=true

%gather (p0: u8[60000,784], p1: s32[4]) -> f32[4,784] {
  %p0 = u8[60000,784]{1,0} parameter(0)
  %p1 = s32[4]{0} parameter(1)
  %rows = u8[4,784]{1,0} gather(%p0, %p1), offset_dims={1}
  ROOT %scaled = f32[4,784]{1,0} convert(%rows)
}

%multiply (a: f32[4,784], b: f32[784,8]) -> f32[4,8] {
  %a = f32[4,784]{1,0} parameter(0)
  %b = f32[784,8]{1,0} parameter(1)
  ROOT %dot.1 = f32[4,8]{1,0} dot(%a, %b), lhs_contracting_dims={1}, PRECISION
}

%body (state: (u8[60000,784], s32[4], f32[784,8])) -> (u8[60000,784], s32[4], f32[784,8]) {
  %state = (u8[60000,784]{1,0}, s32[4]{0}, f32[784,8]{1,0}) parameter(0)
  %data = u8[60000,784]{1,0} get-tuple-element(%state), index=0
  %read = s32[4]{0} get-tuple-element(%state), index=1
  %kernel = f32[784,8]{1,0} get-tuple-element(%state), index=2
  %images = f32[4,784]{1,0} fusion(%data, %read), kind=kLoop, calls=%gather
  %product = f32[4,8]{1,0} fusion(%images, %kernel), kind=kCustom, calls=%multiply
  %sum = f32[4,8]{1,0} add(%product, %product)
  ROOT %next = (u8[60000,784]{1,0}, s32[4]{0}, f32[784,8]{1,0}) tuple(%data, %read, %kernel)
}

ENTRY %main (data: u8[60000,784], read: s32[4], kernel: f32[784,8]) -> f32[784,8] {
  %data = u8[60000,784]{1,0} parameter(0)
  %read = s32[4]{0} parameter(1)
  %kernel = f32[784,8]{1,0} parameter(2)
  %moved = u8[60000,784]{1,0} copy(%data)
  %begin = (u8[60000,784]{1,0}, s32[4]{0}, f32[784,8]{1,0}) tuple(%moved, %read, %kernel)
  %loop = (u8[60000,784]{1,0}, s32[4]{0}, f32[784,8]{1,0}) while(%begin), body=%body, TURNS
  ROOT %out = f32[784,8]{1,0} get-tuple-element(%loop), index=2
}
""".replace("TURNS", 'backend_config={"known_trip_count":{"n":"7"}}')


@pytest.mark.parametrize(
    ("attribute", "precision"),
    [
        ("", "tf32"),
        (", operand_precision={high,high}", "float32"),
        (", operand_precision={highest,highest}", "float32"),
    ],
)
def test_a_step_is_read_from_the_body_of_its_loop(attribute, precision):
    row = compiled.describe("by hand", 8, TEXT.replace("PRECISION", attribute))
    images = 4 * 784 + 4 * 4 + 4 * 4 * 784
    product = 4 * (4 * 784 + 784 * 8 + 4 * 8)
    added = 3 * 4 * 4 * 8
    flops = 2 * 4 * 784 * 8
    seconds = 3 * 1.5e-6 + (images + product + added) / 3.352e12
    assert row == {
        "program": "by hand", "width": 8, "kernels": 3, "products": 1, "loops": "7", "outside": 1,
        "MB": f"{(images + product + added) / 1e6:.2f}", "MFLOP": f"{flops / 1e6:.2f}",
        "precision": precision, "copies of the data": 1, "µs a step": f"{seconds * 1e6:.0f}",
    }  # fmt: skip


def test_a_library_call_is_a_product_too():
    call = (
        '%product = f32[4,8]{1,0} custom-call(%images, %kernel), custom_call_target="__cublas$lt$'
        'matmul", "lhs_contracting_dimensions":["1"], "operand_precision":["HIGHEST","HIGHEST"]'
    )
    fusion = next(line for line in TEXT.splitlines() if "%product = " in line)
    row = compiled.describe("library", 8, TEXT.replace(fusion.strip(), call))
    assert (row["kernels"], row["products"], row["precision"]) == (3, 1, "float32")
    assert row["MFLOP"] == f"{2 * 4 * 784 * 8 / 1e6:.2f}"


def test_a_program_without_a_loop_is_a_step_itself():
    lines = [line for line in TEXT.splitlines() if "while(" not in line]
    row = compiled.describe("step", 8, "\n".join(lines).replace("PRECISION", ""))
    assert (row["loops"], row["kernels"], row["outside"]) == ("none", 1, 0)


def measured_steps():
    """Microseconds of a steady step on the recorded H100, by protocol, device and width."""
    trials = read_reference(REFERENCES / "nvidia-h100.jsonl").records
    return {
        (one.settings.protocol, one.device, one.width): one.steady_seconds
        / (one.settings.epochs * one.settings.steps) * 1e6
        for one in trials
    }  # fmt: skip


def test_the_estimates_stand_beside_what_the_records_hold():
    text = (PROJECT / "docs" / "tuned.md").read_text(encoding="utf-8")
    estimated, measured = (
        [line.strip("| ").split(" | ") for line in re.findall(r"^\| \d+ \|.*$", part, re.MULTILINE)]
        for part in text.split("## Compiled for a GPU")[1].split("### Then measured on one")
    )
    assert [int(row[0]) for row in measured] == [4, 8, 16, 32, 64, 128, 256, 512, 1024]
    steps = measured_steps()
    for before, row in zip(estimated, measured, strict=True):
        width, guess = int(row[0]), before[-1].split(" → ")[1]
        tuned = steps["tuned", "gpu", width]
        others = ("published", "gpu"), ("tuned", "cpu"), ("published", "cpu")
        assert row[1:] == [
            guess, f"{tuned:.0f}", f"{tuned / int(guess):.2f}",
            *(f"{steps[*one, width]:,.0f}" for one in others),
        ]  # fmt: skip
