"""The parameters of a sweep, checked before anything is imported or trained."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from crossover.errors import CrossoverError
from crossover.paths import DATA, FIGURES, OWN_MODELS, RUNS
from crossover.problem import BATCH_SIZE, EPOCHS, WIDTHS, trained_images
from crossover.records.backends import BACKENDS, DEFAULT_BACKEND
from crossover.records.jsontext import Model
from crossover.records.settings import (
    Backend,
    BatchSize,
    Device,
    Epochs,
    Frozen,
    Place,
    Protocol,
    Recipe,
    Repeat,
    Settings,
    Steps,
    Threads,
    Width,
    protocol_settings,
)

Folder = Annotated[str, Field(min_length=1, max_length=4096)]
# What an hour of a machine costs, in any currency.
Price = Annotated[float, Field(ge=1e-6, lt=1e9, allow_inf_nan=False)]
PRICES = ("CPU_PRICE", "GPU_PRICE")


class Prices(NamedTuple):
    """What an hour of each machine costs."""

    cpu_price: float
    gpu_price: float

    @property
    def ratio(self) -> float:
        """The price of an hour of the GPU's machine, in hours of the CPU's."""
        return self.gpu_price / self.cpu_price


# The project's own folders, wherever a notebook is executed from.
OWN_FOLDERS = {
    "records": RUNS / "main" / "trials",
    "ceilings": RUNS / "main" / "ceilings",
    "rounds": RUNS / "main" / "rounds",
    "own": OWN_MODELS,
    "figure_folder": FIGURES,
    "table_folder": DATA,
}
# As published where they are None.
PUBLISHED = ("widths", "epochs", "batch_size")
# The tuned protocol is one program, which decides these.
DECIDED = ("steps_per_execution", "jit_compile", "data", "tf32", "metrics", "validation")


class ParameterError(CrossoverError):
    """A parameter is unknown, of the wrong type, or impossible."""


def split_words(value: object) -> object:
    """Accept '4 8 16' or 'cpu,gpu' beside lists; command lines pass text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    if isinstance(value, str):
        words = value.replace(",", " ").strip("[] ").split()
        return [int(word) if word.isdecimal() else word for word in words]
    return value


Widths = Annotated[
    list[Width], BeforeValidator(split_words), Field(default_factory=lambda: [*WIDTHS])
]


class SweepParameters(Recipe):
    """One sweep: what papermill hands to the training notebook."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    widths: Annotated[Widths, Field(min_length=1, max_length=64)]
    steps_per_execution: Steps | None = None
    jit_compile: bool | None = None
    data: Place | None = None
    tf32: bool | None = None
    metrics: bool = True
    validation: bool = True
    threads: Threads | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 777
    repeat: Repeat = 1
    output: Folder

    @field_validator("widths")
    @classmethod
    def _each_once(cls, widths: list[int]) -> list[int]:
        if len(set(widths)) != len(widths):
            raise ValueError("each width may stand once")
        return widths

    @property
    def settings(self) -> Settings:
        """The settings of the sweep's trials, the protocol's own filled in."""
        own = {"device", "widths", "seed", "repeat", "output"}
        return protocol_settings(**self.model_dump(exclude=own))

    @property
    def folder(self) -> Path:
        """The folder of the trial records."""
        return Path(self.output)


class SummaryParameters(Frozen):
    """What papermill hands to the summary notebook.

    Trials that ``protocols``, ``devices``, ``widths`` and ``repeats`` ask for and that are not
    recorded are named as missing; without protocols or devices, those that have a trial count. A
    folder that is None is the project's own; any other counts from where the notebook is executed.
    """

    records: Folder
    ceilings: Folder
    rounds: Folder
    own: Folder
    backend: Backend = DEFAULT_BACKEND
    protocols: Annotated[list[Protocol], BeforeValidator(split_words), Field(max_length=2)]
    devices: Annotated[list[Device], BeforeValidator(split_words), Field(max_length=2)]
    widths: Annotated[Widths, Field(max_length=64)]
    repeats: Repeat = 1
    epochs: Epochs = EPOCHS
    batch_size: BatchSize = BATCH_SIZE
    threads: Threads | None = None
    figure_folder: Folder
    table_folder: Folder
    quick: bool = False
    cpu_price: Price | None = None
    gpu_price: Annotated[Price | None, Field(validate_default=True)] = None

    @property
    def prices(self) -> Prices | None:
        """What an hour of each machine costs; None without prices."""
        if self.cpu_price is None or self.gpu_price is None:
            return None
        return Prices(self.cpu_price, self.gpu_price)

    @field_validator("gpu_price")
    @classmethod
    def _both_prices(cls, value: float | None, info: ValidationInfo) -> float | None:
        if (value is None) != (info.data.get("cpu_price") is None):
            raise ValueError("costs need both prices, cpu_price and gpu_price")
        return value

    @field_validator(*OWN_FOLDERS, mode="before")
    @classmethod
    def _own_folder(cls, value: object, info: ValidationInfo) -> object:
        return str(OWN_FOLDERS[str(info.field_name)]) if value is None else value


def prices_of(given: Mapping[str, Any]) -> Prices | None:
    """The prices among NAME=value settings, both or none; raises `ParameterError`."""
    prices = [_price(name, given[name]) for name in PRICES if given.get(name)]
    if len(prices) == 1:
        raise ParameterError("costs need both prices: give CPU_PRICE and GPU_PRICE.")
    return Prices(*prices) if prices else None


def _price(name: str, value: object) -> float:
    try:
        return TypeAdapter(Price).validate_python(value)
    except ValidationError:
        raise ParameterError(
            f"{name} is {value!r:.80}: give what an hour costs, as 0.25, in any currency."
        ) from None


def check_parameters(
    namespace: Mapping[str, Any], hidden: Mapping[str, Any], kind: str = "trials"
) -> SweepParameters:
    """Validate the literals in a notebook's namespace, as ``parse_parameters`` does.

    ``hidden`` are the variables that IPython itself put there. When the notebook runs again in one
    process, its own stand beside the parameters, and no name is unknown. ``output`` None is the
    folder of that kind in the project's main study, wherever the notebook is executed from.
    """
    given = given_parameters(SweepParameters, namespace, hidden)
    if given.get("output") is None:
        given["output"] = str(RUNS / "main" / kind)
    return parse_parameters(given)


def check_summary(namespace: Mapping[str, Any], hidden: Mapping[str, Any]) -> SummaryParameters:
    """Validate the summary notebook's literals as ``check_parameters`` does the other's."""
    return built(SummaryParameters, given_parameters(SummaryParameters, namespace, hidden))


def given_parameters(
    model: type[Frozen], namespace: Mapping[str, Any], hidden: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters in a notebook's namespace, once it is sure that no other is there."""
    names = list(model.model_fields)
    literals = (bool, int, float, str, list, dict, tuple, type(None))
    rerun = any(isinstance(value, model) for value in namespace.values())
    for name, value in namespace.items():
        own = name in names or name in hidden or name.startswith("_")
        if not own and not rerun and isinstance(value, literals):
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)}."
            raise ParameterError(f"unknown parameter {name!r:.80}: {hint}")
    given = {name: namespace[name] for name in names if name in namespace}
    return {
        name: value for name, value in given.items() if name not in PUBLISHED or value is not None
    }


def parse_parameters(given: Mapping[str, Any]) -> SweepParameters:
    """Build the parameters, or say in one ``ParameterError`` which one is wrong and why."""
    parameters = built(SweepParameters, given)
    if first := next(_contradictions(parameters), None):
        name, why = first
        raise ParameterError(f"parameter '{name}' is {getattr(parameters, name)!r:.80}: {why}.")
    return parameters


def built(model: type[Model], given: Mapping[str, Any]) -> Model:
    """Build a model of parameters; `ParameterError` says which of them is wrong, and why."""
    try:
        return model(**given)
    except ValidationError as error:
        first = error.errors()[0]
    name = str(first["loc"][0])
    why = first["msg"].removeprefix("Value error, ")
    raise ParameterError(f"parameter '{name}' is {given.get(name)!r:.80}: {why:.200}.")


def _contradictions(parameters: SweepParameters) -> Iterator[tuple[str, str]]:
    """What is possible by itself but not beside the other parameters, and why not."""
    trained = trained_images(parameters.validation_split)
    if parameters.batch_size > trained:
        yield "batch_size", f"only {trained} images are trained on, choose no more"
    for name in DECIDED if parameters.protocol == "tuned" else ():
        if getattr(parameters, name) is not SweepParameters.model_fields[name].default:
            yield name, "the protocol 'tuned' decides it, leave it out or choose 'published'"
    backend = BACKENDS[parameters.backend]
    if parameters.protocol not in backend.protocols:
        has = " and ".join(map(repr, backend.protocols))
        able = " or ".join(
            name for name, facts in BACKENDS.items() if parameters.protocol in facts.protocols
        )
        why = f"the backend {parameters.backend} has only {has}, choose that, or the backend {able}"
        yield "protocol", why
    if backend.one_step and (parameters.steps_per_execution or 1) > 1:
        why = f"Keras runs one step an execution on the backend {parameters.backend}, leave it out"
        yield "steps_per_execution", why
