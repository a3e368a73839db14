"""Wrong parameters end in one sentence that names them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossover.problem import steps_per_epoch
from crossover.records.parameters import ParameterError, check_parameters, parse_parameters
from crossover.records.settings import Settings

GOOD = {"widths": [4, 8], "output": "trials"}


@pytest.mark.parametrize("text", ["4 8 16", "4,8,16", "[4, 8, 16]"])
def test_widths_may_be_text(text):
    assert parse_parameters(GOOD | {"widths": text}).widths == [4, 8, 16]


WRONG = [
    *(("device", value) for value in ("CPU", "cuda", "", 1, None)),
    *(
        ("widths", value)
        for value in ([], "", "4 x", [0], [-4], [4.5], [4, 4], [20_000], None, "é")
    ),
    *(("protocol", value) for value in ("fast", "", None, 3)),
    *(("backend", value) for value in ("mxnet", None, 0)),
    *(("epochs", value) for value in (0, -1, 2.5, "10", "ten", None, 10**9, True)),
    *(("batch_size", value) for value in (0, -128, 60_001, 54_001, "128", 1.5, None)),
    *(("dropout", value) for value in (1, 1.0, -0.1, "0.2", None, float("nan"))),
    *(("optimizer", value) for value in ("Adam", "adamw", "", None, 1)),
    *(("learning_rate", value) for value in (0, -1.0, 11.0, "x", None, float("inf"))),
    *(("validation_split", value) for value in (1.0, -0.1, 2, "x", None)),
    *(("threads", value) for value in (0, -1, 1.5, "2", 10_000)),
    *(("tf32", value) for value in ("yes", 1, "tf32")),
    *(("seed", value) for value in (-1, 2**31, "x", 1.5)),
    *(("repeat", value) for value in (0, -1, "1", 1.5)),
    *(("output", value) for value in ("", 3)),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_names_its_parameter(name, value):
    with pytest.raises(ParameterError, match=f"parameter '{name}' is ") as caught:
        parse_parameters(GOOD | {name: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(ParameterError, match="unknown parameter 'epoch': did you mean 'epochs'"):
        check_parameters(GOOD | {"epoch": 3}, {})


def test_names_of_the_shell_are_no_parameters():
    assert check_parameters(GOOD | {"In": ["a"], "_oh": {}}, {"In": 1}).widths == [4, 8]


@given(st.text(max_size=30).filter(lambda name: name not in ("cpu", "gpu", "auto")))
def test_no_other_device_passes(name):
    with pytest.raises(ParameterError):
        parse_parameters(GOOD | {"device": name})


def test_tuned_sets_what_the_protocol_decides():
    settings = parse_parameters(GOOD | {"protocol": "tuned"}).settings
    assert settings == Settings(
        protocol="tuned", steps_per_execution=422, jit_compile=True, data="device", revision=3
    )


@pytest.mark.parametrize(
    ("batch", "split", "steps"), [(128, 0.1, 422), (60_000, 0.0, 1), (7, 0.5, 4286)]
)
def test_steps_count_the_smaller_last_batch(batch, split, steps):
    assert steps_per_epoch(batch, split) == steps
