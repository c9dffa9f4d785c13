"""Isolation levels: what separates a sandbox from the one who runs it.

``bwrap``    bubblewrap: no network, own process numbers, nothing of the host's files but the interpreter, no write
             outside the run's own directory; the data that the hidden images are drawn from is out of sight.
``user``     another user id: no write to what belongs to others, no signal to the grader. Needs root.
``process``  a process of its own: guards against accidents, not against malice. For one's own machine.

Who starts whom, and with which rights, at the first two levels, where a stranger's code is graded:

    owner               the grader: root, or an ordinary user
      unprivileged.py   only where the owner is root: arranges what can be reached, then gives up root for good
      bwrap             only at ``bwrap``: makes the namespaces, without root and without any capability
      zygote            imports TensorFlow
        child           the run

The owner starts `unprivileged.py`, which becomes bubblewrap, which starts the zygote, which forks the child. Rights
only get fewer on the way. The user id is a fresh one for every zygote: no process and no entry of the password file has
it. No capability is left, and ``no_new_privs`` keeps a run from getting one; at ``bwrap`` it cannot make a user
namespace either. A zygote of these levels serves one run.

Nobody trusts a process further down. The child and its zygote are the same user. The child cannot write to the zygote's
memory, since the zygote is not dumpable, but it can kill or stop it; the run has then died. So the owner does not rely
on the zygote: when the run is over, it kills every process that is left of the user id. A run's HOME is a folder of its
own, which is removed with it: nothing that a run leaves there is executed in another run.

Every zygote runs as ``python -P -s``: it takes no module from the working directory or from the user's own packages.
``-I`` would do the same, but it also ignores ``PYTHONHASHSEED``, and then memory differs between two runs.

At ``user`` a run sees the other processes, and every file that all users of this host may read. Where root may not
make mounts, as in most containers, it also sees the network, shares ``/tmp`` and ``/dev/shm`` with other users, and
only the kernel's own file modes keep it from writing to ``/proc/sys``. At both levels `forbidden` filters what a run
may ask of the kernel.
"""

from __future__ import annotations

import contextlib
import functools
import grp
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import site
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from course_utils.files import cache_folder, scratch
from course_utils.sandbox import cuda
from course_utils.sandbox.claims import claim

LEVELS = ("bwrap", "user", "process")
NOBODY = 65534
TEMPORARY_BYTES = 256 * 1024 * 1024
PYTHON = (sys.executable, "-P", "-s")
SANDBOX_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    "MPLBACKEND": "module://course_utils.sandbox.figures",
    # Memory depends on the number of threads, so every machine gets Colab's two.
    "TF_NUM_INTRAOP_THREADS": "2",
    "TF_NUM_INTEROP_THREADS": "2",
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_NUM_THREADS": "2",
}
PASSED_ON = (
    "CUDA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "TF_FORCE_GPU_ALLOW_GROWTH",  # which Colab sets
    "COURSE_UTILS_CACHE",
    "PYTHONPATH",
)


class IsolationUnavailable(Exception):
    """This host cannot hold the isolation level that was asked for; the message says why."""


def environment(home: Path | None) -> dict[str, str]:
    """Return the environment of a sandbox: the same everywhere, so that a figure here is a figure there.

    ``home`` is the run's own home, None for the user's. Colab preloads another memory allocator into its notebooks; it
    is left out, for the same reason.
    """
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # An empty or relative entry would lead to the run's own directory.
    listed = passed_on["PYTHONPATH"].split(os.pathsep) if passed_on.get("PYTHONPATH") else []
    packages = [str(Path(__file__).resolve().parents[2]), *map(os.path.abspath, listed)]
    if home is None:
        own = {"HOME": os.environ.get("HOME", "/tmp"), "MPLCONFIGDIR": str(font_cache())}
        if site.ENABLE_USER_SITE:  # the packages that are installed there, without what runs by itself
            packages.append(site.getusersitepackages())
    else:
        own = {"HOME": str(home), "MPLCONFIGDIR": str(home / "matplotlib"), "PYTHONNOUSERSITE": "1"}
        passed_on.pop("COURSE_UTILS_CACHE", None)
    return SANDBOX_ENVIRONMENT | passed_on | own | {"PYTHONPATH": os.pathsep.join(packages)}


def font_cache() -> Path:
    """Return matplotlib's folder for sandboxes: without it each new zygote would spend seconds listing fonts."""
    return cache_folder() / "matplotlib"


@contextlib.contextmanager
def confined(
    level: str, directory: Path, readable: Sequence[Path] = (), gpu: bool = False
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Prepare one zygote's place at a level: yield what its command begins with, and its environment.

    The zygote can read the folders ``readable`` and write to ``directory``; with ``gpu`` it can use CUDA. At the end of
    the block every process that the place has left is killed, and its home is removed. Raises OSError.
    """
    if level == "process":
        yield [], environment(None)
        return
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(scratch("home-"))
        if font_cache().is_dir():  # a copy, since a run may write to its own
            shutil.copytree(font_cache(), home / "matplotlib")
        libraries = cuda.folders() if gpu else []
        command = bwrap_command(directory, home, readable, libraries, gpu) if level == "bwrap" else []
        if os.geteuid() == 0:
            uid, held = unused_uid()
            stack.enter_context(held)
            stack.callback(kill_user, uid)
            for path in (directory, home, *home.rglob("*")):
                os.chown(path, uid, uid, follow_symlinks=False)
            command = unprivileged_command(uid, level, directory, home, [*readable, *libraries]) + command
        yield command, environment(home)


def unprivileged_command(uid: int, level: str, directory: Path, home: Path, readable: Sequence[Path]) -> list[str]:
    """Return the command line that gives up root's rights; the program to start has to follow it."""
    read = {*interpreter_folders(), *filter(Path.exists, prefix_parts()), package_folder(), *readable}
    needed = [(str(path), False) for path in read] + [(str(path), True) for path in (directory, home)]
    shared = ("/tmp", "/var/tmp", "/dev/shm") if level == "user" else ()
    plan = {
        "uid": uid,
        "needed": needed,
        "scratch": {folder: TEMPORARY_BYTES for folder in shared if os.path.isdir(folder)},
        "folder": str(directory),
    }
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("unprivileged.py")), json.dumps(plan)]


def unused_uid() -> tuple[int, socket.socket]:
    """Return a number that is no user, no group and no process's, and the claim that keeps it from other owners."""
    with open("/proc/self/uid_map") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    first, _, length = max(ranges, key=lambda numbers: numbers[2])
    end = min(first + length, 2**31)  # far above the numbers that systems and containers give away
    while True:
        uid = end - 1 - secrets.randbelow(min(length // 2, 2**24))
        with contextlib.suppress(KeyError):
            pwd.getpwuid(uid)
            continue
        with contextlib.suppress(KeyError):
            grp.getgrgid(uid)
            continue
        if not processes_of(uid) and (held := claim(f"user/{uid}")):
            return uid, held


def processes_of(uid: int) -> list[int]:
    """Return the processes of a user that are not zombies, whatever they call themselves."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/status", "rb") as file:
            fields = dict(line.partition(b":")[::2] for line in file)
            if fields[b"State"].split()[0] not in (b"Z", b"X") and int(fields[b"Uid"].split()[0]) == uid:
                found.append(int(name))
    return found


def kill_user(uid: int) -> None:
    """Kill every process of a user that exists for one run alone."""
    while pids := processes_of(uid):
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that they start no others meanwhile
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)


def package_folder() -> Path:
    """Return the folder of this package."""
    return Path(__file__).resolve().parents[1]


def prefix_parts() -> set[Path]:
    """Return what Python itself needs of its prefixes, a virtual environment and what that was made from."""
    names = ("bin", "lib", "lib64", "pyvenv.cfg")
    return {Path(prefix) / name for prefix in (sys.prefix, sys.base_prefix) for name in names}


def interpreter_folders() -> list[Path]:
    """Return what Python and its packages need, outermost only: never a whole prefix, which may hold anything else."""
    paths = sysconfig.get_paths()
    wanted = {*prefix_parts(), *(Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib"))}
    for name in ("tensorflow", "keras", "numpy", "sklearn", "PIL", "matplotlib", "psutil"):
        if (found := importlib.util.find_spec(name)) and found.submodule_search_locations:
            wanted.add(Path(found.submodule_search_locations[0]).parent)
    folders = sorted(path.resolve() for path in wanted if path.exists())
    folders = [path for path in folders if not any(path != other and path.is_relative_to(other) for other in folders)]
    return [path for path in dict.fromkeys(folders) if path != Path("/") and not path.is_relative_to("/usr")]


def handwriting() -> set[Path]:
    """Return every copy of the originals of the hidden images that lies among Python's packages."""
    package = importlib.util.find_spec("sklearn")
    packages = {Path(package.origin).resolve().parents[1]} if package and package.origin else set()
    for folder in (*interpreter_folders(), Path("/usr/lib"), Path("/usr/local/lib")):
        packages |= {folder, *folder.glob("python*/*-packages")}
    copies = (folder / "sklearn" / "datasets" / "data" / "digits.csv.gz" for folder in packages)
    return {path.resolve() for path in copies if path.exists()}


def bwrap_command(
    directory: Path, home: Path, readable: Sequence[Path], libraries: Sequence[Path] = (), gpu: bool = False
) -> list[str]:
    """Return the bubblewrap command line that puts a zygote into a sandbox. No folder in memory is without a limit."""
    package = package_folder()
    command = ["bwrap", "--unshare-all", "--uid", str(NOBODY), "--gid", str(NOBODY), "--die-with-parent"]
    # No user namespaces within: in one of its own a run could mount its control group, and lift its limits.
    command += ["--unshare-user", "--disable-userns"]
    # Else bubblewrap's own process would be number 1, which a run could write to: it is the same user.
    command += ["--as-pid-1"]
    command += ["--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]
    command += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"]
    for name in ("bin", "lib", "lib32", "lib64", "sbin"):
        path = Path("/") / name
        if path.is_symlink():
            command += ["--symlink", os.readlink(path), str(path)]
        elif path.exists():
            command += ["--ro-bind", str(path), str(path)]
    for name in ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/mime.types"):
        command += ["--ro-bind-try", name, name]
    for device in cuda.devices() if gpu else ():
        command += ["--dev-bind-try", str(device), str(device)]
    if gpu:  # where /usr/local/cuda leads by a link
        command += ["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
    for memory_folder in ("/dev/shm", "/tmp"):
        command += ["--size", str(TEMPORARY_BYTES), "--tmpfs", memory_folder]
    shown = interpreter_folders()
    for folder in shown:
        command += ["--ro-bind", str(folder), str(folder)]
    for folder in libraries:
        if not any(folder.is_relative_to(other) for other in (*shown, Path("/usr"), Path("/lib"), Path("/lib64"))):
            command += ["--ro-bind", str(folder), str(folder)]
    # A link and not a second mount, in which the files that are hidden below would be in sight.
    if (prefix := os.path.realpath(sys.prefix)) != sys.prefix:
        command += ["--symlink", prefix, sys.prefix]
    command += ["--ro-bind", str(package), str(package)]
    command += ["--tmpfs", str(package / "grading"), "--remount-ro", str(package / "grading")]
    for digits in handwriting():
        command += ["--ro-bind", "/dev/null", str(digits)]
    for folder in readable:
        command += ["--ro-bind", str(folder), str(folder)]
    for folder in (directory, home):
        command += ["--bind", str(folder), str(folder)]
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(directory)]


@functools.cache
def unavailable(level: str) -> str:
    """Return "" if this host can hold an isolation level, else a sentence that says why not. Tried for real."""
    if level not in LEVELS:
        return f"There is no isolation level {level!r}; choose one of: auto, {', '.join(LEVELS)}."
    if level == "process":
        return ""
    if level == "bwrap" and not shutil.which("bwrap"):
        return "bubblewrap is not installed: on Debian or Ubuntu, `apt-get install bubblewrap`."
    if level == "user" and os.geteuid() != 0:
        return "changing to another user needs root."
    with scratch("probe-") as directory, confined(level, directory) as (command, variables):
        command += [*PYTHON, "-c", "import numpy, course_utils"]
        tried = subprocess.run(command, capture_output=True, text=True, env=variables, cwd="/")
    if tried.returncode == 0:
        return ""
    if "--disable-userns" in tried.stderr:
        return "bubblewrap is older than 0.8, and cannot keep a run from making user namespaces of its own."
    failed = "bubblewrap does not work here" if level == "bwrap" else "another user cannot run this Python"
    return f"{failed}: {last_line(tried.stderr)}"


def last_line(text: str) -> str:
    """Return the last line of an error text, which says why."""
    return (text.strip().splitlines() or ["no reason given"])[-1]


def strongest() -> str:
    """Return the strongest isolation level that this host can hold."""
    return next(level for level in LEVELS if not unavailable(level))


def resolve(level: str) -> str:
    """Turn "auto" into the strongest level; raise `IsolationUnavailable` where a level cannot be held."""
    if level == "auto":
        return strongest()
    if why := unavailable(level):
        raise IsolationUnavailable(f"Isolation {level!r} cannot be held here: {why}")
    return level
