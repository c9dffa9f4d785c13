"""Isolation: what a run at each level can reach, which rights it has, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from course_utils import files, sandbox
from course_utils.sandbox import isolation, launch, processors


def held(level: str) -> object:
    """The level as a parameter: a host that cannot hold it says so and skips, but CI must hold bwrap."""
    why = sandbox.unavailable(level)
    may_skip = not (os.environ.get("CI") and level == "bwrap")
    return pytest.param(level, marks=pytest.mark.skipif(bool(why) and may_skip, reason=why))


GRADED_LEVELS = [held("bwrap"), held("user")]
needs_user = pytest.mark.skipif(bool(sandbox.unavailable("user")), reason=sandbox.unavailable("user"))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="Only root's own rights can be given up.")


def run(source: str, **options: object) -> sandbox.Outcome:
    outcome = sandbox.run(textwrap.dedent(source), **{"budget_mib": 512, "time_limit": 60, **options})
    return outcome


def lines(source: str, **options: object) -> list[str]:
    """Run a cell that finishes; return the lines that it printed."""
    outcome = run(source, **options)
    assert outcome.status == "finished", outcome.post_mortem()
    return outcome.stdout.splitlines()


@pytest.mark.parametrize("level", [*GRADED_LEVELS, held("process")])
def test_every_level_trains(level: str) -> None:
    [losses] = lines(
        """
        import keras, numpy as np
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        history = model.fit(np.ones((64, 4)), np.ones(64), epochs=2, verbose=0)
        print(len(history.history["loss"]))
        """,
        isolation=level,
    )
    assert losses == "2"


@pytest.mark.parametrize("level", GRADED_LEVELS)
def test_no_process_of_a_graded_run_has_roots_rights(level: str) -> None:
    # Zygotes of the learner's own level, which fork when they like, and workers that drew scans are no part of the run.
    sandbox.stop()
    others = {process.pid for process in psutil.Process().children(recursive=True)}
    seen: list[tuple[str, set[int]]] = []

    def look(question: dict) -> dict:
        for process in psutil.Process().children(recursive=True):
            if process.pid not in others:
                seen.append((process.name(), {*process.uids(), *process.gids()}))
        return {}

    printed = lines(
        """
        from course_utils.sandbox import inside
        inside.exchange({})
        fields = dict(line.partition(":")[::2] for line in open("/proc/self/status"))
        print({fields[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")})
        print(fields["NoNewPrivs"].strip(), fields["Groups"].split())
        """,
        isolation=level,
        listener=sandbox.Listener(answer=look),
    )
    assert len(seen) >= 2  # the zygote and the run
    assert all(0 not in numbers for _, numbers in seen), seen
    assert printed == ["{'0000000000000000'}", "1 []"]


@pytest.mark.parametrize("level", GRADED_LEVELS)
def test_the_kernels_settings_cannot_be_written(level: str) -> None:
    setting = Path("/proc/sys/vm/swappiness")
    before = setting.read_text()
    [said] = lines(
        f"""
        import os
        value = open({str(setting)!r}).read()
        try:
            with open({str(setting)!r}, "w") as file:
                file.write(value)  # what is there already
            print("written")
        except OSError:
            print("refused")
        """,
        isolation=level,
    )
    assert said == "refused" and setting.read_text() == before


@pytest.mark.parametrize("level", GRADED_LEVELS)
def test_of_a_closed_folder_only_what_is_needed_is_in_sight(level: str, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    for name in ("needed", "secret"):
        (closed / name).mkdir(parents=True)
        (closed / name / "file").write_text(name)
    closed.chmod(0o700)
    work = closed / "work"
    work.mkdir()
    printed = lines(
        f"""
        import os
        print(sorted(os.listdir({str(closed)!r})), open({str(closed / "needed" / "file")!r}).read())
        open("mine", "w").write("allowed")
        try:
            open({str(closed / "needed" / "forged")!r}, "w")
        except OSError:
            print("refused")
        """,
        isolation=level,
        readable=[closed / "needed"],
        directory=work,
    )
    assert printed == ["['needed', 'work'] needed", "refused"]
    assert (work / "mine").read_text() == "allowed"
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700 and sorted(os.listdir(closed)) == ["needed", "secret", "work"]


@pytest.mark.parametrize("level", GRADED_LEVELS)
def test_what_a_run_leaves_in_its_home_is_executed_in_no_other(level: str) -> None:
    source = """
        import os, site, sys
        from pathlib import Path
        print("usercustomize" in sys.modules, "left" in os.environ)
        for folder in (Path(site.getusersitepackages()), Path.home(), Path.cwd()):
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("usercustomize.py", "sitecustomize.py", "keras.py"):
                (folder / name).write_text("import os\\nos.environ['left'] = 'yes'")
        print(Path.home())
        """
    first, second = lines(source, isolation=level), lines(source, isolation=level)
    assert first[0] == second[0] == "False False"
    assert first[1] != second[1] and not Path(first[1]).exists() and not Path(second[1]).exists()


@pytest.mark.parametrize("level", GRADED_LEVELS)
def test_a_run_has_fonts_of_its_own(level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_UTILS_CACHE", str(tmp_path / "cache"))
    listed = tmp_path / "cache" / "matplotlib" / "fontlist.json"
    listed.parent.mkdir(parents=True)
    listed.write_text("shared")
    source = """
        import os, matplotlib
        path = os.path.join(matplotlib.get_cachedir(), "fontlist.json")
        print(open(path).read())
        open(path, "w").write("forged");
        """
    for _ in range(2):
        assert lines(source, isolation=level) == ["shared"]
    assert listed.read_text() == "shared"


def test_the_learners_own_level_keeps_fonts_in_the_chosen_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.stop()
    monkeypatch.setenv("COURSE_UTILS_CACHE", str(tmp_path))
    printed = lines("import os\nprint(os.environ['MPLCONFIGDIR'])\nprint(os.environ['HOME'])")
    sandbox.stop()
    assert printed == [str(tmp_path / "matplotlib"), os.environ["HOME"]]


@needs_user
def test_memory_that_belongs_to_no_process_ends_with_the_run() -> None:
    key = 0x5EED
    [identifier] = lines(
        f"""
        import ctypes
        print(ctypes.CDLL(None).shmget({key}, 1 << 20, 0o1600))
        """,
        isolation="user",
    )
    assert int(identifier) >= 0
    kept = [int(line.split()[0]) for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    assert key not in kept


def test_the_handwriting_is_out_of_sight_also_where_the_environment_is_a_link(program: object, tmp_path: Path) -> None:
    program("bwrap")
    link = tmp_path / "environment"
    link.symlink_to(sys.prefix)
    source = (
        "import glob, os, sys\n"
        f"prefixes = (sys.prefix, {os.path.realpath(sys.prefix)!r})\n"
        "packages = [f'{folder}/lib/python*/*-packages' for folder in prefixes]\n"
        "found = [path for one in packages for path in glob.glob(f'{one}/sklearn/datasets/data/digits.csv.gz')]\n"
        "print(len(found), [path for path in found if os.path.getsize(path)])"
    )
    program = (
        f"from course_utils import sandbox\noutcome = sandbox.run({source!r}, budget_mib=512, isolation='bwrap')\n"
        "print(outcome.stdout, outcome.post_mortem())"
    )
    done = subprocess.run([str(link / "bin" / "python"), "-c", program], capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "2 []", done.stdout + done.stderr


def test_a_class_folder_that_is_a_virtual_environment_too_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bin", "lib", "submissions"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    shown = [folder for folder in isolation.interpreter_folders() if folder.is_relative_to(tmp_path.resolve())]
    assert sorted(folder.name for folder in shown) == ["bin", "lib"]


def test_a_temporary_folder_in_memory_is_not_used_for_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    if not files.in_memory("/dev/shm") or files.in_memory("/var/tmp"):
        pytest.skip("This host has no /dev/shm in memory, or has /var/tmp there too.")
    monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")
    with sandbox.scratch("test-") as folder:
        assert not files.in_memory(str(folder))


def test_a_module_path_never_leads_to_the_runs_own_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"packages{os.pathsep}")
    entries = isolation.environment(None)["PYTHONPATH"].split(os.pathsep)
    assert all(map(os.path.isabs, entries)) and os.path.abspath("packages") in entries


@needs_user
def test_a_run_that_kills_its_zygote_has_died_and_leaves_nothing() -> None:
    outcome = run(
        """
        import os, signal, time
        print(os.getuid(), flush=True)
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork():
                    os._exit(0)
                time.sleep(600)
                os._exit(0)
        time.sleep(0.3)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
        """,
        isolation="user",
    )
    assert outcome.status == "died"
    user = int(outcome.stdout)
    assert user > 0
    assert isolation.processes_of(user) == []


@needs_user
def test_a_run_cannot_write_to_its_zygote() -> None:
    printed = lines(
        """
        import ctypes, os
        PTRACE_ATTACH = 16
        print(ctypes.CDLL(None).ptrace(PTRACE_ATTACH, os.getppid(), 0, 0))
        try:
            open(f"/proc/{os.getppid()}/mem", "r+b")
        except OSError as error:
            print(type(error).__name__)
        """,
        isolation="user",
    )
    assert printed == ["-1", "PermissionError"]


@needs_root
def test_a_user_id_is_nobodys_and_used_by_one_owner() -> None:
    first, first_held = isolation.unused_uid()
    second, second_held = isolation.unused_uid()
    with first_held, second_held:
        assert first != second
        sleeper = subprocess.Popen(["sleep", "600"], user=first, group=first, extra_groups=[])
        assert isolation.processes_of(first) == [sleeper.pid] and isolation.processes_of(second) == []
        isolation.kill_user(first)
        assert sleeper.wait() == -signal.SIGKILL


def test_every_folder_in_memory_is_read_only_or_has_a_limit(program: object) -> None:
    program("bwrap")
    printed = lines(
        """
        for line in open("/proc/self/mountinfo"):
            before, after = line.split(" - ")
            if after.startswith("tmpfs"):
                print("ro" in before.split()[5].split(",") or "size=" in after, before.split()[4])
        """,
        isolation="bwrap",
    )
    assert len(printed) >= 4 and all(line.startswith("True") for line in printed), printed


@pytest.mark.parametrize("method", ["procfs", None])
def test_a_child_that_never_greets_is_replaced(method: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.stop()
    send, orders = launch.Zygote.send, []

    def send_to_a_deaf_owner(zygote: launch.Zygote, order: dict, descriptors: Sequence[int]) -> None:
        orders.append(zygote)
        if len(orders) == 1:  # this child speaks to a socket that nobody holds the other end of, so it dies of it
            ours, theirs = socket.socketpair()
            ours.close()
            with theirs:
                send(zygote, order, [*descriptors[:2], theirs.fileno(), *descriptors[3:]])
        else:
            send(zygote, order, descriptors)

    monkeypatch.setattr(launch.Zygote, "send", send_to_a_deaf_owner)
    assert run("print('again')", method=method).stdout == "again\n"
    first, second = orders
    assert not first.alive() and second.alive()


def test_a_zygote_that_says_much_is_not_blocked_by_it() -> None:
    run("pass")
    [zygote] = [child for child in psutil.Process().children() if "course_utils.sandbox.zygote" in child.cmdline()]
    descriptor = os.open(f"/proc/{zygote.pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    try:
        for _ in range(100):
            assert os.write(descriptor, bytes(65536)) == 65536
    finally:
        os.close(descriptor)
    assert run("print('again')").stdout == "again\n"
    assert zygote.is_running()


def test_a_zygote_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.stop()
    (tmp_path / "keras.py").write_text("raise ImportError('keras is broken here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(launch.ZygoteLost, match="keras is broken here"):
        run("pass")


def test_runs_side_by_side_get_processors_of_their_own() -> None:
    with contextlib.ExitStack() as stack:
        pairs = [tuple(stack.enter_context(processors.assigned(range(900, 909)))) for _ in range(4)]
        assert sorted(pairs) == [(900, 901), (902, 903), (904, 905), (906, 907)]
        more = [tuple(stack.enter_context(processors.assigned(range(900, 909)))) for _ in range(4)]
        assert sorted(more) == sorted(pairs)  # none is free: each is shared by two
    with processors.assigned([900]) as one:
        assert one == [900]


def test_owners_side_by_side_spread_too() -> None:
    program = "from course_utils.sandbox.processors import assigned\nwith assigned([910, 911, 912, 913]) as pair:\n"
    program += "    print(pair, flush=True)\n    input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        theirs = owner.stdout.readline()
        with processors.assigned([910, 911, 912, 913]) as ours:
            assert {theirs.strip(), str(ours)} == {"[910, 911]", "[912, 913]"}
        owner.kill()
        owner.wait()
        with processors.assigned([910, 911, 912, 913]), processors.assigned([910, 911, 912, 913]) as second:
            assert second in ([910, 911], [912, 913])


def test_a_run_uses_the_processors_that_its_owner_assigned() -> None:
    with processors.assigned() as ours:
        count = len(ours)
    barrier = threading.Barrier(2)
    found: list[str] = []

    def one() -> None:
        barrier.wait()
        found.extend(lines("import os, time\nprint(sorted(os.sched_getaffinity(0)))\ntime.sleep(1)"))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and all(len(line.split(",")) == count for line in found)
    if len(os.sched_getaffinity(0)) >= 4:
        assert found[0] != found[1]
