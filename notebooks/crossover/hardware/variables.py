"""Environment variables by what becomes of them: set by us, not heeded, or heeded and recorded."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossover.words import printable

# Left as they are where the user has set them.
DEFAULTS = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "1"}
# Each names the size of a pool: all are set to what the trial uses. XLA for CPUs reads NPROC.
THREADS = (
    "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC", "OMP_NUM_THREADS",
    "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
# Nobody means these for a benchmark: other sizes of pools, tools for finding faults, and
# arithmetic and compiling, which are settings here.
NOT_HEEDED = (
    "PJRT_NPROC", "GOTO_NUM_THREADS", "OMP_DYNAMIC", "OMP_THREAD_LIMIT", "MKL_DYNAMIC",
    "MKL_DOMAIN_NUM_THREADS", "MKL_VERBOSE", "OPENBLAS_VERBOSE", "ONEDNN_VERBOSE",
    "DNNL_VERBOSE", "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE",
    "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUDA_LAUNCH_BLOCKING",
    "TF_XLA_FLAGS", "TF_FUNCTION_JIT_COMPILE_DEFAULT", "TF_DUMP_GRAPH_PREFIX",
    "TF_CPP_MAX_VLOG_LEVEL", "TF_CPP_VMODULE", "TORCH_LOGS", "TF_SET_ONEDNN_FPMATH_MODE",
    "TF_OVERRIDE_GLOBAL_THREADPOOL",
)  # fmt: skip
# So are all of JAX's and Keras's own, but those that choose backend and device.
FAMILIES = ("JAX_", "KERAS_", "TF_AUTO_MIXED_PRECISION_")
CHOOSING = (
    "JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_CUDA_VISIBLE_DEVICES",
    "JAX_ROCM_VISIBLE_DEVICES", "KERAS_BACKEND", "KERAS_HOME", "KERAS_TORCH_DEVICE",
)  # fmt: skip
# Parts of XLA's flags that are not heeded either: caches, dumps, and threads.
XLA_PARTS = ("cache", "dump", "multi_thread_eigen", "parallelism_threads", "platform_device_count")
# These change time or arithmetic and may be meant: they are heeded, and stand in the record.
RECORDED = (
    "XLA_FLAGS", "XLA_PYTHON_CLIENT_ALLOCATOR", "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "TF_ENABLE_ONEDNN_OPTS", "TF_DISABLE_MKL", "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC",
    "TF_CUDNN_USE_AUTOTUNE", "TF_CUDNN_USE_FRONTEND", "TF_GPU_ALLOCATOR", "TF_GPU_THREAD_MODE",
    "TF_GPU_THREAD_COUNT", "TF_CPU_ALLOCATOR_USE_BFC", "TF_NUMA_ENABLED", "TF_USE_CUBLASLT",
    "CUDA_MODULE_LOADING", "CUDA_DEVICE_MAX_CONNECTIONS", "CUDA_FORCE_PTX_JIT",
    "CUDA_CACHE_DISABLE", "CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_WORKSPACE_SIZE",
    "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING", "TORCHINDUCTOR_MAX_AUTOTUNE",
    "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE", "MKL_THREADING_LAYER", "MKL_INTERFACE_LAYER", "OPENBLAS_CORETYPE",
    "OPENBLAS_MAIN_FREE", "OPENBLAS_THREAD_TIMEOUT", "OMP_PROC_BIND", "OMP_PLACES",
    "OMP_WAIT_POLICY", "OMP_SCHEDULE", "OMP_STACKSIZE", "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT",
    "KMP_AFFINITY", "KMP_BLOCKTIME", "KMP_SETTINGS", "KMP_HW_SUBSET",
    "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES", "PYTHONMALLOC", "PYTHONDEVMODE",
    "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX",
    "MALLOC_ARENA_TEST", "MALLOC_CHECK_", "MALLOC_CONF", "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_", "MALLOC_PERTURB_", "MALLOC_TOP_PAD_", "MALLOC_TRIM_THRESHOLD_",
    "TCMALLOC_RELEASE_RATE", "TF_FP16_MATMUL_USE_FP32_COMPUTE", "TF_ENABLE_ZENDNN_OPTS",
    "TF_DISABLE_JIT_KERNELS", "TF_MATMUL_AUTOTUNE_ENABLE",
    "TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD", "TF_ONEDNN_USE_SYSTEM_ALLOCATOR",
    "TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE", "TF_USE_EIGEN_PARALLEL_FOR_IN_WORK_SHARDER",
    "TF_SYNC_ON_FINISH", "TF_ENABLE_GPU_GARBAGE_COLLECTION",
    "TF_CUBLAS_WORKSPACE_LIMIT_IN_MB", "TF_ENABLE_ONEDNN_SPMM",
    "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "TF_MKL_ALLOC_MAX_BYTES",
)  # fmt: skip
LONGEST_VALUE = 200
KERAS_DEFAULTS = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def recorded_environment(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What is heeded of the environment and is not the default, fit to be shown to anybody."""
    given = {name: variables.get(name, "") for name in RECORDED}
    given["XLA_FLAGS"] = heeded_flags(given["XLA_FLAGS"])
    shown = {name: cleaned(value) for name, value in given.items()}
    return {name: text for name, text in shown.items() if text and text != DEFAULTS.get(name)}


def ignored_environment(threads: int, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the user has set that a training with so many threads does not heed."""
    ignored = {
        name: value
        for name, value in variables.items()
        if is_cleared(name) or (name in THREADS and value != str(threads))
    }
    flags = variables.get("XLA_FLAGS", "")
    heeded = heeded_flags(flags).split()
    ignored["XLA_FLAGS"] = " ".join(word for word in flags.split() if word not in heeded)
    return {name: text for name, value in sorted(ignored.items()) if (text := cleaned(value))}


def ignored_keras_file(variables: Mapping[str, str] = os.environ) -> list[str]:
    """The settings of Keras's configuration file that are not Keras's own, and not heeded."""
    try:
        home = variables.get("KERAS_HOME") or Path.home() / ".keras"
        settings: Any = json.loads((Path(home) / "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):  # The last where a user has no home.
        return []
    if not isinstance(settings, dict):
        return []
    return [
        printable(f"{name} {settings[name]}", 60)
        for name, value in KERAS_DEFAULTS.items()
        if settings.get(name, value) != value
    ]


def cleaned(value: str) -> str:
    """A variable's value without line breaks, paths or names of people, of bounded length.

    Of a path, only the name of a library is kept. What is cut off is told by a digest, so that two
    values that differ stay two.
    """
    text = printable(" ".join(re.sub(r"[^\s:=,;\"']+", _shown, value).split()))
    if len(text) <= LONGEST_VALUE:
        return text
    digest = hashlib.sha256(value.encode(errors="replace")).hexdigest()[:8]
    return f"{text[: LONGEST_VALUE - 11]}... {digest}"[:LONGEST_VALUE]


def _shown(word: re.Match[str]) -> str:
    if not set("/\\~@") & set(word[0]):
        return word[0]
    name = re.split(r"[/\\]", word[0])[-1]
    return name if re.fullmatch(r"[\w.+-]+\.(so[\d.]*|dylib|dll)", name) else "(path)"


def is_cleared(name: str) -> bool:
    """Whether a variable is removed before a framework is imported."""
    return name in NOT_HEEDED or (name.startswith(FAMILIES) and name not in CHOOSING)


def heeded_flags(flags: str) -> str:
    """XLA's flags that are heeded; a word that is no flag names a file of more."""
    words = (word for word in flags.split() if word.startswith("--"))
    return " ".join(word for word in words if not any(part in word for part in XLA_PARTS))
