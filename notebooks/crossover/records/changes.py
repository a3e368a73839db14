"""What lies between the protocols: single changes of `published`, and the path to `tuned`."""

from typing import Any

from crossover.records.backends import BACKENDS
from crossover.records.settings import Backend, Device

PUBLISHED, WHOLE_EPOCH = "published", "an epoch an execution"
# Settings of the published protocol, changed alone; each keeps the learning problem. How many steps
# an epoch has depends on the batch size.
CHANGES: dict[str, dict[str, Any]] = {
    "32 steps an execution": {"steps_per_execution": 32},
    WHOLE_EPOCH: {"steps_per_execution": None},
    "XLA": {"jit_compile": True},
    "data on the device": {"data": "device"},
    "TF32": {"tf32": True},
    "no metrics": {"metrics": False},
}
# What `tuned` has beside: layers of its own in Keras's `fit`, then no `fit` at all.
OWN_LAYERS, ONE_PROGRAM = "tuned's layers", "one program an epoch"
# One added to the last at a time.
PATH = [WHOLE_EPOCH, "XLA", "data on the device", OWN_LAYERS, "TF32", ONE_PROGRAM]
BATCH_SIZES = [32, 128, 512, 2048]


def changes_of(backend: Backend, device: Device) -> list[str]:
    """The single changes that a backend can make, has not made, and that change the device's work.

    A CPU has no TF32.
    """
    facts = BACKENDS[backend]
    left_out = {"steps_per_execution"} if facts.one_step else set()
    if facts.xla != "by choice":
        left_out.add("jit_compile")
    if device == "cpu":
        left_out.add("tf32")
    return [name for name, change in CHANGES.items() if not left_out & set(change)]


def path_of(backend: Backend, device: Device) -> list[str]:
    """What is added on the path from `published` to `tuned`, as far as a backend goes."""
    changes = changes_of(backend, device)
    own = [OWN_LAYERS, ONE_PROGRAM] if "tuned" in BACKENDS[backend].protocols else []
    return [name for name in PATH if name in [*changes, *own]]
