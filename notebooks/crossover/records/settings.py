"""The settings that trials share, and what each protocol decides of them."""

import hashlib
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from crossover.problem import BATCH_SIZE, EPOCHS, TRAIN_IMAGES, VALIDATION_SPLIT, steps_per_epoch
from crossover.records.backends import BACKENDS, DEFAULT_BACKEND


def _one_of_the_backends(value: object) -> object:
    if isinstance(value, str) and value in BACKENDS:
        return value
    *others, last = map(repr, BACKENDS)
    expected = {"expected": f"{', '.join(others)} or {last}"}
    raise PydanticCustomError("literal_error", "Input should be {expected}", expected)


Device = Literal["cpu", "gpu"]
Protocol = Literal["published", "tuned"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
Backend = Annotated[str, BeforeValidator(_one_of_the_backends)]
# What a product of float32 matrices is rounded to: 23, 10 or 7 bits of a fraction.
Precision = Literal["float32", "tf32", "bfloat16"]
Width = Annotated[int, Field(ge=1, le=16384)]
BatchSize = Annotated[int, Field(ge=1, le=TRAIN_IMAGES)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
Repeat = Annotated[int, Field(ge=1, le=10_000)]
Threads = Annotated[int, Field(ge=1, le=4096)]
Steps = Annotated[int, Field(ge=1, le=TRAIN_IMAGES)]
Place = Literal["host", "device"]
# 1 kept kernels as (inputs, units); 2 transposed them and trained halves of a batch side by side;
# 3 reads each batch's rows where they lie, where 2 put all into the epoch's order first. It is also
# the packed step of GPUs, which had trained nothing before.
TUNED_REVISION = 3


class Frozen(BaseModel):
    """Immutable data that refuses unknown fields, NaN and silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Recipe(Frozen):
    """What a sweep is asked for and its trials record in the same words."""

    backend: Backend = DEFAULT_BACKEND
    protocol: Protocol = "published"
    batch_size: BatchSize = BATCH_SIZE
    epochs: Epochs = EPOCHS
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    validation_split: Annotated[float, Field(ge=0, lt=1)] = VALIDATION_SPLIT


class Settings(Recipe):
    """Everything that two trials must share to stand on one curve.

    ``steps_per_execution`` is the number of batches that one call of the backend trains; ``data``
    says whether the training set lies in host memory or on the device; ``validation`` whether the
    split-off images are evaluated after each epoch; ``threads`` limits the CPU threads (None: all
    visible); ``tf32`` says whether a device may round the operands of a matrix product to TF32
    (None: the protocol's own way, see ``allows_tf32``); ``revision`` counts the ways in which a
    protocol has been programmed, for their seconds must not be mixed.
    """

    steps_per_execution: Steps = 1
    jit_compile: bool = False
    data: Place = "host"
    metrics: bool = True
    validation: bool = True
    dtype: Literal["float32"] = "float32"
    tf32: bool | None = None
    threads: Threads | None = None
    revision: Annotated[int, Field(ge=1, le=1000)] = 1

    @property
    def steps(self) -> int:
        """Optimizer steps an epoch."""
        return steps_per_epoch(self.batch_size, self.validation_split)

    @property
    def allows_tf32(self) -> bool:
        """Whether products may be rounded: the tuned protocol allows it, the published does not."""
        return self.protocol == "tuned" if self.tf32 is None else self.tf32

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that name this combination of settings.

        Defaults stay out, so that a setting added later renames no record.
        """
        text = self.model_dump_json(exclude_defaults=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def protocol_settings(protocol: Protocol, **given: Any) -> Settings:
    """Fill in what a protocol decides and is not given (or None); the rest is the caller's."""
    chosen = {name: value for name, value in given.items() if value is not None}
    plain = Settings(protocol=protocol, **chosen)
    own: dict[str, Any] = {"jit_compile": BACKENDS[plain.backend].xla == "always"}
    if protocol == "tuned":
        own |= {"jit_compile": True, "revision": TUNED_REVISION}
        own |= {"steps_per_execution": plain.steps, "data": "device"}
    elif not plain.tf32:
        chosen.pop("tf32", None)  # Said or not, the protocol's own way is one setting.
    return Settings(protocol=protocol, **(own | chosen))
