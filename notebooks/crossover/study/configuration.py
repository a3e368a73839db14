"""The settings of a command: the file's defaults, then NAME=value words, checked."""

from __future__ import annotations

import difflib
from typing import Any

import yaml
from pydantic import ValidationError

from crossover.analysis import ablations
from crossover.paths import PROJECT
from crossover.study.last import last_settings

CONFIG = PROJECT / "workflow" / "config.yaml"
SETTINGS = {
    "WIDTHS": "widths",
    "DEVICES": "devices",
    "PROTOCOLS": "protocols",
    "REPEATS": "repeats",
    "EPOCHS": "epochs",
    "BATCH_SIZE": "batch_size",
    "BACKEND": "backend",
    "THREADS": "threads",
    "SEED": "seed",
    "SHARDS": "shards",
}
NUMBERS = {"repeats", "epochs", "batch_size", "threads", "seed", "shards"}
PLACES = {"PROFILE": "profile", "PARTITIONS": "partitions", "NOTEBOOKS": "notebooks"}
PRESETS: dict[str, dict[str, Any]] = {
    "report": {},
    "quick": {"folder": "data/runs/quick", "widths": "16 128 1024", "epochs": 1},
    "partial": {},
    "explain": {
        "protocols": "published",
        "widths": ablations.WIDTHS,
        "epochs": ablations.EPOCHS,
    },
    "map": {
        "protocols": "published",
        "widths": ablations.MAP_WIDTHS,
        "epochs": ablations.MAP_EPOCHS,
        "changes": [{"batch_size": size} for size in ablations.BATCH_SIZES],
    },
}


def configuration(verb: str, given: list[str]) -> dict[str, Any]:
    """Snakemake's configuration for a verb: the file's defaults, then the settings.

    ``partial`` starts from the last study's settings instead of the defaults.

    Raises
    ------
    ValueError
        If the verb or a setting is unknown, a number is none, or the file is
        no configuration.
    """
    if verb not in PRESETS:
        raise ValueError(f"unknown verb {verb!r:.80}: known are {', '.join(PRESETS)}.")
    config = _defaults()
    if verb == "partial":
        config = (last_settings() or config) | {"partial": True}
    else:
        config["study"] |= PRESETS[verb]
        config["limits"] = verb in ("report", "explain")
    if verb == "quick":
        config |= {"figures": "figures/quick", "tables": "data/runs/quick", "quick": True}
    for word in given:
        name, equals, value = word.partition("=")
        if name not in SETTINGS | PLACES or not equals:
            raise ValueError(f"unknown setting {word!r:.80}: {_hint(name)}")
        if value and name in PLACES:
            config[PLACES[name]] = value
            if verb == "partial" and name == "PROFILE":
                config["partitions"] = ""  # The last study's are those of its own profile.
        elif value:
            config["study"][SETTINGS[name]] = _number(name, value)
    if verb == "explain":
        backend = config["study"].get("backend") or "tensorflow"
        # A backend that there is not is refused with the other settings.
        known = ablations.changes_of(backend) if backend in ablations.LEFT_OUT else {}
        config["study"]["changes"] = list(known.values())
    return config


def _hint(name: str) -> str:
    known = [*SETTINGS, *PLACES]
    if name in known:
        return f"write {name}=value."
    near = difflib.get_close_matches(name.upper(), known, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."


def _defaults() -> dict[str, Any]:
    try:
        config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        config = None
    if not isinstance(config, dict) or not isinstance(config.get("study"), dict):
        raise ValueError(f"workflow/{CONFIG.name} is not readable: restore it from the project.")
    return config


def _number(name: str, value: str) -> object:
    if SETTINGS[name] not in NUMBERS:
        return value
    if not value.isdecimal() or len(value) > 18:
        raise ValueError(f"{name} is {value!r:.80}: it must be a whole number.")
    return int(value)


def explain(error: ValueError) -> str:
    """Say in one sentence which setting is wrong, under the name that it was given by."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    name = str(first["loc"][0])
    setting = {value: key for key, value in SETTINGS.items()}.get(name, name)
    return f"{setting} is {first['input']!r:.80}: {first['msg']}."
