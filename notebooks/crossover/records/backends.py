"""What is known of each backend without importing it; what each does is in `hardware.runtimes`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Facts:
    """What is known of one backend.

    ``name`` is shown to readers, ``package`` is its own and Keras's name of it. ``xla`` says
    whether a step is compiled with XLA ``by choice``, ``always`` or ``never`` here, ``one_step``
    whether Keras runs no more than one step an execution, and ``steps_meaning`` what several of
    them are. ``newer_card`` is what to do about a card that it is too old for, and
    ``ceilings_seconds`` is what measuring a device's ceilings takes: what all widths share, one
    width, and the profile of one; ``rounds_seconds`` what trainings in turns take, a width.
    ``unseen`` is what its profiler leaves out on a CPU, ``profiled`` whether its steps are profiled
    at all, and ``pins`` whether its Python can copy from pinned memory.
    """

    name: str
    package: str
    steps_meaning: str
    ceilings_seconds: Mapping[str, tuple[float, float, float]]
    rounds_seconds: Mapping[str, float]
    unseen: str = ""
    profiled: bool = True
    pins: bool = True
    protocols: tuple[str, ...] = ("published", "tuned")
    xla: Literal["by choice", "always", "never"] = "by choice"
    one_step: bool = False
    newer_card: str = "run 'make report BACKEND=jax', for JAX makes its code for the card it finds"


# A CPU's seconds were measured on two cores, JAX's on a GPU on an H100 with 16 cores; other GPUs'
# are compiling, which took as long without one.
BACKENDS = {
    "tensorflow": Facts(
        name="TensorFlow",
        package="tensorflow",
        steps_meaning="With several *steps an execution* TensorFlow runs them in one call of its "
        "graph. What that saves is all that a call costs: dispatching it from Python, Keras's "
        "bookkeeping around it, and what the arithmetic may lose by pauses between calls.",
        unseen="the smallest operations",
        pins=False,
        ceilings_seconds={"cpu": (5.0, 2.0, 3.0), "gpu": (10.0, 22.0, 3.0)},
        rounds_seconds={"cpu": 120.0, "gpu": 120.0},
    ),
    "jax": Facts(
        name="JAX",
        package="jax",
        steps_meaning="Several *steps an execution* are a loop in Python on JAX: every step is "
        "still a call. What an epoch an execution saves is Keras's bookkeeping between the steps.",
        ceilings_seconds={"cpu": (6.0, 2.0, 4.5), "gpu": (17.0, 30.0, 5.0)},
        rounds_seconds={"cpu": 80.0, "gpu": 120.0},
        # It has no other compiler; its operations one by one are no `fit` that anybody runs.
        xla="always",
        newer_card="update jax",
    ),
    "torch": Facts(
        name="PyTorch",
        package="torch",
        steps_meaning="On torch Keras runs one step an execution, and there is no *tuned*: the "
        "path goes as far as there are changes.",
        ceilings_seconds={"cpu": (7.0, 4.0, 0.0), "gpu": (5.0, 4.0, 0.0)},
        rounds_seconds={"cpu": 60.0, "gpu": 60.0},
        protocols=("published",),
        profiled=False,
        # XLA's counterpart takes minutes to compile.
        xla="never",
        one_step=True,
    ),
}
# The published study's.
DEFAULT_BACKEND = "tensorflow"
