"""The settings of a command: the file's defaults, then NAME=value words, checked, and a study."""

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from crossover.analysis import batch_map
from crossover.assignments import assigned
from crossover.errors import CrossoverError
from crossover.hardware.card import nvidia_driver_version, visible_cards
from crossover.paths import PROJECT
from crossover.problem import EXPLAINED_WIDTHS
from crossover.records.backends import BACKENDS, DEFAULT_BACKEND
from crossover.records.changes import BATCH_SIZES
from crossover.records.parameters import PRICES, prices_of
from crossover.records.rounds import ROUNDS
from crossover.records.settings import Device
from crossover.study.last import FILE, last_settings, read_settings
from crossover.study.study import Study

CONFIG = PROJECT / "workflow" / "config.yaml"
# Of a study, under its own fields' names in capitals, and of where it runs.
NUMBERS = ("REPEATS", "EPOCHS", "BATCH_SIZE", "THREADS", "SEED", "SHARDS")
SETTINGS = ("WIDTHS", "DEVICES", "PROTOCOLS", "BACKEND", *NUMBERS)
PLACES = ("PROFILE", "PARTITIONS", "NOTEBOOKS")
# What is no setting of some verbs, and why.
USELESS = {
    "explain": (
        ("REPEATS", "EPOCHS", "PROTOCOLS", "SHARDS", *PRICES),
        f"trains {ROUNDS} rounds of an epoch at most, and reports at its study's prices",
    ),
    "map": (
        ("EPOCHS", "PROTOCOLS", "BATCH_SIZE", *PRICES),
        f"trains {batch_map.MAP_EPOCHS} epochs of the published protocol at batch sizes of its "
        "own, and reports at its study's prices",
    ),
}
# What a verb sees to of a study.
WANTED = {
    "report": ["trials", "ceilings"],
    "quick": ["trials"],
    "map": ["trials"],
    "explain": ["ceilings", "rounds"],
}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"folder": "data/runs/quick", "widths": "16 128 1024", "epochs": 1},
    "explain": {"widths": list(EXPLAINED_WIDTHS)},
    "map": {
        "protocols": "published",
        "widths": batch_map.MAP_WIDTHS,
        "epochs": batch_map.MAP_EPOCHS,
        "changes": [{"batch_size": size} for size in BATCH_SIZES],
    },
}


def configuration(verb: str, words: list[str]) -> dict[str, Any]:
    """The configuration of a verb: the file's defaults, then the settings.

    ``partial`` starts from the last study's settings instead of the defaults, and ``explain`` takes
    its batch size and threads, for it is what a report's study is explained by. Raises
    `CrossoverError` if a setting is unknown, a number is none, or the file is no configuration.
    """
    config = defaults()
    if verb == "partial":
        config = (last_settings() or config) | {"partial": True}
    else:
        config["study"] |= PRESETS.get(verb, {})
        config["wanted"] = WANTED[verb]
    if verb == "quick":
        config |= {"figures": "figures/quick", "tables": "data/runs/quick", "quick": True}
    given = assigned(words, [*SETTINGS, *PLACES, *PRICES])
    names, why = USELESS.get(verb, ((), ""))
    for name in (name for name in names if name in given):
        raise CrossoverError(f"{name} is no setting of 'make {verb}', which {why}: leave it out.")
    if verb == "partial" and "PROFILE" in given:
        config["partitions"] = ""  # The last study's are those of its own profile.
    config |= {name.lower(): value for name, value in given.items() if name in PLACES}
    if prices := prices_of(given):
        config |= prices._asdict()
    own = study_settings(given)
    if verb == "explain":
        config["study"] |= _of_the_report(config["study"] | own)
    config["study"] |= own
    return config


def _of_the_report(study: Mapping[str, Any]) -> dict[str, Any]:
    """Batch size and threads of the study last reported from a folder, if its backend is this."""
    last = (read_settings(PROJECT / study["folder"] / FILE) or {}).get("study", {})
    alike = last.get("backend") == study["backend"]
    return {name: last[name] for name in ("batch_size", "threads") if alike and last.get(name)}


def study_settings(given: Mapping[str, str]) -> dict[str, Any]:
    """Those of some NAME=value settings that are a study's, numbers as numbers."""
    return {
        name.lower(): _number(name, value) if name in NUMBERS else value
        for name, value in given.items()
        if name in SETTINGS
    }


def _number(name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 18:
        raise CrossoverError(f"{name} is {value!r:.80}: it must be a whole number.")
    return int(value)


def defaults() -> dict[str, Any]:
    """The configuration's file; raises ``CrossoverError`` where it is none."""
    try:
        config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        config = None
    if not isinstance(config, dict) or not isinstance(config.get("study"), dict):
        raise CrossoverError(
            f"workflow/{CONFIG.name} is not readable: restore it from the project."
        )
    return config


def present_devices() -> list[Device]:
    """The devices to sweep when none is named: a GPU only where a driver shows one."""
    return ["cpu", "gpu"] if nvidia_driver_version() or visible_cards() else ["cpu"]


def study_from(settings: Mapping[str, Any]) -> Study:
    """Build a study from a configuration's settings, empty ones left at their defaults.

    Raises `CrossoverError`, which says which setting is wrong, under the name it was given by.
    """
    given = {name: value for name, value in settings.items() if value not in (None, "")}
    given.setdefault("devices", present_devices())
    # A backend that there is not is refused with the other settings.
    facts = BACKENDS.get(str(given.get("backend")), BACKENDS[DEFAULT_BACKEND])
    given.setdefault("protocols", list(facts.protocols))
    try:
        return Study(**given)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        name = field.upper() if field.upper() in SETTINGS else field
        raise CrossoverError(f"{name} is {first['input']!r:.80}: {first['msg']}.") from None
