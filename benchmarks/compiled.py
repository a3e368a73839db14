"""What a training step becomes on a GPU, told by compiling for one that is not there.

    make compiled                                     all nine widths
    .venv-compiled/bin/python benchmarks/compiled.py 4 1024

JAX's CUDA plugin compiles for an H100 without one; the scheduled program names every kernel. Both
backends' tuned epochs are compiled, as the GPU's packed step and, beside it, as Keras's layers (the
CPU's program), and JAX's published step. TensorFlow's program is TensorFlow's, compiled by JAX's
XLA: TensorFlow brings its own, an older one. Nothing is tuned on the card, which may choose other
products (cuBLAS, other splits) when it compiles. The estimated time is the launches at a stated
cost, and of bytes and products what takes longer at the card's stated rates.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from crossover.problem import CLASSES, IMAGE_PIXELS, TRAIN_IMAGES, WIDTHS
from crossover.records.settings import Settings

IMAGES, BATCH = TRAIN_IMAGES, Settings().batch_size
# The H100's facts are those of XLA's own description of the card (OpenXLA, h100_sxm.txtpb).
CARD = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84942979072 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 13 minor: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
BANDWIDTH = 3.352e12
# FLOP/s of products, dense, from NVIDIA's data sheet of the H100 SXM.
RATES = {"float32": 67e12, "tf32": 495e12}
# A kernel inside a CUDA graph, which XLA makes of a loop's body.
LAUNCH_MICROSECONDS = 1.5
TRIVIAL = {"parameter", "get-tuple-element", "tuple", "constant", "bitcast", "fusion-done", "while",
           "copy-done", "after-all", "add-dependency", "partition-id", "async-done"}  # fmt: skip
SIZES = {"f32": 4, "s32": 4, "u32": 4, "u8": 1, "s8": 1, "pred": 1, "s64": 8, "u64": 8, "bf16": 2}


class Line(NamedTuple):
    """One instruction of a scheduled program."""

    name: str
    shape: str
    opcode: str
    operands: list[str]
    text: str


@dataclass
class Program:
    """The computations of a scheduled program, by name."""

    computations: dict[str, list[Line]] = field(default_factory=dict)
    entry: str = ""

    @classmethod
    def parse(cls, text: str) -> Program:
        """Read XLA's own text of a program."""
        program, current = cls(), None
        for line in text.splitlines():
            if begins := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
                current = program.computations.setdefault(begins[2], [])
                program.entry = begins[2] if begins[1] else program.entry
            elif line.startswith("}"):
                current = None
            elif current is not None and (
                found := re.match(
                    r"\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)", line
                )
            ):
                operands = re.findall(r"%([\w.\-]+)", found[4].split("), ")[0])
                current.append(Line(found[1], found[2], found[3], operands, line))
        return program

    def loops(self) -> list[tuple[str, int]]:
        """The body of each loop, and how often it runs (0 if unknown)."""
        found = []
        for lines in self.computations.values():
            for line in lines:
                if line.opcode == "while":
                    count = re.search(r'known_trip_count":\{"n":"(\d+)"', line.text)
                    body = called(line, "body")
                    found.append((body or "", int(count[1]) if count else 0))
        return found

    def kernels(self, computation: str) -> list[Line]:
        """The instructions of a computation that run on the card."""
        return [line for line in self.computations[computation] if line.opcode not in TRIVIAL]

    def inside(self, line: Line) -> list[Line]:
        """What a kernel is fused of; itself if it is not."""
        name = called(line, "calls")
        return self.computations.get(name or "", [line])

    def products(self, computation: str, line: Line) -> list[tuple[int, str]]:
        """FLOP and precision of the products in a kernel."""
        found = []
        around = [*self.computations[computation], *self.inside(line)]
        shapes = {each.name: each.shape for each in around}
        for each in self.inside(line):
            library = each.opcode == "custom-call" and "matmul" in each.text
            if each.opcode == "dot" or library:
                found.append((dot_flops(each, shapes), precision(each)))
        return found

    def bytes(self, computation: str, line: Line) -> int:
        """The bytes that a kernel reads and writes; of what it looks up, the rows alone."""
        shapes = {each.name: each.shape for each in self.computations[computation]}
        moved, inner = size(line.shape), self.inside(line)
        parameters = [each for each in inner if each.opcode == "parameter"]
        for operand, parameter in zip(line.operands, parameters, strict=False):
            users = [each for each in inner if parameter.name in each.operands]
            looked_up = users and all(
                each.opcode in ("gather", "dynamic-slice", "slice") for each in users
            )
            whole = size(shapes.get(operand, ""))
            moved += min(whole, sum(size(each.shape) for each in users)) if looked_up else whole
        return moved


def called(line: Line, attribute: str) -> str | None:
    """The computation that an instruction names."""
    found = re.search(rf"{attribute}=%?([\w.\-]+)", line.text)
    return found[1] if found else None


def dimensions(shape: str) -> list[int]:
    """Of the first array in a shape."""
    found = re.search(r"\[([\d,]*)\]", shape)
    return [int(number) for number in found[1].split(",") if number] if found else []


def size(shape: str) -> int:
    """Bytes of an array, or of all in a tuple."""
    return sum(
        SIZES.get(kind, 4) * math.prod(int(number) for number in numbers.split(",") if number)
        for kind, numbers in re.findall(r"(\w+)\[([\d,]*)\]", shape)
    )


def dot_flops(line: Line, shapes: dict[str, str]) -> int:
    """Of a product: two for each number of the result and of the dimension that is summed."""
    found = re.search(r'lhs_contracting_dim(?:ension)?s"?[=:][{\[]([\d,"]+)', line.text)
    summed = [int(number) for number in found[1].replace('"', "").split(",")] if found else []
    left = dimensions(shapes.get(line.operands[0], "")) if line.operands else []
    return 2 * math.prod(dimensions(line.shape)) * math.prod(left[each] for each in summed if left)


def precision(line: Line) -> str:
    """What a product's operands may be rounded to on this card.

    XLA's own kernels round only what has no precision of its own; cuBLAS rounds
    what has the precision 'high', too.
    """
    text = line.text.lower()
    kept = "highest" in text or (line.opcode == "dot" and "operand_precision={high" in text)
    return "float32" if kept else "tf32"


def describe(name: str, width: int, text: str) -> dict[str, Any]:
    """One row of the table: the step of a program."""
    program = Program.parse(text)
    loops = [(body, count) for body, count in program.loops() if count > 1]
    step = max(loops, key=lambda loop: len(program.kernels(loop[0])))[0] if loops else program.entry
    kernels = program.kernels(step)
    products = [each for line in kernels for each in program.products(step, line)]
    moved = sum(program.bytes(step, line) for line in kernels)
    kinds = sorted({kind for _, kind in products})
    arithmetic = sum(flops / RATES[kind] for flops, kind in products)
    seconds = len(kernels) * LAUNCH_MICROSECONDS / 1e6 + max(moved / BANDWIDTH, arithmetic)
    data = [line for lines in program.computations.values() for line in lines
            if line.opcode in ("fusion", "copy", "convert", "transpose")
            and size(line.shape) >= IMAGES * IMAGE_PIXELS]  # fmt: skip
    return {
        "program": name,
        "width": width,
        "kernels": len(kernels),
        "products": len(products),
        "loops": " ".join(str(count) for _, count in loops) or "none",
        "outside": len(program.kernels(program.entry)) if loops else 0,
        "MB": f"{moved / 1e6:.2f}",
        "MFLOP": f"{sum(flops for flops, _ in products) / 1e6:.2f}",
        "precision": ", ".join(kinds),
        "copies of the data": len(data),
        "µs a step": f"{seconds * 1e6:.0f}",
    }


class Compiler:
    """JAX's compiler for the card."""

    def __init__(self) -> None:
        import jax
        from jax.experimental import topologies
        from jax.sharding import SingleDeviceSharding

        self.jax = jax
        topology = topologies.get_topology_desc(
            platform="cuda", topology_name="", topology="1x1x1", target_config=CARD
        )
        self.device = topology.devices[0]
        self.place = SingleDeviceSharding(self.device)

    def of_function(self, function: Any, *arguments: Any) -> str:
        """The program of a jitted function for arguments of these shapes."""
        import numpy as np

        def abstract(value: Any) -> Any:
            kind = getattr(value, "dtype", np.asarray(value).dtype)
            return self.jax.ShapeDtypeStruct(np.shape(value), kind, sharding=self.place)

        given = self.jax.tree.map(abstract, arguments)
        return str(function.lower(*given).compile().as_text())

    def of_text(self, text: str) -> str:
        """The program of another framework's StableHLO."""
        from jax._src import compiler
        from jax._src.interpreters import mlir
        from jax._src.lib import xla_client
        from jaxlib.mlir import ir

        with mlir.make_ir_context():
            module = ir.Module.parse(text.replace("mhlo.copy", "stablehlo.optimization_barrier"))
        options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
        compiled = compiler.backend_compile_and_load(
            self.device.client, module, xla_client.DeviceList((self.device,)), options, []
        )
        return str(compiled.hlo_modules()[0].to_string())


def jax_programs(compiler: Compiler, width: int) -> Iterator[tuple[str, str]]:
    """Name and text of each of JAX's programs at a width."""
    import jax
    import numpy as np

    from crossover.hardware.device import set_precision
    from crossover.records.settings import protocol_settings
    from crossover.training import tuned_jax
    from crossover.training.model import build_model
    from crossover.training.tuned import Order

    published = protocol_settings("published", backend="jax")
    set_precision("jax", published.allows_tf32)
    model = build_model(width, published)
    images, labels = (
        np.zeros((BATCH, IMAGE_PIXELS), np.float32),
        np.zeros((BATCH, CLASSES), np.float32),
    )
    model.train_on_batch(images, labels)  # Makes the optimizer's and the metrics' variables.
    groups = (model.trainable_variables, model.non_trainable_variables,
              model.optimizer.variables, model.metrics_variables)  # fmt: skip
    state = tuple([variable.value for variable in group] for group in groups)
    step = jax.jit(model.train_step, donate_argnums=0)
    yield "published, JAX", compiler.of_function(step, state, (images, labels))
    tuned = protocol_settings("tuned", backend="jax")
    set_precision("jax", tuned.allows_tf32)
    for name, kind in (("layers", tuned_jax.LayersProgram), ("packed", tuned_jax.PackedProgram)):
        order = Order(IMAGES, tuned, 0)
        program = kind(build_model(width, tuned), order)
        data = np.zeros((IMAGES, IMAGE_PIXELS), np.uint8), np.zeros(IMAGES, np.uint8), order.next()
        yield (
            f"tuned ({name}), JAX",
            compiler.of_function(program.compiled, program.state, *data),
        )


def write_tensorflow(folder: Path, widths: list[int]) -> None:
    """Write TensorFlow's tuned programs, in a process of its own: Keras has one backend in each."""
    import tensorflow as tf

    from crossover.records.settings import protocol_settings
    from crossover.training import tuned_tensorflow
    from crossover.training.model import build_model
    from crossover.training.tuned import Order

    tuned = protocol_settings("tuned")
    kinds = {"layers": tuned_tensorflow.LayersProgram, "packed": tuned_tensorflow.PackedProgram}
    for width in widths:
        for name, kind in kinds.items():
            order = Order(IMAGES, tuned, 0)
            program = kind(build_model(width, tuned), order)
            if isinstance(program, tuned_tensorflow.LayersProgram):
                program.halves = [slice(BATCH)]  # Halves are for CPUs.
            data = (
                tf.zeros((IMAGES, IMAGE_PIXELS), tf.uint8),
                tf.zeros(IMAGES, tf.uint8),
                order.next(),
            )
            text = program.compiled.experimental_get_compiler_ir(*data)(stage="stablehlo")
            (folder / f"{name}-{width}.mlir").write_text(text, encoding="utf-8")


def rows(widths: list[int]) -> Iterator[dict[str, Any]]:
    """The table's rows as they are compiled."""
    compiler = Compiler()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--tensorflow", folder, *map(str, widths)]
        variables = os.environ | {"KERAS_BACKEND": "tensorflow"}
        subprocess.run(command, check=True, env=variables)
        for width in widths:
            for name, text in jax_programs(compiler, width):
                yield describe(name, width, text)
            for name in ("layers", "packed"):
                text = (Path(folder) / f"{name}-{width}.mlir").read_text(encoding="utf-8")
                yield describe(f"tuned ({name}), TensorFlow", width, compiler.of_text(text))


def main(words: list[str]) -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("widths", type=int, nargs="*", default=WIDTHS)
    parser.add_argument("--tensorflow", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.tensorflow:
        write_tensorflow(given.tensorflow, given.widths)
        return
    import jax

    print(f"JAX {jax.__version__}, compiled for an H100; {LAUNCH_MICROSECONDS} µs a kernel, "
          f"{BANDWIDTH / 1e12:.2f} TB/s, {RATES['float32'] / 1e12:.0f} TFLOP/s in float32 and "
          f"{RATES['tf32'] / 1e12:.0f} in TF32\n")  # fmt: skip
    for number, row in enumerate(rows(given.widths)):
        if number == 0:
            print("|", " | ".join(row), "|\n|" + "---|" * len(row))
        print("|", " | ".join(map(str, row.values())), "|", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "jax")
    # The plugin looks for a card's driver and its libraries, which compiling does not need.
    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(sys.argv[1:])
