"""Copies from pinned memory: what each backend is asked for, and what comes of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from crossover.hardware.runtimes import jax, tensorflow, torch

BLOCK = np.arange(6, dtype=np.float32)


class FakeJax:
    """JAX with one device and its memories; what is put where is kept."""

    def __init__(self, platform, *kinds):
        memories = [SimpleNamespace(kind=kind) for kind in kinds]
        self.device = SimpleNamespace(platform=platform, addressable_memories=lambda: memories)
        self.sharding = SimpleNamespace(SingleDeviceSharding=lambda _, memory_kind: memory_kind)
        self.put = []

    def devices(self):
        return [self.device]

    def device_put(self, block, memory):
        self.put.append((block, memory))
        return f"in {memory}"

    def block_until_ready(self, result):
        return result


def test_jax_copies_from_its_pinned_memory_to_the_devices():
    framework = FakeJax("gpu", "device", "pinned_host")
    copy = jax.Runtime(framework).pinned_copy(BLOCK)
    assert [memory for _, memory in framework.put] == ["pinned_host"]
    assert framework.put[0][0] is BLOCK
    assert [copy(), copy()] == ["in device"] * 2
    assert framework.put[1:] == [("in pinned_host", "device")] * 2


@pytest.mark.parametrize(
    "framework",
    [FakeJax("cpu", "device", "pinned_host"), FakeJax("gpu", "device"), FakeJax("gpu", "other")],
)
def test_jax_has_no_such_copy_on_a_cpu_or_without_such_memory(framework):
    assert jax.Runtime(framework).pinned_copy(BLOCK) is None
    assert framework.put == []


def test_jax_itself_takes_what_it_is_asked_for():
    """The device is passed off as a GPU: a CPU's memories have the same names."""
    real = pytest.importorskip("jax", reason="jax is not installed: make test BACKEND=jax")
    device = real.devices()[0]
    named = SimpleNamespace(platform="gpu", addressable_memories=device.addressable_memories)

    def sharding(_, memory_kind):
        return real.sharding.SingleDeviceSharding(device, memory_kind=memory_kind)

    framework = SimpleNamespace(
        devices=lambda: [named],
        sharding=SimpleNamespace(SingleDeviceSharding=sharding),
        device_put=real.device_put,
        block_until_ready=real.block_until_ready,
    )
    copied = jax.Runtime(framework).pinned_copy(BLOCK)()
    assert copied.sharding.memory_kind == "device"
    np.testing.assert_array_equal(copied, BLOCK)


class FakeTensor:
    """A tensor of PyTorch's that tells what was done to it."""

    def __init__(self, *done):
        self.done = done

    def pin_memory(self):
        return FakeTensor(*self.done, "pinned")

    def to(self, device, non_blocking=False):
        return FakeTensor(*self.done, device, non_blocking)


@pytest.mark.parametrize("available", [True, False])
def test_torch_pins_once_and_copies_without_blocking(available):
    taken = []

    def from_numpy(block):
        taken.append(block)
        return FakeTensor("numpy")

    cuda = SimpleNamespace(is_available=lambda: available)
    copy = torch.Runtime(SimpleNamespace(cuda=cuda, from_numpy=from_numpy)).pinned_copy(BLOCK)
    if not available:
        assert copy is None
        assert taken == []
        return
    assert [copy().done, copy().done] == [("numpy", "pinned", "cuda", True)] * 2
    assert len(taken) == 1
    assert taken[0] is BLOCK


def test_tensorflow_has_none():
    assert tensorflow.Runtime(None).pinned_copy(BLOCK) is None
