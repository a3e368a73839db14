"""MNIST's content is verified each time it is read."""

import gzip

import numpy as np
import pytest

from crossover.paths import MNIST
from crossover.training.mnist import DataSetError, load_mnist, one_hot, scale


@pytest.fixture(scope="module")
def data():
    return load_mnist()


def test_shapes_and_class_counts_are_the_published_ones(data):
    assert data.x_train.shape == (60_000, 28, 28)
    assert data.x_test.shape == (10_000, 28, 28)
    # The counts of the digits that the data set's authors publish.
    assert np.bincount(data.y_test).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


def test_scaling_uses_the_training_range(data):
    scaled = scale(data.x_test)
    assert scaled.dtype == np.float32
    assert scaled.shape == (10_000, 784)
    assert scaled.min() == 0.0
    assert scaled.max() == 1.0
    dim = np.full((1, 28, 28), 51, dtype=np.uint8)
    assert scale(dim)[0, 0] == pytest.approx(0.2)


def test_one_hot_has_a_single_one_a_row(data):
    rows = one_hot(data.y_test)
    assert (rows.sum(axis=1) == 1).all()
    assert (rows.argmax(axis=1) == data.y_test).all()


def altered(data, path, **changes):
    arrays = {**data._asdict(), **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def flip_a_pixel(images):
    changed = images.copy()
    changed[59_999, 27, 27] ^= 1
    return changed


def test_one_changed_pixel_is_found(data, tmp_path):
    path = altered(data, tmp_path / "m.npz", x_train=flip_a_pixel(data.x_train))
    with pytest.raises(DataSetError, match="x_train is not the published MNIST: restore it"):
        load_mnist(path)


def test_an_array_that_lacks_is_named(data, tmp_path):
    with pytest.raises(DataSetError, match="lacks the array y_test"):
        load_mnist(altered(data, tmp_path / "m.npz", y_test=None))


def test_floats_are_not_mnist(data, tmp_path):
    path = altered(data, tmp_path / "m.npz", y_train=data.y_train.astype(float))
    with pytest.raises(DataSetError, match="y_train"):
        load_mnist(path)


@pytest.mark.parametrize("keep", [0, 1, 100, 100_000, 11_000_000])
def test_a_truncated_file_is_one_sentence(tmp_path, keep):
    path = tmp_path / "mnist.npz"
    path.write_bytes(MNIST.read_bytes()[:keep])
    with pytest.raises(DataSetError, match=r"not readable .*: restore it"):
        load_mnist(path)


@pytest.mark.parametrize(
    "content", [b"hello", gzip.compress(b"x" * 1000, mtime=0), b"PK\x03\x04" + b"\0" * 99]
)
def test_a_foreign_file_is_one_sentence(tmp_path, content):
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(DataSetError, match="restore it"):
        load_mnist(path)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(DataSetError, match=r"mnist\.npz is missing: restore it"):
        load_mnist(tmp_path / "mnist.npz")


def test_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataSetError, match="restore it"):
        load_mnist(path)
