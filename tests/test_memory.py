"""How memory is read: known needs, by every method that this host allows, and recorded control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from course_utils import memory, sandbox

AVAILABLE = [row["method"] for row in memory.describe() if row["available"]]
# What is held is held for a moment, in which a busy machine too finds time to look.
ARRAY = "import time\nimport numpy as np\na = np.ones(200 * 2**20, np.uint8)\ntime.sleep(0.3)"
THREE_CHILDREN = """
import multiprocessing, os, time
import numpy as np
together = multiprocessing.get_context("fork").Barrier(3)
for _ in range(3):
    if os.fork() == 0:
        a = np.ones(100 * 2**20, np.uint8)
        together.wait()
        time.sleep(0.3)
        os._exit(0)
for _ in range(3):
    os.wait()
"""
SHARED_BY_FORK = """
import os, time
import numpy as np
a = np.ones(200 * 2**20, np.uint8)
for _ in range(3):
    if os.fork() == 0:
        time.sleep(0.4)
        os._exit(0)
for _ in range(3):
    os.wait()
"""
FORGED = ARRAY + "\nopen('/proc/self/clear_refs', 'w').write('5')"
RENAMED = "open('/proc/self/comm', 'wb').write({name!r})\n" + ARRAY
SPIKE = """
import mmap, time
import numpy as np
for _ in range(5):  # a busy machine may keep procfs from looking for 20 ms, but not five times
    time.sleep(0.1)
    block = mmap.mmap(-1, 200 * 2**20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    np.frombuffer(block, np.uint8)[::4096] = 1
    time.sleep(0.02)
    del block
"""


@pytest.mark.parametrize("method", AVAILABLE)
@pytest.mark.parametrize(
    ("source", "expected"),
    # Each child also copies 1 to 3 MiB of pages, which count: see `course_utils.memory.cgroup`. There are three.
    [(ARRAY, 200), (THREE_CHILDREN, 306), (SHARED_BY_FORK, 204), (FORGED, 200), (SPIKE, 200)],
    ids=["array", "three children", "shared by fork", "clear_refs", "spike of 20 ms"],
)
def test_peak_of_a_known_need(method: str, source: str, expected: float) -> None:
    outcome = sandbox.run(source, budget_mib=1024, method=method)
    assert outcome.status == "finished", outcome.post_mortem()
    assert outcome.peak_mib == pytest.approx(expected, abs=max(5, 0.01 * expected))
    assert outcome.method == method


@pytest.mark.parametrize("method", AVAILABLE)
@pytest.mark.parametrize("name", [b"\rVmSwap:-999999", b"\vVmSwap:-999999", b"\xff"])
def test_a_process_cannot_hide_memory_behind_its_name(method: str, name: bytes) -> None:
    outcome = sandbox.run(RENAMED.format(name=name), budget_mib=1024, method=method)
    assert outcome.status == "finished", outcome.post_mortem()
    assert outcome.peak_mib == pytest.approx(200, abs=5)


@pytest.mark.parametrize("method", AVAILABLE)
def test_files_do_not_count(method: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(200 * 2**20))
    source = (
        f"import numpy as np\na = np.memmap({str(path)!r}, np.uint8, 'r')\nprint(a[::4096].sum())\n"
        f"with open({str(path)!r}, 'rb', buffering=0) as file:\n    while file.read(2**20):\n        pass"
    )
    outcome = sandbox.run(source, budget_mib=1024, method=method)
    assert outcome.status == "finished", outcome.post_mortem()
    assert outcome.peak_mib < 5


@pytest.mark.parametrize("row", memory.describe(), ids=lambda row: row["method"])
def test_a_method_that_is_called_available_measures_and_another_says_why_not(row: dict) -> None:
    if row["available"]:
        outcome = sandbox.run("pass", budget_mib=64, method=row["method"])
        assert outcome.status == "finished"
        assert outcome.interval_ms == row["interval_ms"]
    else:
        with pytest.raises(memory.MeterUnavailable) as refused:
            memory.open_meter(row["method"], 64)
        assert str(refused.value) in row["why"]


@pytest.mark.parametrize("method", AVAILABLE)
def test_a_method_cannot_see_what_it_says_that_it_cannot_see(method: str) -> None:
    path = f"/dev/shm/course-{os.getpid()}"
    source = f"open({path!r}, 'wb').write(bytes(60 * 2**20))\nimport time; time.sleep(0.3)"
    try:
        outcome = sandbox.run(source, budget_mib=256, method=method)
    finally:
        Path(path).unlink(missing_ok=True)
    [row] = [row for row in memory.describe() if row["method"] == method]
    unseen = "/dev/shm" in row["cannot_see"]
    # Only the file needs memory: zeros that are never written to have no pages of their own.
    assert (outcome.peak_mib < 30) == unseen


@pytest.mark.parametrize("method", AVAILABLE)
def test_a_meter_that_watches_nothing_kills_nothing(method: str) -> None:
    meter = memory.open_meter(method, 100)
    meter.kill()
    meter.close()


def test_unknown_method_is_one_sentence() -> None:
    with pytest.raises(memory.MeterUnavailable, match="choose one of"):
        sandbox.run("pass", budget_mib=64, method="guessing")


def recorded(folder: Path, anonymous: int, shared: int, cache: int, peak: int | None = None) -> None:
    """Write the files of a version 2 group, in the format of the kernel's documentation; sizes in MiB."""
    mib = memory.MIB
    statistics = {
        "anon": anonymous * mib,
        "file": (cache + shared) * mib,
        "kernel": 2 * mib,
        "shmem": shared * mib,
        "file_mapped": 0,
    }
    (folder / "memory.stat").write_text("".join(f"{name} {value}\n" for name, value in statistics.items()))
    (folder / "memory.current").write_text(f"{(anonymous + shared + cache + 2) * mib}\n")
    (folder / "memory.swap.current").write_text("0\n")
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n")
    (folder / "pids.events").write_text("max 0\n")
    (folder / "cgroup.procs").write_text("")
    if peak is not None:
        (folder / "memory.peak").write_text(f"{peak * mib}\n".ljust(32))


def test_version_2_counts_what_cannot_be_taken_back(tmp_path: Path) -> None:
    recorded(tmp_path, anonymous=100, shared=20, cache=500)
    meter = memory.METHODS["cgroup v2"](1024, tmp_path)
    assert meter.sample().now_mib == pytest.approx(120)
    assert meter.killed_by_kernel()
    assert not meter.too_many_tasks()


def test_version_2_sees_a_spike_between_two_samples(tmp_path: Path) -> None:
    recorded(tmp_path, anonymous=100, shared=0, cache=500, peak=602)
    meter = memory.METHODS["cgroup v2"](1024, tmp_path)
    meter.window_peak()  # resets the counter, as at the start of every run
    recorded(tmp_path, anonymous=100, shared=0, cache=500, peak=902)
    sample = meter.sample()
    assert sample.now_mib == pytest.approx(100)
    assert sample.peak_mib == pytest.approx(400)
