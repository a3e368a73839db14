"""TensorFlow: one GPU made visible, its memory taken as it is needed."""

import importlib
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from crossover.hardware.pools import ARITHMETIC, count_threads, naming_threads
from crossover.hardware.runtimes.base import BaseRuntime, Call, DeviceError, Event
from crossover.hardware.variables import THREADS
from crossover.records.own import StepCost
from crossover.records.settings import Device

# Their bodies are graphs of their own, which run as often as they turn out to.
LOOPS = {"While", "StatelessWhile", "If", "StatelessIf", "CudnnRNNV3"}
XSPACE = "tensorflow.tsl.profiler.protobuf.xplane_pb2"


class Runtime(BaseRuntime):
    """What TensorFlow does in its own way."""

    step_event = "multi_step_on_iterator"

    def start(self, device: Device) -> str | None:
        self.framework.get_logger().setLevel("ERROR")  # It warns of the tracings of many models.
        config = self.framework.config
        devices = config.list_physical_devices(device.upper())
        if not devices:
            return None
        name = str(devices[0].name).removeprefix("/physical_device:")
        if device == "gpu":
            # In a process that runs the notebook again, both are set and can't be set twice.
            if not config.experimental.get_memory_growth(devices[0]):
                config.set_visible_devices(devices[:1], "GPU")
                config.experimental.set_memory_growth(devices[0], True)
            name = config.experimental.get_device_details(devices[0]).get("device_name", name)
        else:
            self._set_threads()
            with naming_threads(ARITHMETIC):
                config.list_logical_devices()  # Starts the pools; that of arithmetic has no name.
        try:
            with self.framework.device(f"{device.upper()}:0"):
                self._try_a_step()
        except (self.framework.errors.OpError, RuntimeError):
            return None
        return name

    def _set_threads(self) -> None:
        """Refuse a TensorFlow that something else has started, with pools of another size."""
        size, threading = os.environ.get(THREADS[0]), self.framework.config.threading
        try:
            if size is not None:
                threading.set_intra_op_parallelism_threads(int(size))
                threading.set_inter_op_parallelism_threads(int(size))
        except RuntimeError:
            raise DeviceError(
                "tensorflow had started in this process before its threads were set: restart the "
                "kernel, then run all cells; if that does not help, look for a start-up file of "
                "IPython."
            ) from None

    def _try_a_step(self) -> None:
        """Run what a step runs: on a card that is newer than TensorFlow, some of it works."""
        tf = self.framework
        numbers = tf.cast(tf.range(64), "float32")
        drawn = tf.nn.relu(tf.reshape(numbers, (8, 8)) - tf.random.uniform((8, 8)))
        compiled = tf.function(lambda x: tf.nn.relu(x) + 1, jit_compile=True)
        compiled(tf.linalg.matmul(drawn, drawn)).numpy()

    def synchronize(self) -> None:
        self.framework.test.experimental.sync_devices()

    def place(self, tensor: Any) -> str:
        return str(tensor.device).rsplit("device:", 1)[-1]

    def allow_tf32(self, allowed: bool) -> None:
        self.framework.config.experimental.enable_tensor_float_32_execution(allowed)

    def pools(self) -> dict[str, int]:
        named = count_threads()
        counts = {
            ARITHMETIC: named[ARITHMETIC],
            "between operations": named["tf_Compute"],
            "XLA": named["tf_XLAEigen"],
        }
        return {name: count for name, count in counts.items() if count > 0}

    def cuda(self) -> tuple[str | None, str | None]:
        build = self.framework.sysconfig.get_build_info()
        return build.get("cuda_version"), build.get("cudnn_version")

    def architectures(self) -> list[str]:
        build = self.framework.sysconfig.get_build_info()
        return list(build.get("cuda_compute_capabilities", []))

    def step_cost(self, model: Any, inputs: Any, targets: Any) -> StepCost:
        tf = self.framework
        batch = tf.nest.map_structure(tf.convert_to_tensor, (inputs, targets))
        graph = tf.function(model.train_step).get_concrete_function(batch).graph
        operations = graph.get_operations()
        if loops := {one.type for one in operations} & LOOPS:
            raise NotImplementedError(f"TensorFlow counts no loops ({', '.join(sorted(loops))})")
        profiler = tf.compat.v1.profiler
        options = profiler.ProfileOptionBuilder.float_operation()
        options = profiler.ProfileOptionBuilder(options).with_empty_output().build()
        flops = profiler.profile(graph, options=options).total_float_ops
        flops += sum(_einsum_flops(one) for one in operations if one.type == "Einsum")
        moved = sum(_bytes(one) for operation in operations for one in operation.outputs)
        moved += sum(_bytes(one) for operation in operations for one in operation.inputs)
        return StepCost(flops=flops, data_bytes=moved)

    def compiled(self, function: Call, by_xla: bool = True) -> Call:
        graph: Call = self.framework.function(function, jit_compile=by_xla, autograph=False)
        return graph

    def traced(self, function: Call) -> Call:
        return self.compiled(function, by_xla=False)

    def tracing(self, folder: Path) -> AbstractContextManager[Any]:
        profiler = self.framework.profiler.experimental
        options = profiler.ProfilerOptions(host_tracer_level=2, python_tracer_level=0)
        context: AbstractContextManager[Any] = profiler.Profile(str(folder), options)
        return context

    def events(self, trace: Path) -> Iterator[Event]:
        space = importlib.import_module(XSPACE).XSpace()
        space.ParseFromString(trace.read_bytes())
        for plane in space.planes:
            names = {number: meaning.name for number, meaning in plane.event_metadata.items()}
            for line in plane.lines:
                for event in line.events:
                    start = line.timestamp_ns + event.offset_ps / 1e3
                    end = start + event.duration_ps / 1e3
                    yield Event(names[event.metadata_id], line.name, start, end)


def _einsum_flops(operation: Any) -> int:
    """Operations of an Einsum, which TensorFlow's own profiler leaves out: 2 a product."""
    letters = operation.get_attr("equation").decode().split("->")[0].split(",")
    shapes = [tensor.shape.as_list() for tensor in operation.inputs]
    sizes = {
        letter: size
        for own, shape in zip(letters, shapes, strict=True)
        for letter, size in zip(own, shape, strict=True)
    }
    return 2 * int(math.prod(sizes.values()))


def _bytes(tensor: Any) -> int:
    """What a tensor of a known shape holds; none where it is a handle."""
    told = tensor.shape.is_fully_defined() and tensor.dtype.is_numpy_compatible
    return int(tensor.shape.num_elements() * tensor.dtype.size) if told else 0
