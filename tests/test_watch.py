"""Notebooks that are watched, in real kernels: what a person sees when one dies, and when none does."""

from __future__ import annotations

import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_notebook import Cell, Notebook

from course_utils import memory, recordings
from course_utils.postmortem import Limits
from course_utils.watch import folder

FILL = """import time
kept = []
def fill(megabytes):
    for _ in range(megabytes // 8):
        kept.append([time.sleep(0.03), bytearray(b"x") * 2**23])
fill({})
{}"""
LEAVE = 60  # seconds after which a process that has not left is one that stays


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LEAVE
    while not condition():
        assert time.monotonic() < deadline, "still waiting"
        time.sleep(0.05)


def recorders(place: Path) -> list[int]:
    """The recorders that are running for notebooks in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"course_utils.watch.recorder" in command and str(place).encode() in command:
            found.append(int(process.name))
    return found


def watched(place: Path) -> Notebook:
    notebook = Notebook(place)
    cell = notebook.run("%load_ext course_utils\n%course watch")
    assert "is being watched" in cell.streams["stdout"], cell.streams
    return notebook


def pid(notebook: Notebook) -> int:
    return int(notebook.run("import os; print(os.getpid())").streams["stdout"])


def next_message(notebook: Notebook) -> dict | None:
    try:
        return notebook.client.get_iopub_msg(timeout=1)
    except queue.Empty:
        return None


def die(notebook: Notebook, code: str) -> list[str]:
    """Run a cell that kills its kernel; return what it had shown until then."""
    content = {"code": code, "silent": False, "store_history": True}
    notebook.client.shell_channel.send(notebook.client.session.msg("execute_request", content))
    wait_for(lambda: not notebook.manager.is_alive())
    wait_for(lambda: not recorders(notebook.folder))
    shown = []
    while message := next_message(notebook):
        if message["msg_type"] in ("display_data", "update_display_data"):
            shown.append(message["content"]["data"]["text/plain"])
    return shown


def restart(notebook: Notebook, now: bool) -> Cell:
    """Restart the kernel; return what stands under the cell that loads the package."""
    notebook.manager.restart_kernel(now=now)
    notebook.client.wait_for_ready(timeout=60)
    return notebook.run("%load_ext course_utils")


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    notebook = watched(tmp_path_factory.mktemp("watched"))
    yield notebook
    notebook.stop()
    wait_for(lambda: not recorders(notebook.folder))
    assert not (notebook.folder / folder.NAME).exists()  # a notebook that ends as it should leaves nothing


def test_a_kernel_that_ran_out_of_memory_is_explained_once(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path)
    method = memory.choose()
    kernel = pid(notebook)
    meter = memory.open_meter(method, 900) if method != "procfs" else None
    try:
        if meter:  # the limit of a container
            meter.attach(kernel)
        assert notebook.run("%load_ext course_utils\n%course watch").status == "ok"
        kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        shown = die(notebook, FILL.format(*((2000, "") if meter else (300, kill))))
        text = restart(notebook, now=True).text
        assert "  cell 3, line 5 in fill:  kept.append(" in text
        if meter:
            assert text.startswith("✕ OUT OF MEMORY") and "for certain" in text and "killer ended it" in text
            assert any("of what was left is used" in line and "cell 3, line 5" in line for line in shown), shown
            assert "`kept`" in text and "  list of " in text and "%  cell 3, line 5  " in text
        else:
            assert text.startswith("✕ DIED") and "killed from outside, by SIGKILL" in text
        assert notebook.run("%reload_ext course_utils").displays == []
    finally:
        notebook.stop()
        if meter:
            meter.kill()
            meter.close()


def test_of_two_notebooks_in_one_folder_one_dies(tmp_path: Path) -> None:
    one, two = watched(tmp_path), watched(tmp_path)
    try:
        assert len(recorders(tmp_path)) == 2
        kernel = pid(two)
        os.kill(kernel, signal.SIGKILL)
        wait_for(lambda: len(recorders(tmp_path)) == 1)
        assert one.run("print(1)").streams["stdout"] == "1\n"
        [death] = [recordings.read(path) for path in folder.unseen(tmp_path) if f"-{kernel}." in path.name]
        assert death.ending and death.ending.status == "died"
        shown = restart(one, now=False)  # the restart of a kernel is no death
        assert len(shown.displays) == 1 and shown.text.startswith("✕ DIED")
        wait_for(lambda: not recorders(tmp_path))
        one.run("%course watch")
        busy = {"code": "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException: pass"}
        one.client.shell_channel.send(one.client.session.msg("execute_request", busy))
        one.manager.shutdown_wait_time = 1
        assert restart(one, now=False).displays == []  # nor is that of a busy one
        wait_for(lambda: not recorders(tmp_path))
    finally:
        one.stop()
        two.stop()
    assert [path.name for path in (tmp_path / folder.NAME).iterdir() if folder.SHOWN not in path.name] == []


def test_an_exception_of_memory_is_explained_below_its_traceback(notebook: Notebook) -> None:
    messages = list(notebook.live("import numpy as np\nlarge = np.ones(10**14)"))
    kinds = [message["msg_type"] for message in messages if message["msg_type"] in ("error", "display_data")]
    assert kinds == ["error", "display_data"]
    text = Cell(messages).text
    assert "line 2:  large = np.ones(10**14)" in text and "762,939,453 MiB" in text
    assert notebook.run("1 / 0").displays == []


def test_a_sandbox_may_die_in_a_watched_notebook(notebook: Notebook) -> None:
    cell = notebook.run("%%sandbox --budget 100\nkept = bytearray(b'x') * 2**29")
    assert [text["text/plain"][:15] for text in cell.displays] == ["✕ OUT OF MEMORY"]
    assert notebook.run("%reload_ext course_utils").displays == []


def test_signals_and_children_of_the_notebook_stay_its_own(notebook: Notebook) -> None:
    code = """import multiprocessing, os, signal
heard = []
for number in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda number, frame: heard.append(number))
    os.kill(os.getpid(), number)
child = multiprocessing.get_context("fork").Process(target=print)
child.start(); child.join()
kept = bytearray(b"x") * 2**28
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print(len(heard), child.exitcode)
"""
    before = recorders(notebook.folder)
    assert notebook.run(code).streams["stdout"].endswith("2 0\n")
    assert recorders(notebook.folder) == before and len(before) == 1


def test_it_is_turned_off_and_on_again(notebook: Notebook) -> None:
    [before] = recorders(notebook.folder)
    assert "already" in notebook.run("%course watch").streams["stdout"]
    assert recorders(notebook.folder) == [before]
    assert "no longer" in notebook.run("%course watch off").streams["stdout"]
    wait_for(lambda: not recorders(notebook.folder))
    assert not (notebook.folder / folder.NAME).exists()
    assert "not being watched" in notebook.run("%course watch off").streams["stdout"]
    taken = "import signal\nnumber = signal.SIGRTMIN + 8\nsignal.signal(number, print)\n%course watch"
    assert "handles them already" in str(notebook.run(taken).streams)
    assert recorders(notebook.folder) == []
    again = notebook.run("signal.signal(number, signal.SIG_DFL)\n%course watch")
    assert "is being watched" in again.streams["stdout"]


def test_a_kernel_that_becomes_another_program_is_watched_no_longer(tmp_path: Path) -> None:
    notebook = watched(tmp_path)
    try:
        content = {"code": "import os\nos.execv('/bin/sleep', ['sleep', '1000'])", "silent": False}
        notebook.client.shell_channel.send(notebook.client.session.msg("execute_request", content))
        wait_for(lambda: not recorders(tmp_path))
        assert notebook.manager.is_alive() and not (tmp_path / folder.NAME).exists()
    finally:
        notebook.client.stop_channels()
        notebook.manager.shutdown_kernel(now=True)


def test_where_the_folder_cannot_be_written_the_recording_is_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_UTILS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / folder.NAME).write_text("in the way, also for root")
    path = folder.new_path(tmp_path / "book", 1)
    assert path.is_relative_to(tmp_path / "cache") and folder.unseen(tmp_path / "book") == [path]
    assert folder.unseen(tmp_path) == []


def header() -> recordings.Header:
    limits = Limits(budget_mib=1000, cap_mib=1000, time_limit=0, isolation="none", method="procfs")
    return recordings.Header(kind="watch", file="a.ipynb", limits=limits, interval_ms=20)


def test_a_recording_stays_small_and_keeps_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recording = recordings.Recorder(path, header())
    recording.write(recordings.Cell(name="cell 1", source="x = 1"))
    for number in range(2000):
        stack = tuple((f"keras/{number}/{depth}.py", "function" * 5, None) for depth in range(40))
        recording.write(recordings.Sighting(seconds=number, mib=number, stack=stack))
        folder.compact(path, recording)
    assert path.stat().st_size < 1.1 * folder.LARGEST_BYTES
    recorded = recordings.read(path)
    assert recorded.cells == {"cell 1": "x = 1"} and recorded.sightings[0].seconds == 0
    assert [one.seconds for one in recorded.sightings[-100:]] == list(range(1900, 2000))


@pytest.mark.parametrize(("reached", "cards"), [(900, 1), (300, 0)])
def test_a_recorder_that_died_with_its_kernel(notebook: Notebook, reached: float, cards: int) -> None:
    """As where a container ends with all that is in it: explained where the memory was short, else no death."""
    path = folder.new_path(notebook.folder, 1)
    recording = recordings.Recorder(path, header())
    recording.write(recordings.Cell(name="cell 1", source="x = load()"))
    recording.write(recordings.Sample(seconds=1, mib=reached))
    shown = notebook.run("%reload_ext course_utils").displays
    assert len(shown) == cards and not path.exists()
    for old in path.parent.glob(f"*{folder.SHOWN}*"):
        old.unlink()
