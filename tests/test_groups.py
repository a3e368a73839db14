"""A study's trials in groups: what is another than the study's is in each one's name."""

from conftest import make_record
from crossover.analysis.machines import groups_of, own_settings
from crossover.records.settings import protocol_settings

(STUDY, TUNED) = own_settings("tensorflow", 10, 128, 2)


def settings(**changes):
    given = {"backend": "tensorflow", "epochs": 10, "batch_size": 128, "threads": 2} | changes
    return protocol_settings("published", **given)


def test_groups_are_told_apart_by_backend_or_threads():
    kinds = {
        "box": [STUDY, TUNED],
        "box, jax": [settings(backend="jax")],
        "box, 1 thread": [settings(threads=1)],
        "box, all threads": [settings(threads=None)],
    }
    records = [make_record(settings=each) for own in kinds.values() for each in own]
    groups = groups_of("box", records, STUDY)
    assert {group.label: [record.settings for record in group.records] for group in groups} == kinds


def test_another_problem_and_two_differences_are_in_no_group():
    others = [settings(epochs=3), settings(backend="jax", threads=1), settings(data="device")]
    assert groups_of("box", [make_record(settings=each) for each in others], STUDY) == []
