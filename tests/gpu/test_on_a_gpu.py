"""All that needs a GPU: ``make gpu``, or ``python -m pytest tests/gpu``. It takes minutes and ends with a table.

Not run yet: commit 5556f52 was the last of which anything ran on a GPU. A first run may have to correct these tests.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import nbformat
import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import PAST_TENSORFLOW, THROUGH_TENSORFLOW
from course_utils import memory, sandbox
from course_utils.cards import text as text_of
from course_utils.cards.runs import outcome_card
from course_utils.memory.gpu import LIBRARIES_MIB, held_mib
from course_utils.postmortem import Outcome
from tools import ROOT

if NO_GPU := memory.GpuMeter.probe():
    pytest.skip(f"These tests need an NVIDIA GPU: {NO_GPU}.", allow_module_level=True)

pytestmark = pytest.mark.trains

MODEL = """
import keras
import numpy as np

keras.utils.set_random_seed(0)
model = keras.Sequential([
    keras.layers.Input((96, 96, 3)),
    keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
    keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
x, y = np.zeros((COUNT, 96, 96, 3), "uint8"), np.zeros(COUNT)
"""
SEES = """
import glob
import tensorflow as tf
print(len(tf.config.list_physical_devices("GPU")) > 0, len(glob.glob("/dev/nvidia[0-9]*")) > 0)
"""


@pytest.fixture(scope="module")
def row(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """``row(what, measured)`` adds a line to the table that is printed after the last test."""
    query = "nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader"
    device = subprocess.run(query.split(), capture_output=True, text=True).stdout.strip()
    table = Table("what", "measured", title=f"On {device}")
    yield lambda what, *measured: table.add_row(what, ", ".join(map(str, measured)))
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        Console(width=150).print("\n", table)


def run(code: str, gpu_budget_mib: float | None = 512, isolation: str = "process") -> Outcome:
    return sandbox.run(code, budget_mib=4096, time_limit=120, gpu_budget_mib=gpu_budget_mib, isolation=isolation)


def account(outcome: Outcome) -> str:
    """The figures of an outcome for the table."""
    device = outcome.device
    assert device is not None and not device.unread, device and device.unread
    allocator = "none" if outcome.gpu_peak_mib is None else f"{outcome.gpu_peak_mib:.0f}"
    driver = f"driver {device.peak_mib:.0f} MiB above {device.context_mib:.0f}"
    machine = f"machine {outcome.peak_mib:.0f} MiB above {outcome.baseline_mib:.0f}"
    return f"{outcome.status} after {outcome.seconds:.1f} s; {driver}; allocator {allocator}; {machine}"


def test_the_driver_counts_the_pool_and_the_allocator_what_is_in_it(row: Callable[..., None]) -> None:
    outcome = run(THROUGH_TENSORFLOW.replace("MIB", "200"))
    row("200 MiB through TensorFlow, budget 512", account(outcome))
    assert outcome.status == "finished" and outcome.gpu_peak_mib == pytest.approx(200, abs=8)
    assert outcome.device.context_mib > 0
    growing = os.environ.get("TF_FORCE_GPU_ALLOW_GROWTH") == "true"
    assert outcome.device.peak_mib > (190 if growing else 500) and outcome.device.peak_mib < 512 + LIBRARIES_MIB
    assert outcome.stderr == ""  # no noise


def test_growth_of_the_pool_is_seen_from_outside(row: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.stop()
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    outcome = run(THROUGH_TENSORFLOW.replace("MIB", "100"))
    sandbox.stop()
    row("100 MiB, with growth", account(outcome))
    assert outcome.status == "finished" and 90 < outcome.device.peak_mib < 450


def test_what_is_taken_past_tensorflow_is_seen_and_too_much_of_it_ends_the_run(row: Callable[..., None]) -> None:
    little = run(PAST_TENSORFLOW.replace("MIB", "300"))
    row("300 MiB past TensorFlow", account(little))
    assert little.status == "finished" and little.device.peak_mib == pytest.approx(300, abs=40)
    much = run(PAST_TENSORFLOW.replace("MIB", "4096").replace("0.3", "30"))
    row("4,096 MiB past TensorFlow", account(much))
    assert much.status == "out_of_gpu_memory" and much.seconds < 20 and "without it" in much.cause


def test_a_run_that_raises_its_own_limit_is_killed(row: Callable[..., None]) -> None:
    outcome = run(
        "import time\nimport tensorflow as tf\n"
        "gpu = tf.config.list_physical_devices('GPU')[0]\n"
        "limit = tf.config.LogicalDeviceConfiguration(memory_limit=5000)\n"
        "tf.config.set_logical_device_configuration(gpu, [limit])\n"
        "a = tf.ones((4000, 2**18))\ntime.sleep(30)"
    )
    row("its limit raised to 5,000", account(outcome))
    assert outcome.status == "out_of_gpu_memory"


def test_a_refused_tensor_shows_the_device(row: Callable[..., None]) -> None:
    outcome = run("import tensorflow as tf\na = tf.ones((100, 2**18))\nb = tf.ones((2000, 2**18))")
    row("2,000 MiB of a budget of 512", account(outcome), outcome.message)
    assert outcome.status == "out_of_gpu_memory" and outcome.where.line == 3
    assert outcome.gpu_in_use_mib == pytest.approx(100, abs=8)
    assert outcome.allocation == "float32 array of shape (2000, 262144): 2,000 MiB"
    assert "512 MiB" in text_of(outcome_card(outcome)) and len(outcome.device.trace) > 2


@pytest.mark.parametrize("call", ["fit(x, y, batch_size=1024, verbose=0)", "predict(x, batch_size=1024, verbose=0)"])
def test_a_compiled_step_that_does_not_fit_is_explained(call: str, row: Callable[..., None]) -> None:
    outcome = run(f"{MODEL.replace('COUNT', '1024')}answers = model.{call}")
    row(f"model.{call[:7]}... of 1,024 images", account(outcome), outcome.message)
    assert outcome.status == "out_of_gpu_memory" and f"model.{call}" in outcome.where.source
    assert ("Training keeps" in outcome.cause) == call.startswith("fit")
    for word in ("custom-call", "%cudnn", "course_utils/sandbox"):
        assert word not in outcome.post_mortem()


def test_an_array_that_does_not_fit_is_explained(row: Callable[..., None]) -> None:
    outcome = run(
        f"{MODEL.replace('COUNT', '8000').replace('uint8', 'float32')}answers = model.fit(x, y, batch_size=1)"
    )
    row("an array of 844 MiB given to fit", account(outcome), outcome.message)
    assert outcome.status == "out_of_gpu_memory" and outcome.cause_lab == "10"


def test_a_model_that_fits_is_not_killed_for_the_code_of_libraries(row: Callable[..., None]) -> None:
    code = f"{MODEL.replace('COUNT', '256')}history = model.fit(x, y, batch_size=32, verbose=0)"
    outcome = run(code, gpu_budget_mib=2048)
    row("a model with convolutions, budget 2,048", account(outcome))
    assert outcome.status == "finished", outcome.post_mortem()


def test_threads_can_be_set_although_the_context_is_there(row: Callable[..., None]) -> None:
    outcome = run(
        "import tensorflow as tf\ntf.config.threading.set_inter_op_parallelism_threads(1)\n"
        "print(tf.reduce_sum(tf.ones((4, 4))).device[-5:])"
    )
    row("threads set in a run", outcome.stdout)
    assert outcome.stdout == "GPU:0\n", outcome.post_mortem()


@pytest.mark.parametrize("level", sandbox.LEVELS)
def test_a_run_sees_the_gpu_only_with_a_budget_for_it(level: str, row: Callable[..., None]) -> None:
    if why := sandbox.unavailable(level):
        pytest.skip(f"This host cannot hold {level}: {why}")
    seen, hidden = run(SEES, isolation=level), run(SEES, gpu_budget_mib=None, isolation=level)
    row(f"isolation {level}", f"with a budget {seen.stdout!r}, without {hidden.stdout!r}")
    assert seen.stdout == "True True\n", seen.post_mortem()
    assert hidden.stdout == f"False {level != 'bwrap'}\n"
    product = run(THROUGH_TENSORFLOW.replace("MIB", "50"), isolation=level)
    row(f"50 MiB under {level}", account(product))
    assert product.status == "finished"


def test_nothing_of_a_run_is_left_on_the_device() -> None:
    before = set(held_mib())
    run(THROUGH_TENSORFLOW.replace("MIB", "50"))
    run(PAST_TENSORFLOW.replace("MIB", "4096").replace("0.3", "30"))
    assert set(held_mib()) <= before


@pytest.mark.parametrize(
    ("lab", "into", "words"),
    [
        ("10_device_memory_and_accumulation", "fragmented", ["Full with", "64 MiB at once: refused"]),
        ("08_mixed_precision", "on_gpu", ["float32:", "mixed_float16:"]),
    ],
)
def test_the_labs_cells_for_a_gpu_run(lab: str, into: str, words: list[str], row: Callable[..., None]) -> None:
    cells = [cell.source for cell in nbformat.read(ROOT / "labs" / f"{lab}.ipynb", 4).cells]
    (cell,) = [source for source in cells if f"--into {into}" in source]
    magic, _, code = cell.partition("\n")
    imports = "import keras\nimport numpy as np\nimport tensorflow as tf\n"
    outcome = run(imports + code, gpu_budget_mib=float(magic.partition("--gpu-budget ")[2].split()[0]))
    row(f"lab {lab[:2]}, `{into}`", account(outcome), outcome.stdout.strip().replace("\n", "; "))
    assert outcome.status == "finished", outcome.post_mortem()
    assert all(word in outcome.stdout for word in words)
