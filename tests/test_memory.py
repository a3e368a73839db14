"""Memory: what cannot fit is refused in a sentence before anything is trained."""

import pytest

from conftest import TWO_GIGABYTES, papermill, report
from crossover.records.parameters import parse_parameters
from crossover.training.memory import MemoryLimitError, check_memory, least_bytes

SENTENCE = (
    "width 8192 needs at least 3.2 GB of memory and there are 2.0 GB: leave widths above 4 out, or "
    "grant more."
)


def sweep(widths, **changes):
    return parse_parameters({"widths": widths, "output": "x"} | changes)


def test_the_least_memory_is_the_process_and_four_values_a_parameter():
    parameters = 2 * 4096**2 + 797 * 4096 + 10
    batch = 4 * 128 * (784 + 3 * 4096)
    assert least_bytes(4096, 128, "cpu") == 900_000_000 + 4 * 4 * parameters + batch
    assert least_bytes(4096, 128, "gpu") == 900_000_000


@pytest.mark.parametrize(
    ("widths", "granted", "said"),
    [
        ([4, 8192, 4096], 2 * 10**9, "width 8192 needs at least 3.2 GB of memory and there are "
         "2.0 GB: leave widths above 4096 out, or grant more."),
        ([4], 8 * 10**8, "width 4 needs at least 0.9 GB of memory and there are 0.8 GB: "
         "grant more."),
    ],
)  # fmt: skip
def test_a_width_that_cannot_fit_is_refused_with_the_widest_that_does(widths, granted, said):
    with pytest.raises(MemoryLimitError) as error:
        check_memory(sweep(widths), "cpu", granted)
    assert str(error.value) == said
    check_memory(sweep([4, 1024]), "cpu", 2 * 10**9)


def test_on_a_gpu_the_model_lies_on_the_card():
    check_memory(sweep([16384], device="gpu"), "gpu", 2 * 10**9)


def test_the_front_door_refuses_before_it_trains(project, granted):
    words = ("WIDTHS=4 8192", "DEVICES=cpu", "EPOCHS=3")
    before = granted(*TWO_GIGABYTES)
    for _ in range(2):
        code, out, err = report(project, "report", *words, before=before)
        assert code == 2
        assert err == f"crossover: {SENTENCE}\n"
        assert "to train" not in out
    assert not list(project.glob("data/runs/*/trials/*"))


def test_the_notebook_refuses_too(granted, tmp_path):
    run = papermill("train.ipynb", tmp_path / "t.ipynb", before=granted(*TWO_GIGABYTES),
                    widths="4 8192 4096", output=tmp_path / "trials")  # fmt: skip
    assert run.returncode != 0
    assert SENTENCE.replace("above 4", "above 4096") in run.stderr
    assert not (tmp_path / "trials").exists()
