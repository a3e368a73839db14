"""The profiler's events: each moment counts once, against a count moment by moment."""

import time
from contextlib import contextmanager

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossover.hardware.runtimes.base import Event
from crossover.records.ceilings import KINDS
from crossover.records.settings import protocol_settings
from crossover.training import profiler
from crossover.training.model import build_model
from crossover.training.profiler import StepClock, covered, kind_of, profile_step, step_profile

WORKER, STEP = "tf_Compute/1", "multi_step_on_iterator"


def test_a_step_is_split_by_the_first_kind_that_any_thread_is_in():
    events = [
        Event(STEP, "python", 0, 1000),
        Event("ExecutorState::Process", WORKER, 100, 700),
        Event("_MklMatMul", WORKER, 200, 300),
        Event("Softmax", "tf_Compute/2", 250, 400),  # 250 to 300 beside the product
        Event("IteratorGetNextOp::DoCompute", "tf_data_iterator_get_next/3", 350, 500),
        Event("GatherV2", "tf_data_private_threadpool/4", 0, 1900),  # works ahead
        Event(STEP, "python", 1500, 1600),
        Event(STEP, "python", 1510, 1590),  # inside the one before
        Event("_MklMatMul", WORKER, 1550, 1600),  # after the last whole step
    ]
    profile = step_profile(events, STEP)
    assert profile.steps == 1
    assert {kind: seconds * 1e9 for kind, seconds in profile.seconds.items()} == pytest.approx(
        {
            "matrix products": 100,
            "other arithmetic": 100,
            "copying to the device": 0,
            "copying from the device": 0,
            "waiting for a batch": 100,
            "starting operations": 700,
            "Python": 500,
        }
    )
    assert profile.step_seconds * 1e9 == pytest.approx(1500)


@pytest.mark.parametrize(
    ("thread", "name", "kind"),
    [
        (WORKER, "_MklNativeFusedMatMul", "matrix products"),
        ("tf_XLAEigen/5", "dot.3", "matrix products"),
        ("tf_XLAEigen/5", "ynn_fusion.6", "matrix products"),
        ("Stream #13", "sm90_xmma_gemm_f32f32_tn", "matrix products"),
        ("Stream #13", "MemcpyH2D", "copying to the device"),
        ("Stream #13", "MEMCPYHtoD", "copying to the device"),
        ("python", "cuMemcpyHtoDAsync_v2", "copying to the device"),
        ("Stream #13", "MemcpyD2H", "copying from the device"),
        ("python", "cuMemcpyDtoHAsync_v2", "copying from the device"),
        ("Stream #13", "MemcpyD2D", "other arithmetic"),
        ("Stream #13", "Memset", "other arithmetic"),
        (
            "Stream #13",
            "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_128x64>(Params)",
            "matrix products",
        ),
        (
            "Stream #13",
            "void gemmSN_NN_kernel<float, 128, 2>(cublasGemmSmallNParams<float>)",
            "matrix products",
        ),
        (
            "Stream #13",
            "void cublasLt::splitKreduce_kernel<32, 16, int>(cublasLt::Params)",
            "matrix products",
        ),
        (
            "Stream #13",
            "void gemv2T_kernel_val<int, float, 128>(cublasGemvParams)",
            "matrix products",
        ),
        ("Stream #13", "gemm_fusion_dot_general_25", "matrix products"),
        (
            "Stream #13",
            "void Eigen::internal::EigenMetaKernel<Eigen::TensorEvaluator<Relu>>(int)",
            "other arithmetic",
        ),
        (
            "Stream #13",
            "void tensorflow::functor::ApplyAdamKernel<float>(int, float*, float*)",
            "other arithmetic",
        ),
        (WORKER, "tensorflow::functor::ApplyAdam", "starting operations"),
        ("python", "cuLaunchKernel", "starting operations"),
        ("python", "DevicePut", "copying to the device"),
        ("python", "EagerCopyToDevice", "copying to the device"),
        ("Stream #13", "loop_add_fusion_4", "other arithmetic"),
        (WORKER, "SoftmaxCrossEntropyWithLogits", "other arithmetic"),
        (WORKER, "ThreadpoolListener::Record", "starting operations"),
        ("tf_XLAEigen/5", "ThunkExecutor::Execute (wait for completion)", "starting operations"),
        ("python", "EagerExecute", "starting operations"),
        ("tf_data_iterator_get_next/3", "Iterator::Root", "waiting for a batch"),
        ("tf_data_private_threadpool/4", "GatherV2", None),
        ("XLA Ops", "loop_add_fusion_4", None),
    ],
)
def test_kinds_of_events(thread, name, kind):
    assert kind_of(Event(name, thread, 0, 1)) == kind


def test_a_trace_without_steps_is_refused():
    with pytest.raises(ValueError, match="no steps"):
        step_profile([Event(STEP, "python", 0, 1)], STEP)


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12)


@given(spans)
def test_the_union_is_what_a_count_of_moments_finds(found):
    moments = np.zeros(100, bool)
    for start, length in found:
        moments[start : start + length] = True
    ends = np.array([(start, start + length) for start, length in found], float)
    assert covered(ends.reshape(-1, 2)) == moments.sum()


def test_a_real_step_is_profiled_and_adds_up():
    profile = profile_step("tensorflow", "cpu", 256, 128)
    assert profile is not None
    assert set(profile.seconds) == set(KINDS)
    assert 20 < profile.steps < 120
    assert 1e-4 < profile.step_seconds < 10
    assert 1e-4 < profile.untraced_seconds < 10
    # At this width the products of one step are 0.2 GFLOP, and no moment counts twice.
    assert 0.01 < profile.seconds["matrix products"] / profile.step_seconds < 0.99


class Slow(keras.callbacks.Callback):
    """Takes 300 ms to begin a fit and 20 ms a step."""

    def on_epoch_begin(self, epoch, logs=None):
        time.sleep(0.3)

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.02)


def test_the_step_without_the_profiler_holds_all_of_a_step_and_nothing_of_the_fits_start():
    settings = protocol_settings("published", batch_size=32, epochs=1)
    model, clock = build_model(4, settings), StepClock()
    images, labels = np.zeros((160, 784), np.float32), np.eye(10, dtype=np.float32)[[0] * 160]
    for _ in range(2):  # A clock forgets the fit before.
        started = time.perf_counter()
        model.fit(images, labels, batch_size=32, verbose=0, callbacks=[clock, Slow()])
        whole = time.perf_counter() - started
        steps = clock.steps()
        assert len(steps) == 160 // 32 - 1
        assert steps.min() >= 0.02
        assert steps.sum() <= whole - 0.3


def test_the_same_fit_runs_just_before_it_is_traced(monkeypatch):
    """Its seconds are kept, and those of the traced one are not."""
    happened, seconds = [], iter([2.5, 9.9])

    class Traced:
        @contextmanager
        def tracing(self, folder):
            (folder / "a.xplane.pb").touch()
            happened.append("begin")
            yield
            happened.append("end")

        def events(self, trace):
            return [Event(STEP, "python", start, start + 1) for start in (0, 1000)]

    def fit():
        happened.append("fit")
        return next(seconds)

    monkeypatch.setattr(profiler, "runtime", lambda _: Traced())
    monkeypatch.setattr(profiler, "_published_fit", lambda *_: None)
    monkeypatch.setattr(profiler, "_short", lambda *_: fit)
    profile = profile_step("tensorflow", "cpu", 4, 128)
    assert happened == ["fit", "begin", "fit", "end"]
    assert profile.untraced_seconds == 2.5
    assert profile.step_seconds * 1e9 == pytest.approx(1000)


def test_a_trace_without_the_gpu_is_no_profile_of_it(capsys):
    """The host's events alone would call the GPU's work something else."""
    assert profile_step("tensorflow", "gpu", 4, 128) is None
    assert "nothing of the GPU" in capsys.readouterr().out


def test_torch_has_no_profile():
    assert profile_step("torch", "cpu", 4, 128) is None
