"""What can be tested of runs on a GPU without one: their errors, their noise, their place, what is said without one.

The texts are from runs on an NVIDIA H200. What needs a GPU is in tests/gpu.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from course_utils import memory, sandbox
from course_utils.cards import text as text_of
from course_utils.cards.runs import outcome_card
from course_utils.postmortem import Device, End, Limits, Measurement, Outcome, Where, conclude, evidence
from course_utils.sandbox import cuda
from course_utils.sandbox.noise import NoiseFilter

COMPILED = """Graph execution error:

Detected at node StatefulPartitionedCall defined at (most recent call last):
  File "/usr/lib/python3.12/runpy.py", line 198, in _run_module_as_main
  File "/srv/course_utils/sandbox/zygote.py", line 112, in <module>
  File "/srv/course_utils/sandbox/child.py", line 204, in run_cell
  File "cell", line 2, in <module>
  File "/srv/site-packages/keras/src/backend/tensorflow/trainer.py", line 569, in predict

Failed to determine best cudnn convolution algorithm for:
%cudnn-conv-bias-activation.2 = (f32[512,128,48,48]{3,2,1,0}, u8[0]{0}) custom-call(f32[512,3,48,48]{3,2,1,0} %input, \
f32[128,3,5,5]{3,2,1,0} %kernel), window={size=5x5 pad=2_2x2_2}, custom_call_target="__cudnn$convBiasActivationForward"

Original error: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8473018368 bytes.

To ignore this failure and try to use a fallback algorithm (which may have suboptimal performance), use \
XLA_FLAGS=--xla_gpu_strict_conv_algorithm_picker=false. [Op:__inference_one_step_on_data_distributed_1234]"""
EAGER = (
    "{{function_node __wrapped__Conv2D_device_/job:localhost/replica:0/task:0/device:GPU:0}} OOM when allocating "
    "tensor with shape[512,48,48,128] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator "
    "GPU_0_bfc [Op:Conv2D]"
)
UNKNOWN = ("UnknownError", "OpError", "Exception", "BaseException", "object")
EXHAUSTED = ("ResourceExhaustedError", *UNKNOWN[1:])


def died(
    text: str,
    source: str = "model.fit(x, y)",
    kinds: tuple[str, ...] = UNKNOWN,
    gpu_budget_mib: float | None = 512,
    device: Device | None = None,
    reasons: tuple[str, ...] = (),
    seconds: float = 13.0,
) -> Outcome:
    """The outcome of a run that was ended by an exception."""
    limits = Limits(
        budget_mib=8192,
        cap_mib=8192,
        time_limit=60,
        isolation="process",
        method="procfs",
        gpu_budget_mib=gpu_budget_mib,
    )
    end = End("raised", kinds, text, (Where("cell", 2, source),), reasons, gpu_peak_mib=500.0, gpu_in_use_mib=431.0)
    trace = [(0.1 * step, 44.0) for step in range(5)]
    measurement = Measurement(limits, 5.0, 528.0, peak_mib=44.0, seconds=seconds, trace=trace, device=device)
    return conclude(measurement, evidence.Testimony(end=end))


def shown(outcome: Outcome) -> str:
    """All that a reader sees of an outcome."""
    return f"{outcome.post_mortem()}\n{text_of(outcome_card(outcome))}"


@pytest.mark.parametrize("source", ["model.fit(x, y, batch_size=512)", "scores = model.predict(x, batch_size=512)"])
def test_a_compiled_step_that_does_not_fit_is_out_of_gpu_memory(source: str) -> None:
    outcome = died(COMPILED, source)
    assert outcome.status == "out_of_gpu_memory"
    assert outcome.message == "The GPU ran out of memory: Out of memory while trying to allocate 8473018368 bytes."
    assert outcome.allocation == "one block: 8,080 MiB"
    assert source in outcome.traceback
    for word in ("cudnn", "custom-call", "sandbox", "runpy", "XLA_FLAGS", "Detected at node"):
        assert word not in shown(outcome)


def test_the_same_words_without_a_gpu_are_no_matter_of_a_gpu() -> None:
    assert died(COMPILED, gpu_budget_mib=None).status == "raised"
    assert died(COMPILED.replace("RESOURCE_EXHAUSTED: Out of memory while", "INTERNAL: ptxas failed while")).status == (
        "raised"
    )
    on_the_cpu = EAGER.replace("device:GPU:0", "device:CPU:0").replace("GPU_0_bfc", "mklcpu")
    assert died(on_the_cpu, kinds=EXHAUSTED).status == "out_of_memory"


def test_training_is_named_as_the_cause_only_where_something_was_trained() -> None:
    assert "Training keeps" in died(COMPILED, "history = model.fit(x, y)").cause
    for call in ("predict", "evaluate"):
        outcome = died(COMPILED, f"scores = model.{call}(x)")
        assert "Training" not in outcome.cause and f"`{call}()`" in outcome.cause and outcome.cause_lab == "02"


def test_an_error_that_led_to_another_is_cut_to_its_sentence_too() -> None:
    outcome = died(EAGER, kinds=EXHAUSTED, reasons=(f"Because of UnknownError: {COMPILED} (cell, line 1)",))
    assert "custom-call" not in outcome.traceback
    assert "Because of UnknownError: Out of memory while trying to allocate 8473018368 bytes. (cell, line 1)" in (
        outcome.traceback
    )


def test_a_refused_copy_is_out_of_gpu_memory() -> None:
    text = "Failed copying input tensor from CPU:0 to GPU:0 in order to run _EagerConst: Dst tensor is not initialized."
    outcome = died(text, kinds=("InternalError", *UNKNOWN[1:]))
    assert outcome.status == "out_of_gpu_memory" and outcome.message.endswith("Dst tensor is not initialized.")
    assert outcome.cause_lab == "10"


def test_a_card_of_a_gpu_crash_is_about_the_device() -> None:
    device = Device(context_mib=518.0, peak_mib=514.0, trace=[(0.0, 0.0), (0.5, 2.0), (1.0, 514.0), (13.0, 514.0)])
    outcome = died(EAGER, kinds=EXHAUSTED, device=device)
    words = text_of(outcome_card(outcome))
    assert "512 MiB" in words and "431 MiB" in words and "514 MiB" in words and "518 MiB" in words
    assert "float32 array of shape (512, 48, 48, 128): 576 MiB" in words
    assert "full height 514 MiB" in words  # the curve
    assert "10 s" in words  # that the allocator waits
    assert "10 s" not in text_of(outcome_card(died(EAGER, kinds=EXHAUSTED, seconds=4.0)))


def test_a_run_on_the_machine_keeps_the_machines_curve() -> None:
    device = Device(context_mib=518.0, peak_mib=514.0, trace=[(0.0, 0.0), (1.0, 514.0)])
    outcome = died("bad value", kinds=("ValueError", "Exception"), device=device)
    assert "full height 8,192 MiB" in text_of(outcome_card(outcome))


def test_a_run_that_the_driver_caught_is_out_of_gpu_memory_whatever_it_says() -> None:
    limits = Limits(
        budget_mib=100, cap_mib=100, time_limit=60, isolation="process", method="procfs", gpu_budget_mib=512
    )
    device = Device(context_mib=518.0, peak_mib=4610.0, trace=[(0.0, 0.0), (2.0, 4610.0)])
    measurement = Measurement(limits, 5.0, 528.0, seconds=2.0, killed_for="gpu", exit_code=-9, device=device)
    outcome = conclude(measurement, evidence.Testimony(end=End("finished", gpu_peak_mib=1.0)))
    assert outcome.status == "out_of_gpu_memory"
    assert "4,610 MiB" in outcome.message and "512 MiB" in outcome.message and "without it" in outcome.cause


NOISY = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1764160000.123456    4242 gpu_device.cc:2020] Created device /job:localhost/replica:0/task:0/"
    "device:GPU:0 with 512 MB memory:  -> device: 0, name: NVIDIA H200, pci bus id: 0000:1b:00.0, compute capability: "
    "9.0\n"
)


def test_a_learner_does_not_see_the_lines_that_every_run_on_a_gpu_prints() -> None:
    seen: list[str] = []
    code = f"""
import os, time
for part in ("first\\n", "WARNING: All log mess", {NOISY[21:]!r}, "WARNING: mine\\n", "I see"):
    os.write(2, part.encode())
    time.sleep(0.05)
os.write(2, b" it\\nE0000 00:00:1.2 3 cuda.cc:4] serious\\nW");
"""
    listener = sandbox.Listener(output=lambda stream, text: seen.append(text))
    outcome = sandbox.run(code, budget_mib=256, listener=listener)
    assert outcome.stderr == "first\nWARNING: mine\nI see it\nE0000 00:00:1.2 3 cuda.cc:4] serious\nW"
    assert outcome.stderr.startswith("".join(seen)) and "I see" in seen  # at once, also without the end of a line


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_noise_is_found_however_it_is_cut(size: int) -> None:
    text = f"a\n{NOISY}b\n\n{NOISY}c {NOISY}".encode()
    noise = NoiseFilter()
    kept = b"".join(noise.feed(text[start : start + size]) for start in range(0, len(text), size)) + noise.rest()
    first, second = NOISY.encode().splitlines(keepends=True)
    assert kept == b"a\nb\n\nc " + first  # within a line of the learner's it is the learner's


def test_a_line_that_never_ends_is_not_held_back() -> None:
    noise = NoiseFilter()
    assert len(noise.feed(b"I0000 00:00:" + b"1" * 3000)) > 2000


def test_growth_as_colab_sets_it_reaches_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.stop()
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    try:
        outcome = sandbox.run("import os; print(os.environ.get('TF_FORCE_GPU_ALLOW_GROWTH'))", budget_mib=256)
    finally:
        sandbox.stop()
    assert outcome.stdout == "true\n"


@pytest.fixture
def library_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a library of CUDA's that the loader is told of, and that is a link to another folder."""
    if importlib.util.find_spec("nvidia") or cuda.devices():
        pytest.skip("There are CUDA libraries here: tests/gpu tests the real ones.")
    listed, target = tmp_path / "listed", tmp_path / "target"
    for folder in (listed, target, tmp_path / "other"):
        folder.mkdir()
    (target / "libcudnn.so.9.14.0").write_text("a library")
    (listed / "libcudnn.so.9").symlink_to(target / "libcudnn.so.9.14.0")
    (tmp_path / "other" / "libcurl.so.4").write_text("another library")
    (tmp_path / "other" / "secret").write_text("a secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{listed}::{tmp_path / 'other'}:nowhere")
    return tmp_path


def test_cudas_libraries_are_found_where_the_loader_finds_them(library_elsewhere: Path) -> None:
    found = set(cuda.folders())
    assert {library_elsewhere / "listed", library_elsewhere / "target"} <= found
    assert library_elsewhere / "other" not in found and Path.cwd() not in found


@pytest.mark.parametrize("level", ["bwrap", "user"])
def test_a_sandbox_shows_cudas_libraries_only_to_a_run_with_a_gpu_budget(
    level: str, library_elsewhere: Path, program: Callable[[str], str]
) -> None:
    if level == "bwrap":
        program("bwrap")
    if why := sandbox.unavailable(level):
        pytest.skip(f"This host cannot hold {level}: {why}")
    code = f"""
import os
for name in ("listed/libcudnn.so.9", "other/secret"):
    print(os.path.exists(os.path.join({str(library_elsewhere)!r}, name)))
"""
    seen = sandbox.run(code, budget_mib=256, isolation=level, gpu_budget_mib=64)
    assert seen.stdout == "True\nFalse\n", seen.post_mortem()
    if level == "bwrap":
        assert sandbox.run(code, budget_mib=256, isolation=level).stdout == "False\nFalse\n"


CONTEXT_MIB = 200


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stand-in for the driver, which knows what a process holds from a file PID-MIB in a folder that it shows.

    It shows that figures of a driver are used as they should be; that NVML gives such figures, only a GPU can show.
    """

    class Refused(Exception):
        pass

    def running_processes(device: int) -> list[types.SimpleNamespace]:
        if (tmp_path / "refused").exists():
            raise Refused("Insufficient Permissions")
        held = {process.pid: CONTEXT_MIB for process in psutil.Process().children(recursive=True)}
        held |= dict(tuple(map(int, path.name.split("-"))) for path in tmp_path.glob("*-*"))
        return [types.SimpleNamespace(pid=pid, usedGpuMemory=mib * memory.MIB) for pid, mib in held.items()]

    stand_in = types.SimpleNamespace(
        NVMLError=Refused,
        NVMLLibraryMismatchError=Refused,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetComputeRunningProcesses=running_processes,
    )
    monkeypatch.setitem(sys.modules, "pynvml", stand_in)
    memory.gpu._devices.cache_clear()
    yield tmp_path
    memory.gpu._devices.cache_clear()


def holding(folder: Path, mib: int) -> str:
    """Code of a process that holds so much of the device, context and all, for half a minute at most."""
    return f"import os, time\nopen(f'{folder}/{{os.getpid()}}-{mib}', 'w').close()\ntime.sleep(SECONDS)\n"


def test_a_run_is_measured_above_its_context_and_may_hold_the_code_of_libraries(driver: Path) -> None:
    code = holding(driver, CONTEXT_MIB + 300).replace("SECONDS", "0.3")
    outcome = sandbox.run(code, budget_mib=256, gpu_budget_mib=64)
    assert outcome.status == "finished" and outcome.device is not None
    assert (outcome.device.context_mib, outcome.device.peak_mib) == (CONTEXT_MIB, 300)
    assert outcome.device.trace[0][1] == 0 and outcome.device.trace[-1][1] == 300


def test_a_run_is_killed_for_what_its_processes_hold_on_the_device(driver: Path) -> None:
    code = f"import os, time\nif os.fork() == 0:\n{textwrap.indent(holding(driver, 900), '    ')}time.sleep(SECONDS)"
    outcome = sandbox.run(code.replace("SECONDS", "30"), budget_mib=256, gpu_budget_mib=64)
    assert outcome.status == "out_of_gpu_memory" and outcome.seconds < 25
    assert "900 MiB" in outcome.message and "64 MiB" in outcome.message and "without it" in outcome.cause
    assert "full height 900 MiB" in text_of(outcome_card(outcome))


def test_a_driver_that_stops_answering_ends_no_run(driver: Path) -> None:
    code = f"import time\ntime.sleep(0.2)\nopen('{driver}/refused', 'w').close()\ntime.sleep(0.3)"
    outcome = sandbox.run(code, budget_mib=256, gpu_budget_mib=64)
    assert outcome.status == "finished" and outcome.device is not None
    assert "the driver refuses (Insufficient Permissions)" in outcome.device.unread


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="There is a GPU: tests/gpu tests the real one.")
def test_without_a_gpu_one_sentence_says_so_and_a_run_with_a_gpu_budget_finishes() -> None:
    assert "GPU" in memory.GpuMeter.probe() or "nvidia-ml-py" in memory.GpuMeter.probe()
    outcome = sandbox.run("print(1)", budget_mib=256, gpu_budget_mib=64)
    assert outcome.status == "finished" and outcome.stdout == "1\n"
    assert outcome.device is not None and outcome.device.unread.startswith("GPU memory is not read from outside: ")
    with pytest.raises(memory.MeterUnavailable):
        memory.GpuMeter(64).attach(os.getpid())
