"""MNIST: where it lies, how its content is verified, how it is scaled."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossover.errors import CrossoverError
from crossover.paths import MNIST
from crossover.problem import CLASSES, IMAGE_PIXELS

# SHA-256 of the four original files in IDX format, header included and
# uncompressed, as Yann LeCun and Corinna Cortes published them.
DIGESTS = {
    "x_train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "y_train": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "x_test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "y_test": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
REMEDY = "restore it with 'git checkout data/mnist.npz' or download the project again"


class DataSetError(CrossoverError):
    """MNIST is missing, unreadable, or not the MNIST that was published."""


class Mnist(NamedTuple):
    """Images as uint8 (n, 28, 28), labels as uint8 (n,); 60,000 to train on, 10,000 to test."""

    x_train: NDArray[np.uint8]
    y_train: NDArray[np.uint8]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.uint8]


def load_mnist(path: Path = MNIST) -> Mnist:
    """Read MNIST, a NumPy archive with Keras's keys, and verify it against the published files.

    Raises `DataSetError` if the file is missing, unreadable, or an array differs.
    """
    arrays = _read_arrays(path)
    for name, expected in DIGESTS.items():
        if name not in arrays:
            raise DataSetError(f"{path.name} lacks the array {name}: {REMEDY}.")
        if _idx_digest(arrays[name]) != expected:
            raise DataSetError(f"{path.name}: {name} is not the published MNIST: {REMEDY}.")
    return Mnist(**arrays)


def _read_arrays(path: Path) -> dict[str, NDArray[np.uint8]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in DIGESTS if name in archive.files}
    except FileNotFoundError:
        raise DataSetError(f"The data set {path.name} is missing: {REMEDY}.") from None
    except Exception as error:  # A damaged archive makes NumPy raise nearly anything.
        reason = type(error).__name__
        raise DataSetError(f"{path.name} is not readable ({reason}): {REMEDY}.") from None
    # NumPy hands out a member that is no array as bytes.
    return {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}


def _idx_digest(array: NDArray[np.uint8]) -> str:
    """SHA-256 of the array as an IDX file: magic number, sizes, bytes."""
    if array.dtype != np.uint8:
        return "not uint8"
    header = np.array([0x0800 + array.ndim, *array.shape], dtype=">u4").tobytes()
    digest = hashlib.sha256(header)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def scale(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Flatten images to (n, 784) and map the training range 0–255 to 0–1.

    The minimum and maximum are the training set's (0 and 255), for the test set too: the published
    study scaled the test set by its own.
    """
    pixels = images.reshape(len(images), IMAGE_PIXELS)
    return np.divide(pixels, np.float32(255), dtype=np.float32)


def one_hot(labels: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Labels 0–9 of shape (n,) as one-hot rows of shape (n, 10)."""
    rows: NDArray[np.float32] = np.eye(CLASSES, dtype=np.float32)[labels]
    return rows
