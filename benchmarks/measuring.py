"""Test every method of measuring memory that this host allows: ``python benchmarks/measuring.py``.

Each row runs code in a sandbox and compares its peak with the need that arithmetic gives. ``--runs`` sets how often the
training run is repeated, to show its spread. Times are compared as ratios of medians, measured in one session. The last
lines show how long a learner waits for the scans and for the extension.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from course_utils import memory, sandbox
from course_utils.sandbox import isolation

# name: (expected MiB, source). FOLDER is replaced by a folder on disk with a 1 GiB file in it.
CASES = {
    "300 MiB of NumPy": (300, "import numpy as np\na = np.ones(300 * 2**20, np.uint8)"),
    "300 MiB written to /dev/shm": (
        300,
        "import os\nwith open('/dev/shm/course-measuring', 'wb') as f:\n    os.unlink(f.name)\n"
        "    for _ in range(300):\n        f.write(bytes(2**20))\n    f.flush()\n    import time; time.sleep(0.2)",
    ),
    "300 MiB of mapped shared memory": (
        300,
        "import mmap\nm = mmap.mmap(-1, 300 * 2**20)\nfor i in range(0, len(m), 4096):\n    m[i] = 1",
    ),
    "three children of 300 MiB, one after the other, each for 20 ms": (
        300,
        "import os, time, numpy as np\nfor _ in range(3):\n    pid = os.fork()\n    if pid == 0:\n"
        "        a = np.ones(300 * 2**20, np.uint8)\n        time.sleep(0.02)\n        os._exit(0)\n"
        "    os.waitpid(pid, 0)",
    ),
    "three children of 300 MiB at once": (
        900,
        "import os, time, numpy as np\nfor _ in range(3):\n    if os.fork() == 0:\n"
        "        a = np.ones(300 * 2**20, np.uint8)\n        time.sleep(1.5)\n        os._exit(0)\n"
        "for _ in range(3):\n    os.wait()",
    ),
    "300 MiB shared by fork with three children": (
        300,
        "import os, time, numpy as np\na = np.ones(300 * 2**20, np.uint8)\nfor _ in range(3):\n"
        "    if os.fork() == 0:\n        time.sleep(0.5)\n        os._exit(0)\nfor _ in range(3):\n    os.wait()",
    ),
    "a spike of 400 MiB for 20 ms": (
        400,
        "import time, mmap, numpy as np\ntime.sleep(0.1)\nm = mmap.mmap(-1, 400 * 2**20, mmap.MAP_PRIVATE | 32)\n"
        "np.frombuffer(m, np.uint8)[::4096] = 1\ntime.sleep(0.02)\ndel m\ntime.sleep(0.1)",
    ),
    "300 MiB of NumPy, clear_refs written": (
        300,
        "import numpy as np\na = np.ones(300 * 2**20, np.uint8)\nopen('/proc/self/clear_refs', 'w').write('5')",
    ),
    "a file of 1 GiB read through the page cache": (
        0,
        "with open('FOLDER/gibibyte', 'rb', buffering=0) as f:\n    while f.read(2**20):\n        pass",
    ),
    "a file of 1 GiB read through np.memmap": (
        0,
        "import numpy as np\na = np.memmap('FOLDER/gibibyte', np.uint8, 'r')\nprint(a[::4096].sum())",
    ),
}
TRAINING = """
import time
import keras
import numpy as np
keras.utils.set_random_seed(1)
layers = keras.layers
model = keras.Sequential([keras.Input((64, 64, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(64, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
x, y = np.zeros((1024, 64, 64, 1), "float32"), np.zeros(1024)
model.train_on_batch(x[:64], y[:64])
start = time.perf_counter()
model.fit(x, y, batch_size=64, epochs=3, verbose=0)
seconds = time.perf_counter() - start
"""
# What a run holds on a GPU, through TensorFlow and past it. MIB is replaced by an amount.
THROUGH_TENSORFLOW = "import time\nimport tensorflow as tf\na = tf.zeros((MIB, 2**18))\nint(a[0, 0])\ntime.sleep(0.3)"
PAST_TENSORFLOW = """
import ctypes, time
driver = ctypes.CDLL("libcuda.so.1")
device, context, address = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
for code in (
    driver.cuInit(0),
    driver.cuDeviceGet(ctypes.byref(device), 0),
    driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device),
    driver.cuCtxSetCurrent(context),
    driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(MIB * 2**20)),
):
    assert code == 0, f"CUDA error {code}"
time.sleep(0.3)
"""
console = Console(width=150)


def known_needs(methods: list[str]) -> None:
    """Print the error of the peak for code whose need is known."""
    table = Table("need", "expected MiB", *methods, title="Peak, and its error against the arithmetic")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        with open(Path(folder) / "gibibyte", "wb") as file:
            for _ in range(1024):
                file.write(bytes(2**20))
        for name, (expected, source) in CASES.items():
            cells = []
            for method in methods:
                outcome = sandbox.run(source.replace("FOLDER", folder), budget_mib=2048, method=method)
                error = outcome.peak_mib - expected
                verdict = "" if abs(error) <= max(5, 0.01 * expected) else "  not seen" if expected else "  counted"
                if outcome.status != "finished":
                    verdict = f"  {outcome.status}: {outcome.message}"
                cells.append(f"{outcome.peak_mib:.1f} ({error:+.1f}){verdict}")
            table.add_row(name, str(expected), *cells)
    console.print(table)


def training_spread(methods: list[str], runs: int) -> None:
    """Print how much the peak of one and the same training run varies, and what watching costs."""
    peaks: dict[str, list[float]] = {method: [] for method in methods}
    seconds: dict[str, list[float]] = {method: [] for method in [*methods, "unwatched"]}
    told = TRAINING + "from course_utils.sandbox.inside import report\nreport(seconds=seconds)"
    environment = isolation.environment(None) | {"CUDA_VISIBLE_DEVICES": "-1"}
    for _ in range(runs):
        for method in methods:
            outcome = sandbox.run(told, budget_mib=2048, method=method)
            peaks[method].append(outcome.peak_mib)
            seconds[method].append(outcome.values["seconds"])
        command = [sys.executable, "-c", TRAINING + "print(seconds)"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        seconds["unwatched"].append(float(done.stdout.split()[-1]))
    table = Table(
        "method", "peak MiB, median", "spread (max-min)/median", "time / unwatched", title=f"Training x {runs}"
    )
    alone = statistics.median(seconds["unwatched"])
    for method in methods:
        middle = statistics.median(peaks[method])
        spread = (max(peaks[method]) - min(peaks[method])) / middle
        table.add_row(method, f"{middle:.1f}", f"{spread:.2%}", f"{statistics.median(seconds[method]) / alone:.3f}")
    console.print(table)


def promptness(methods: list[str]) -> None:
    """Print how far past its cap a run gets, and how long a run takes to start."""
    table = Table("method", "cap MiB", "what grows", "dead at MiB", "past the cap", title="Killed at the cap")
    growths = {
        "one NumPy array of 4 GiB": "import numpy as np\na = np.ones(2**32, np.uint8)",
        "one TensorFlow tensor of 4 GiB": "import tensorflow as tf\na = tf.ones((2**30,))",
        "a list of small arrays": "import numpy as np\na = []\nwhile True:\n    a.append(np.ones(27648))",
    }
    for method in methods:
        for cap in (256, 1024):
            for name, source in growths.items():
                outcome = sandbox.run(source, budget_mib=cap, method=method)
                over = f"{outcome.peak_mib - cap:+.1f} MiB ({outcome.peak_mib / cap - 1:+.1%})"
                table.add_row(method, str(cap), name, f"{outcome.peak_mib:.1f}", over)
    console.print(table)
    starts, imports = [], []
    for _ in range(5):
        begin = time.perf_counter()
        outcome = sandbox.run("pass", budget_mib=512)
        starts.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import tensorflow, keras"], capture_output=True, check=True)
        imports.append(time.perf_counter() - begin)
    start, imported = statistics.median(starts), statistics.median(imports)
    console.print(f"A whole sandboxed run of nothing: {start:.2f} s; a new process that imports TensorFlow: ")
    console.print(f"{imported:.2f} s, {imported / start:.0f} times as long (medians of 5).")


def device() -> None:
    """Print what the driver and TensorFlow's allocator count for known amounts on a GPU. Not run on a GPU yet."""
    if why := memory.GpuMeter.probe():
        console.print(f"The memory of a GPU is not measured: {why}.")
        return
    table = Table("need", "MiB", "driver", "allocator", "context", title="On a GPU, with a budget of 1,024 MiB")
    for name, source in (("through TensorFlow", THROUGH_TENSORFLOW), ("past TensorFlow", PAST_TENSORFLOW)):
        for amount in (100, 400, 800):
            outcome = sandbox.run(source.replace("MIB", str(amount)), budget_mib=4096, gpu_budget_mib=1024)
            found = outcome.device
            if outcome.status != "finished" or found is None or not found.trace:
                table.add_row(name, str(amount), outcome.message, (found and found.unread) or "", "")
                continue
            allocator = "" if outcome.gpu_peak_mib is None else f"{outcome.gpu_peak_mib:.1f}"
            table.add_row(name, str(amount), f"{found.peak_mib:.1f}", allocator, f"{found.context_mib:.1f}")
    console.print(table)
    console.print("Without memory growth the driver counts TensorFlow's whole pool, of the budget's size.")


def waiting() -> None:
    """Print how long the first and the second asking for 4,000 scans takes, and loading the extension."""
    draw = (
        "import time\nstart = time.perf_counter()\nfrom course_utils import scans\n"
        "scans.load('train', count=4000, size=150)\nprint(time.perf_counter() - start)"
    )
    load = (
        "import sys, time\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\nstart = time.perf_counter()\n"
        "shell.run_line_magic('load_ext', 'course_utils')\nseconds = time.perf_counter() - start\n"
        "assert 'tensorflow' not in sys.modules\nprint(seconds)"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"COURSE_UTILS_CACHE": cache}
        for what, code in {
            "4,000 scans of 150 x 150, the first time": draw,
            "the same scans again": draw,
            "%load_ext course_utils, without TensorFlow": load,
        }.items():
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
            console.print(f"{what}: {float(done.stdout.split()[-1]):.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="repetitions of the training run")
    options = parser.parse_args()
    methods = []
    for row in memory.describe():
        console.print(f"{row['method']}: {row['why'] or 'available'}; cannot see: {row['cannot_see']}")
        if row["available"]:
            methods.append(row["method"])
    sandbox.run("pass", budget_mib=512)  # warm the zygote
    known_needs(methods)
    training_spread(methods, options.runs)
    promptness(methods)
    device()
    waiting()


if __name__ == "__main__":
    main()
