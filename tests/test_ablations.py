"""Ablations, against ratios computed by hand."""

import pytest

from conftest import make_record
from crossover.analysis.ablations import (
    BASELINE,
    CHANGES,
    ablation_table,
    applies,
    change_of,
    changes_of,
)
from crossover.records.settings import Settings, protocol_settings


def changed(name, **more):
    return protocol_settings("published", epochs=3, **(CHANGES[name] | more))


def test_each_ablation_changes_one_setting():
    plain = changed(BASELINE).model_dump()
    for name in CHANGES:
        fields = changed(name).model_dump()
        differing = [field for field in fields if fields[field] != plain[field]]
        assert len(differing) == (name != BASELINE)
        assert change_of(changed(name)) == name


def test_each_backend_has_the_changes_that_it_can_make():
    names = {backend: set(changes_of(backend)) for backend in ("tensorflow", "jax", "torch")}
    assert names["tensorflow"] == set(CHANGES)
    # JAX always compiles; Keras on torch refuses several steps an execution.
    assert set(CHANGES) - names["jax"] == {"XLA"}
    assert set(CHANGES) - names["torch"] == {
        "XLA", "32 steps an execution", "an epoch an execution"
    }  # fmt: skip
    for backend, known in names.items():
        settings = [
            protocol_settings("published", backend=backend, **CHANGES[name]) for name in known
        ]
        assert len({each.digest for each in settings}) == len(known)


def test_tf32_is_a_change_of_a_gpu_only():
    on = {device: [name for name, change in CHANGES.items() if applies(change, device)]
          for device in ("cpu", "gpu")}  # fmt: skip
    assert on["gpu"] == list(CHANGES)
    assert set(CHANGES) - set(on["cpu"]) == {"TF32"}


def test_the_study_itself_and_two_changes_at_once_are_no_ablation():
    assert change_of(Settings()) is None
    assert change_of(changed("XLA", data="device")) is None
    assert change_of(changed("no metrics", backend="jax")) == "no metrics"


def test_the_ratio_is_the_published_epoch_over_the_changed_one():
    records = [
        make_record(settings=changed(BASELINE), fit=8.0),
        make_record(settings=changed("XLA"), fit=4.0),
        make_record(settings=changed(BASELINE), fit=16.0, repeat=2),
        make_record(settings=changed("XLA"), fit=4.0, repeat=2),
        make_record(settings=changed("XLA"), fit=1.0, repeat=3),
    ]
    table = ablation_table(records).set_index("change")
    # Three epochs of 2 + 1 + 1 quarters; the third repeat has no baseline to compare with.
    assert table.loc[BASELINE, "epoch_seconds"] == pytest.approx((2.0 + 4.0) / 2)
    assert table.loc["XLA", "epoch_seconds"] == pytest.approx(1.0)
    assert table.loc["XLA", "ratio"] == pytest.approx((2.0 + 4.0) / 2)
    assert (table.loc["XLA", "low"], table.loc["XLA", "high"]) == pytest.approx((2.0, 4.0))
    assert table.loc["XLA", "saved_us"] == pytest.approx((1.0 + 3.0) / 2 / 422 * 1e6)


def test_without_ablations_the_table_is_empty():
    assert ablation_table([make_record()]).empty
