"""The sandbox: whatever the code does, the run ends, is explained, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from course_utils import memory, sandbox


def held(level: str) -> object:
    """The level as a parameter: a host that cannot hold it says so and skips, but CI must hold bwrap."""
    why = sandbox.unavailable(level)
    may_skip = not (os.environ.get("CI") and level == "bwrap")
    return pytest.param(level, marks=pytest.mark.skipif(bool(why) and may_skip, reason=why))


LEVELS = [held(level) for level in sandbox.LEVELS]


def run(source: str, **options: object) -> sandbox.Outcome:
    return sandbox.run(textwrap.dedent(source), **{"budget_mib": 256, "time_limit": 20, **options})


def test_finished() -> None:
    outcome = run("print('hello')\nimport numpy as np\nnp.arange(3)")
    assert outcome.status == "finished"
    assert outcome.stdout == "hello\narray([0, 1, 2])\n"
    assert outcome.where is None
    assert outcome.baseline_mib > 100
    assert outcome.trace and outcome.seconds > 0


@pytest.mark.parametrize("level", LEVELS)
def test_death_names_the_line_the_peak_and_the_arrays(level: str) -> None:
    outcome = run(
        """
        import numpy as np
        images = []
        for index in range(100_000):
            images.append(np.ones((96, 96, 3)))
        """,
        isolation=level,
    )
    assert outcome.status == "out_of_memory"
    assert outcome.isolation == level
    assert outcome.where is not None
    assert outcome.where.line in (4, 5)
    assert outcome.peak_mib == pytest.approx(256, abs=16)
    assert outcome.ledger[0]["name"] == "images"
    assert "float64" in outcome.ledger[0]["what"]
    assert "images" in outcome.post_mortem()


def test_a_list_of_pairs_is_weighed_by_its_arrays() -> None:
    outcome = run(
        """
        import numpy as np
        pairs = []
        for index in range(100_000):
            pairs.append((np.ones((96, 96, 3), "float32"), index % 10))
        """
    )
    assert outcome.status == "out_of_memory"
    assert outcome.ledger[0]["name"] == "pairs"
    assert "float32 array (96, 96, 3)" in outcome.ledger[0]["what"]
    assert "A list keeps everything that you append" in outcome.cause
    assert outcome.ledger[0]["mib"] > 100


def test_a_batch_is_weighed_once_and_not_once_a_member() -> None:
    outcome = run(
        """
        import time
        import numpy as np
        batch = np.ones((256, 96, 96, 3), "float32"), np.zeros(256, "int64")
        time.sleep(0.3)
        images = [np.ones((96, 96, 3)) for index in range(100_000)]
        """
    )
    [batch] = [item for item in outcome.ledger if item["name"] == "batch"]
    assert batch["what"] == "tuple with float32 array (256, 96, 96, 3)"
    assert batch["mib"] == pytest.approx(27, abs=0.1)


def test_a_list_of_unequal_arrays_weighs_what_they_weigh() -> None:
    """Such as a model's weights: one large kernel among many small ones."""
    outcome = run(
        """
        import time
        import numpy as np
        weights = [np.ones((1500, 10240), "float32"), np.ones(1024), *(np.ones((3, 3), "float32") for _ in range(6))]
        many = [np.ones((16, 1024, 1 + index // 1000), "float32") for index in range(1200)]
        time.sleep(0.3)
        images = [np.ones((96, 96, 3)) for index in range(100_000)]
        """
    )
    found = {item["name"]: item for item in outcome.ledger}
    assert found["weights"]["mib"] == pytest.approx(58.6, abs=0.5)
    assert found["weights"]["what"] == "list with float32 array (1500, 10240)"
    assert found["many"]["mib"] == pytest.approx(87.5, rel=0.02)  # weighed by a sample from its whole length
    assert "list of 1,200 arrays, the largest a float32 array (16, 1024, 2)" in found["many"]["what"]


def test_the_same_array_many_times_is_weighed_once() -> None:
    outcome = run(
        """
        import time
        import numpy as np
        same = [np.ones((1024, 1024, 20), "uint8")] * 8
        time.sleep(0.3)
        images = [np.ones((96, 96, 3)) for index in range(100_000)]
        """
    )
    [same] = [item for item in outcome.ledger if item["name"] == "same"]
    assert same["mib"] == pytest.approx(20, abs=0.1)


def test_a_warning_is_one_line_without_the_folder_of_packages() -> None:
    outcome = run(
        """
        import warnings
        import keras
        warnings.warn("mine")
        keras.layers.Dense(2, input_shape=(3,))
        """
    )
    mine, theirs = outcome.stderr.splitlines()
    assert mine == "cell, line 4: UserWarning: mine"
    assert theirs.startswith("keras/src/layers/") and "UserWarning: Do not pass" in theirs


@pytest.mark.parametrize("level", LEVELS)
def test_death_inside_one_long_c_call(level: str) -> None:
    outcome = run("import numpy as np\n\ndef fill():\n    return np.ones(2**33, np.uint8)\n\nfill()", isolation=level)
    assert outcome.status == "out_of_memory"
    assert outcome.where is not None
    assert (outcome.where.line, outcome.where.function) == (4, "fill")
    assert outcome.peak_mib < 256 + 16


def test_death_inside_tensorflow() -> None:
    outcome = run("import tensorflow as tf\nx = 1\ny = tf.ones((2**31,))")
    assert outcome.status == "out_of_memory"
    assert outcome.where is not None and outcome.where.line == 3


def test_refused_allocation_is_out_of_memory_with_its_arithmetic() -> None:
    outcome = run("import numpy as np\nnp.ones((100_000, 100_000, 100))")
    assert outcome.status == "out_of_memory"
    assert outcome.where is not None and outcome.where.line == 2
    assert "float64" in outcome.allocation and "100000, 100000, 100" in outcome.allocation


def test_raised_shows_only_the_learners_lines() -> None:
    outcome = run(
        "import tensorflow as tf\n\ndef multiply(a):\n    return tf.matmul(a, a)\n\nmultiply(tf.ones((2, 3)))"
    )
    assert outcome.status == "raised"
    assert outcome.where is not None and outcome.where.line == 4
    assert "cell, line 6" in outcome.traceback and "cell, line 4" in outcome.traceback
    assert "site-packages" not in outcome.traceback


def test_an_error_in_keras_is_told_by_its_reason_and_not_by_its_wrapping() -> None:
    outcome = run(
        """
        import keras, numpy as np
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.zeros((4, 5)), np.zeros(4), verbose=0)
        """
    )
    assert "expected axis -1 of input shape to have value 4" in outcome.message
    assert "\x1b" not in outcome.traceback


def test_an_error_whose_text_leaves_the_process_is_an_error_all_the_same() -> None:
    outcome = run("""
        class Odd(Exception):
            def __str__(self): raise SystemExit(0)
        raise Odd
        """)
    assert (outcome.status, outcome.where.line) == ("raised", 4)


def test_what_led_to_an_error_is_named_with_its_line() -> None:
    outcome = run("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('wrapped') from error")
    assert outcome.message == "ValueError: wrapped"
    assert outcome.traceback.endswith("Because of ZeroDivisionError: division by zero (cell, line 2)")


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("data.sum()", "Import or define `data` in the cell itself"),
        ("!ls", "take out lines that start with ! or %"),
        ("await something", "asyncio.run"),
    ],
)
def test_what_only_a_notebook_has_is_said_to_be_missing(source: str, advice: str) -> None:
    outcome = run(source)
    assert outcome.status == "raised"
    assert advice in outcome.cause


def test_a_run_that_closed_its_output_has_finished_all_the_same() -> None:
    assert run("import os, sys\nsys.stdout = open(os.devnull, 'w')\nsys.stdout.close()").status == "finished"


def test_figures_drawn_before_an_error_are_shown() -> None:
    outcome = run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nraise ValueError('later')")
    assert outcome.status == "raised" and len(outcome.figures) == 1


def test_a_bystander_is_not_blamed() -> None:
    outcome = run("import numpy as np\nw = np.random.rand(1000, 300)\nx = np.ones((2000, 512, 512), 'uint8')")
    assert outcome.status == "out_of_memory"
    assert "float64" not in outcome.cause


def test_arrays_in_an_object_and_in_a_thread_are_found() -> None:
    outcome = run(
        """
        import threading, time
        import numpy as np
        class Data:
            def __init__(self):
                self.images = np.ones((60, 1024, 1024), "uint8")
        data = Data()
        def work():
            labels = np.ones((50, 1024, 1024), "uint8")
            time.sleep(1)
            np.ones((500, 1024, 1024), "uint8")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """
    )
    assert outcome.status == "out_of_memory"
    assert {"data.images", "labels"} <= {item["name"] for item in outcome.ledger}


def test_cells_share_a_namespace_and_are_named() -> None:
    outcome = sandbox.run([("first", "value = 1"), ("second", "print(value)\nvalue / 0")], budget_mib=64)
    assert outcome.stdout == "1\n"
    assert outcome.where == sandbox.Where("second", 2, "value / 0")


@pytest.mark.parametrize(
    ("source", "exit_code", "number"),
    [
        ("import sys\nsys.exit(3)", 3, None),
        ("import os\nos._exit(4)", 4, None),
        ("import os\nos._exit(0)", 0, None),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", None, signal.SIGSEGV),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", None, signal.SIGKILL),
        ("import ctypes\nctypes.string_at(1)", None, signal.SIGSEGV),
    ],
    ids=["sys.exit", "os._exit", "os._exit(0)", "signal", "SIGKILL", "segfault"],
)
def test_died(source: str, exit_code: int | None, number: int | None) -> None:
    outcome = run(source)
    assert outcome.status == "died"
    assert (outcome.exit_code, outcome.signal) == (exit_code, number)


def test_segfault_names_the_line() -> None:
    outcome = run("import ctypes\nx = 1\nctypes.string_at(1)")
    assert outcome.where is not None and outcome.where.line == 3


def test_endless_loop_that_ignores_signals_times_out_at_its_line() -> None:
    outcome = run(
        """
        import signal
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        while True:
            pass
        """,
        time_limit=1,
    )
    assert outcome.status == "timed_out"
    assert outcome.where is not None and outcome.where.line in (5, 6)
    assert outcome.seconds < 10


@pytest.mark.parametrize("level", LEVELS)
def test_children_and_daemons_are_dead_when_the_run_is_over(level: str) -> None:
    mark = f"sleep-{os.getpid()}-{level}"
    outcome = run(
        f"""
        import os, subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {mark!r}], start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", {mark!r}])
            os._exit(0)
        time.sleep(0.5)
        """,
        isolation=level,
    )
    assert outcome.status == "finished"
    assert [
        process.pid for process in psutil.process_iter(["cmdline"]) if mark in (process.info["cmdline"] or [])
    ] == []


def test_one_gigabyte_of_output_stays_bounded() -> None:
    before = psutil.Process().memory_info().rss
    outcome = run("line = 'x' * 999_999 + '\\n'\nfor _ in range(1000):\n    print(line, end='')", time_limit=60)
    assert outcome.status == "finished"
    assert len(outcome.stdout) < 200_000
    assert "characters left out" in outcome.stdout
    assert psutil.Process().memory_info().rss - before < 64 * 2**20


def test_input_is_refused_at_once() -> None:
    outcome = run("name = input('Your name? ')")
    assert outcome.status == "raised"
    assert "input() cannot be used" in outcome.message


@pytest.mark.parametrize("level", LEVELS)
def test_fork_bomb_is_bounded(level: str) -> None:
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    outcome = run(bomb, isolation=level, budget_mib=4096, time_limit=120)
    assert outcome.status == "died"
    assert "more processes" in outcome.message
    assert run("print(1)").stdout == "1\n"


def test_zygote_killed_between_two_runs_is_replaced() -> None:
    run("pass")
    zygotes = [child for child in psutil.Process().children() if "course_utils.sandbox.zygote" in child.cmdline()]
    assert zygotes
    for zygote in zygotes:
        zygote.kill()
    assert run("print('again')").stdout == "again\n"


def test_order_given_to_the_child_of_a_dying_zygote_is_given_to_the_next() -> None:
    sandbox.stop()
    run("pass")
    (zygote,) = [child for child in psutil.Process().children() if "course_utils.sandbox.zygote" in child.cmdline()]
    zygote.suspend()  # a process that is being killed does nothing more either, and for a while its child lives on
    threading.Timer(1, zygote.kill).start()
    assert run("import time\ntime.sleep(3)\nprint('again')").stdout == "again\n"


def test_zygote_killed_by_the_run_itself() -> None:
    outcome = run("import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)", isolation="process")
    assert outcome.status == "died"
    assert run("print('again')").stdout == "again\n"


def test_owner_killed_leaves_nothing(tmp_path: Path) -> None:
    mark = f"owner-{os.getpid()}"
    sleep = f"[sys.executable, '-c', 'import time; time.sleep(600)', '{mark}']"
    source = f"import subprocess, sys\nsubprocess.run({sleep})"
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from course_utils import sandbox; sandbox.run({source!r}, budget_mib=256, time_limit=600)",
        ]
    )

    def descendants() -> list[psutil.Process]:
        return psutil.Process(owner.pid).children(recursive=True)

    deadline = time.monotonic() + 60
    while not any(mark in process.cmdline() for process in descendants()):
        assert time.monotonic() < deadline, "the run never started"
        time.sleep(0.1)
    started = descendants()
    owner.kill()
    owner.wait()
    gone, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []


def test_interrupt_ends_the_run_and_the_next_one_works() -> None:
    def interrupt() -> None:
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run("import time\ntime.sleep(600)", time_limit=600)
    assert run("print('again')").stdout == "again\n"


def test_values_figures_and_questions_come_out() -> None:
    shown: list[bytes] = []
    outcome = run(
        """
        import matplotlib.pyplot as plt
        import numpy as np
        from course_utils.sandbox.inside import exchange, report
        plt.plot([1, 2])
        plt.show()
        plt.plot([2, 1])
        report(accuracy=np.float32(0.5), name="small")
        print(exchange({"state": "trained"}))
        """,
        listener=sandbox.Listener(figure=shown.append, answer=lambda question: {"told": question["state"]}),
    )
    assert outcome.status == "finished", outcome.post_mortem()
    assert outcome.values == {"accuracy": 0.5, "name": "small"}
    assert outcome.stdout.splitlines()[-1] == "{'told': 'trained'}"
    assert len(shown) == len(outcome.figures) == 2
    assert all(png.startswith(b"\x89PNG") for png in shown)


def test_the_owner_learns_how_much_processor_time_a_run_took() -> None:
    asked = []
    outcome = run(
        """
        import os, subprocess, sys, time
        from course_utils.sandbox.inside import exchange

        def work(seconds):
            while time.process_time() < seconds:
                pass

        exchange({"processor_seconds": -1})
        work(time.process_time() + 0.5)
        exchange({})
        time.sleep(0.5)
        exchange([])
        code = "import time\\nwhile time.process_time() < 0.5: pass"
        subprocess.run([sys.executable, "-c", code], check=True)
        exchange({})
        orphan = code + "\\nopen('done', 'w')\\ntime.sleep(600)"
        start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {orphan!r}])"
        subprocess.run([sys.executable, "-c", start], check=True)
        while not os.path.exists("done"):
            time.sleep(0.05)
        exchange({})
        """,
        listener=sandbox.Listener(answer=lambda question: asked.append(question["processor_seconds"]) or {}),
    )
    assert outcome.status == "finished", outcome.post_mortem()
    worked, slept, child_worked, orphan_worked = (
        after - before for before, after in zip(asked, asked[1:], strict=False)
    )
    assert asked[0] >= 0 and worked >= 0.45 and slept < 0.4 and child_worked >= 0.45
    assert orphan_worked >= 0.4


def test_output_streams_live() -> None:
    arrivals: list[tuple[float, str]] = []
    run(
        "import time\nprint('one')\ntime.sleep(1)\nprint('two')",
        listener=sandbox.Listener(output=lambda stream, text: arrivals.append((time.monotonic(), text))),
    )
    assert [text for _, text in arrivals] == ["one\n", "two\n"]
    assert arrivals[1][0] - arrivals[0][0] > 0.5


def test_graph_functions_find_their_source() -> None:
    outcome = run(
        """
        import tensorflow as tf

        @tf.function
        def total(x):
            for i in tf.range(3):
                x = x + i
            return x

        print(int(total(tf.constant(1))))
        """
    )
    assert outcome.stdout == "4\n", outcome.post_mortem()


@pytest.mark.parametrize(
    ("said", "statuses"),
    [
        ("""inside.channel.sendall(b"\\xff\\xff\\xff\\xff" + b"x" * 1000)""", ("died", "raised")),
        ("""inside.send({"type": "end", "status": ["finished"], "frames": 3, "kinds": 7})""", ("died", "raised")),
        (
            """inside.send({"type": "end", "status": "raised", "frames": [[1]], "reasons": 3, "kinds": [[]]})""",
            ("died", "raised"),
        ),
        ("""inside.send({"type": "end", "status": "finished", "gpu_peak_mib": 10**400})""", ("finished",)),
    ],
)
def test_forged_messages_break_nothing(said: str, statuses: tuple[str, ...]) -> None:
    outcome = run(f"from course_utils.sandbox import inside\n{said}")
    assert outcome.status in statuses and outcome.gpu_peak_mib is None
    assert run("print(1)").stdout == "1\n"


@pytest.mark.parametrize("level", LEVELS)
def test_a_flood_of_questions_does_not_hold_up_the_watcher(level: str) -> None:
    outcome = sandbox.run(
        textwrap.dedent(
            """
            import json, time
            from course_utils.sandbox import framing, inside
            body = json.dumps({"type": "exchange"}).encode()
            inside.channel.sendall((framing.HEADER.pack(len(body)) + body) * 500)
            time.sleep(600)
            """
        ),
        budget_mib=256,
        time_limit=3,
        isolation=level,
        listener=sandbox.Listener(),
    )
    assert outcome.status == "timed_out"
    assert outcome.seconds < 20  # each unread answer would have cost seconds, and there are hundreds


def test_bwrap_keeps_a_run_from_its_zygote_and_from_new_namespaces(program: Callable[[str], str]) -> None:
    program("bwrap")
    outcome = run(
        """
        import ctypes, os
        PTRACE_ATTACH, CLONE_NEWUSER = 16, 0x10000000
        library = ctypes.CDLL(None)
        print([pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) < os.getpid()], os.getppid())
        print(library.ptrace(PTRACE_ATTACH, os.getppid(), 0, 0))
        try:
            open(f"/proc/{os.getppid()}/mem", "r+b")
        except OSError as error:
            print(type(error).__name__)
        if os.fork() == 0:  # a process with several threads is refused for that alone
            print(library.unshare(CLONE_NEWUSER))
            os._exit(0)
        os.wait();
        """,
        isolation="bwrap",
    )
    assert outcome.stdout.splitlines() == ["['1'] 1", "-1", "PermissionError", "-1"], outcome.post_mortem()


def test_a_folder_too_deep_for_python_is_removed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    outcome = run("import os\nfor _ in range(2000):\n    os.mkdir('a')\n    os.chdir('a')")
    assert outcome.status == "finished"
    assert list(tmp_path.iterdir()) == []


def test_bwrap_has_no_network_no_host_files_and_no_digits(tmp_path: Path, program: Callable[[str], str]) -> None:
    program("bwrap")
    secret = tmp_path / "secret"
    secret.write_text("labels")
    outcome = run(
        f"""
        import os, socket
        def attempt(action):
            try:
                return action()
            except Exception as error:
                return type(error).__name__
        print(attempt(lambda: open({str(secret)!r}).read()))
        print(attempt(lambda: socket.create_connection(("192.0.2.1", 80), timeout=2)))
        print(attempt(lambda: open("/usr/forged", "w")))
        print(attempt(lambda: os.kill({os.getpid()}, 0)))
        from sklearn.datasets import load_digits
        print(attempt(lambda: load_digits().data.shape))
        print(attempt(lambda: __import__("course_utils.grading.grade")))
        open("mine", "w").write("allowed")
        print(os.listdir("."))
        """,
        isolation="bwrap",
    )
    assert outcome.status == "finished", outcome.post_mortem()
    lines = outcome.stdout.splitlines()
    assert lines[0] == "FileNotFoundError"
    assert lines[1] == "OSError"
    assert lines[2] == "OSError"
    assert lines[3] == "ProcessLookupError"
    assert lines[4] not in ("(1797, 64)",)
    assert lines[5] == "ModuleNotFoundError"
    assert lines[6] == "['mine']"


def test_unknown_isolation_is_one_sentence() -> None:
    with pytest.raises(sandbox.IsolationUnavailable, match="choose one of"):
        run("pass", isolation="prison")


@pytest.mark.parametrize("method", [row["method"] for row in memory.describe() if row["available"]])
def test_nothing_is_left_on_the_host(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever measures it: no file, no open descriptor, no process but the zygote and its child, no control group."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    run("pass", method=method)
    descriptors = set(os.listdir("/proc/self/fd"))
    processes = {process.pid for process in psutil.Process().children()}
    run("import subprocess\nsubprocess.Popen(['sleep', '600'])\nopen('mine', 'w').write('x')", method=method)
    assert set(os.listdir("/proc/self/fd")) == descriptors
    assert {process.pid for process in psutil.Process().children()} == processes
    assert not [process for process in psutil.Process().children(recursive=True) if process.name() == "sleep"]
    assert list(tmp_path.iterdir()) == []
    assert [str(path) for path in Path("/sys/fs/cgroup").rglob(f"course-{os.getpid()}-*")] == []
