"""Batches for a model of the reader's own: from its file, or drawn from the model's own shapes."""

from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from crossover.training.own_file import ModelFile

# Batches that the file is asked for, or that are drawn; the rows of an epoch repeat them.
DISTINCT = 16


class Batch(NamedTuple):
    """Inputs and targets, NumPy arrays or Keras's nests of them, of as many rows each."""

    inputs: Any
    targets: Any

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """All arrays of both."""
        return [*keras.tree.flatten(self.inputs), *keras.tree.flatten(self.targets)]

    @property
    def bytes(self) -> int:
        """What all arrays hold."""
        return sum(array.nbytes for array in self.arrays)

    @property
    def height(self) -> int:
        """How many rows it has."""
        return len(self.arrays[0])

    def rows(self, count: int) -> "Batch":
        """The first rows as they lie in memory; copies, begun anew, where it has fewer."""
        numbers = slice(count) if count <= self.height else np.arange(count) % self.height
        return Batch(*(keras.tree.map_structure(lambda a: a[numbers], part) for part in self))


def draw_batches(file: ModelFile, model: keras.Model, size: int) -> Batch:
    """Some batches one after the other, all alike in shape; `ModelFileError` if they do not fit.

    A file without ``batch(size)`` has its inputs drawn uniformly from 0 to 1, whole numbers below
    the model's smallest embedding, and targets of the kind that its losses take.
    """
    if file.batch is None:
        return _drawn(file, model, size * DISTINCT)
    batches = [_given(file, model, size) for _ in range(DISTINCT)]
    if len({str(shapes(batch)) for batch in batches}) > 1:
        raise file.error("batch() returns other shapes from one call to the next")
    return Batch(
        *(
            keras.tree.map_structure(lambda *rows: np.concatenate(rows), *parts)
            for parts in zip(*batches, strict=True)
        )
    )


def shapes(batch: Batch) -> Any:
    """The shapes of all arrays, in their nests."""
    return keras.tree.map_structure(lambda array: (array.shape, str(array.dtype)), tuple(batch))


def _given(file: ModelFile, model: keras.Model, size: int) -> Batch:
    """What the file's own ``batch(size)`` returns."""
    assert file.batch is not None
    with file.told(f"batch({size})"):
        given = file.batch(size)
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise file.error(f"batch({size}) returns no pair of inputs and targets, as NumPy arrays")
    with file.told(f"batch({size})"):
        batch = Batch(*(keras.tree.map_structure(_taken, part) for part in given))
    for odd in (array.dtype for array in batch.arrays if array.dtype.kind not in "fiub"):
        raise file.error(f"batch({size}) returns an array of {odd}, which no device computes")
    for array in batch.arrays:
        if not array.shape or len(array) != size:
            raise file.error(
                f"batch({size}) returns an array of shape {array.shape}, whose rows are not {size}"
            )
    _check_targets(file, model, batch.targets)
    return batch


def _taken(values: Any) -> NDArray[Any]:
    """Values as Keras's ``fit`` takes them: real numbers in single precision."""
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _check_targets(file: ModelFile, model: keras.Model, targets: Any) -> None:
    """Refuse targets that Keras's losses would stretch to the outputs' shapes."""
    outputs, losses = outputs_of(model), losses_of(model)
    arrays = keras.tree.flatten(targets)
    if not outputs or len(arrays) != len(outputs):
        return  # Keras itself tells what it lacks.
    for array, (name, shape), loss in zip(arrays, outputs.items(), losses, strict=True):
        wanted = shape[:-1] if "sparse" in loss else shape
        fits = {wanted, (*wanted, 1), wanted[:-1] if wanted[-1:] == (1,) else wanted}
        if loss and None not in wanted and array.shape[1:] not in fits:
            rows = len(array)
            raise file.error(
                f"batch({rows}) returns targets of shape {array.shape}, and the model's output "
                f"{name} with the loss {loss} takes {(rows, *wanted)}"
            )
        if "sparse" in loss and shape[-1] and array.max(initial=0) >= shape[-1]:
            raise file.error(
                f"batch({len(array)}) returns the class {array.max()} among its targets, and the "
                f"model's output {name} tells {shape[-1]} classes, from 0 on"
            )


def outputs_of(model: keras.Model) -> dict[str, tuple[int | None, ...]]:
    """The shape of each output by its name, without the batch; empty where Keras knows none yet."""
    outputs = keras.tree.flatten(_nest(model, "output"))
    if outputs == [None]:
        return {}
    names = getattr(model, "output_names", None) or [str(n) for n in range(1, len(outputs) + 1)]
    return {name: tuple(one.shape[1:]) for name, one in zip(names, outputs, strict=True)}


def losses_of(model: keras.Model) -> list[str]:
    """The name of each output's loss in lower case, such as 'meansquarederror'; '' of others'."""
    outputs = outputs_of(model)
    given = model.loss
    if isinstance(given, dict):
        losses = [given.get(name) for name in outputs]
    elif isinstance(given, list | tuple):
        losses = [*given]
    else:
        losses = [given] * len(outputs)
    return (
        [_loss_name(loss) for loss in losses]
        if len(losses) == len(outputs)
        else [""] * len(outputs)
    )


def _loss_name(loss: Any) -> str:
    """The name of one of Keras's own losses, however it is given."""
    try:
        resolved = keras.losses.get(loss)
    except (ValueError, TypeError):
        return ""
    own = str(getattr(resolved, "__module__", "") or type(resolved).__module__)
    if resolved is None or not own.startswith("keras."):
        return ""
    name = getattr(resolved, "__name__", type(resolved).__name__)
    return str(name).lower().replace("_", "")


def _drawn(file: ModelFile, model: keras.Model, rows: int) -> Batch:
    """Inputs and targets of the model's own shapes."""
    random = np.random.default_rng(0)
    outputs = outputs_of(model)
    inputs = _nest(model, "input")
    symbols = keras.tree.flatten(inputs)
    if not outputs or symbols == [None] or any(None in one.shape[1:] for one in symbols):
        raise file.error("has inputs of no fixed shape: define batch(size) to give them")
    words = [
        one.input_dim for one in model._flatten_layers() if isinstance(one, keras.layers.Embedding)
    ]
    most = min(words, default=2)

    def draw(tensor: Any) -> NDArray[Any]:
        shape, dtype = (rows, *tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype)
        if keras.backend.is_float_dtype(dtype):
            return random.random(shape, dtype=np.float32)
        if dtype == "bool" or keras.backend.is_int_dtype(dtype):
            return random.integers(2 if dtype == "bool" else most, size=shape).astype(dtype)
        raise file.error(f"has an input of {dtype}: define batch(size) to give it")

    targets = [
        _target(random, (rows, *shape), loss)
        for shape, loss in zip(outputs.values(), losses_of(model), strict=True)
    ]
    drawn = keras.tree.map_structure(draw, inputs)
    return Batch(drawn, keras.tree.pack_sequence_as(_nest(model, "output"), targets))


def _nest(model: keras.Model, which: str) -> Any:
    """The symbolic inputs or outputs of a model in their nest; None where Keras knows none yet."""
    try:
        flat = getattr(model, f"{which}s")
        nested = getattr(model, which) if len(flat) > 1 else flat[0]
    except (AttributeError, ValueError, TypeError, IndexError):
        return None
    return nested


def _target(random: np.random.Generator, shape: tuple[int | None, ...], loss: str) -> NDArray[Any]:
    """Targets for an output of a shape, as a loss takes them."""
    whole = tuple(length or 1 for length in shape)
    if "sparse" in loss:
        return random.integers(whole[-1], size=whole[:-1]).astype(np.int32)
    if "categorical" in loss or "kldivergence" in loss:
        return np.eye(whole[-1], dtype=np.float32)[random.integers(whole[-1], size=whole[:-1])]
    if "binary" in loss or "hinge" in loss:
        return random.integers(2, size=whole).astype(np.float32)
    return random.random(whole, dtype=np.float32)
