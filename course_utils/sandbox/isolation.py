"""Isolation levels: what separates a sandbox from the one who runs it.

``bwrap``    bubblewrap: no network, own process numbers, nothing of the host's files but the interpreter, no write
             outside the run's own directory; the data that the hidden images are drawn from is out of sight.
``user``     another user id: no write to what belongs to others, no signal to the grader. Needs root.
``process``  a process of its own: keeps accidents apart, not malice. For one's own machine.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

import platformdirs

LEVELS = ("bwrap", "user", "process")
NOBODY = 65534
TEMPORARY_BYTES = 256 * 1024 * 1024
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
PASSED_ON = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "COURSE_UTILS_CACHE", "PYTHONPATH")


class IsolationUnavailable(Exception):
    """This host cannot hold the isolation level that was asked for; the message says why."""


def environment(level: str) -> dict[str, str]:
    """Return the environment of a sandbox: the same everywhere, so that a figure here is a figure there.

    Colab preloads another memory allocator into its notebooks; it is left out, for the same reason.
    """
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    home = "/tmp"
    if level == "process":
        home = os.environ.get("HOME", home)
    else:
        passed_on.pop("COURSE_UTILS_CACHE", None)
    package_parent = str(Path(__file__).resolve().parents[2])
    passed_on["PYTHONPATH"] = os.pathsep.join(filter(None, [package_parent, passed_on.get("PYTHONPATH")]))
    return SANDBOX_ENVIRONMENT | passed_on | {"HOME": home, "MPLCONFIGDIR": str(font_cache())}


def font_cache() -> Path:
    """Return matplotlib's folder for sandboxes: shared, or each new zygote would spend seconds listing fonts."""
    return Path(platformdirs.user_cache_dir("course-utils")) / "matplotlib"


def interpreter_folders() -> list[Path]:
    """Return the folders that Python and its packages need, outermost only."""
    wanted = {Path(sys.prefix), Path(sys.base_prefix), *map(Path, sysconfig.get_paths().values())}
    for name in ("tensorflow", "keras", "numpy", "sklearn", "PIL", "matplotlib", "psutil"):
        if (found := importlib.util.find_spec(name)) and found.submodule_search_locations:
            wanted.add(Path(found.submodule_search_locations[0]).parent)
    folders = sorted(path.resolve() for path in wanted if path.is_dir())
    folders = [path for path in folders if not any(path != other and path.is_relative_to(other) for other in folders)]
    return [path for path in dict.fromkeys(folders) if path != Path("/") and not path.is_relative_to("/usr")]


def bwrap_command(directory: Path, readable: Sequence[Path]) -> list[str]:
    """Return the bubblewrap command line that puts a zygote into a sandbox."""
    package = Path(__file__).resolve().parents[1]
    command = ["bwrap", "--unshare-all", "--uid", str(NOBODY), "--gid", str(NOBODY), "--die-with-parent"]
    # No user namespaces within: in one of its own a run could mount its control group, and lift its limits.
    command += ["--unshare-user", "--disable-userns"]
    # Else bubblewrap's own process would be number 1, which a run could write to: it is the same user.
    command += ["--as-pid-1"]
    command += ["--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]
    command += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
    for name in ("bin", "lib", "lib32", "lib64", "sbin"):
        path = Path("/") / name
        if path.is_symlink():
            command += ["--symlink", os.readlink(path), str(path)]
        elif path.exists():
            command += ["--ro-bind", str(path), str(path)]
    for name in (
        "/etc/ld.so.cache",
        "/etc/ld.so.conf",
        "/etc/ld.so.conf.d",
        "/etc/localtime",
        "/etc/mime.types",
    ):
        command += ["--ro-bind-try", name, name]
    for device in sorted(Path("/dev").glob("nvidia*")):
        command += ["--dev-bind-try", str(device), str(device)]
    for memory_folder in ("/dev/shm", "/tmp"):
        command += ["--size", str(TEMPORARY_BYTES), "--tmpfs", memory_folder]
    for folder in interpreter_folders():
        command += ["--ro-bind", str(folder), str(folder)]
    # A virtual environment may be reached by a link that is not there inside.
    command += ["--ro-bind", sys.prefix, sys.prefix]
    command += ["--ro-bind", str(package), str(package)]
    command += ["--tmpfs", str(package / "grading")]
    if scikit_learn := importlib.util.find_spec("sklearn"):
        digits = Path(str(scikit_learn.origin)).parent / "datasets" / "data" / "digits.csv.gz"
        if digits.exists():
            command += ["--ro-bind", "/dev/null", str(digits)]
    for folder in readable:
        command += ["--ro-bind", str(folder), str(folder)]
    command += ["--ro-bind-try", str(font_cache()), str(font_cache())]
    return [*command, "--bind", str(directory), str(directory), "--chdir", str(directory)]


@functools.cache
def unavailable(level: str) -> str:
    """Return "" if this host can hold an isolation level, else a sentence that says why not. Tried for real."""
    if level not in LEVELS:
        return f"There is no isolation level {level!r}; choose one of: auto, {', '.join(LEVELS)}."
    if level == "process":
        return ""
    probe = [sys.executable, "-c", "import numpy, course_utils"]
    variables = environment(level)
    if level == "bwrap":
        if not shutil.which("bwrap"):
            return "bubblewrap is not installed: on Debian or Ubuntu, `apt-get install bubblewrap`."
        with tempfile.TemporaryDirectory() as scratch:
            command = bwrap_command(Path(scratch), []) + probe
            tried = subprocess.run(command, capture_output=True, text=True, env=variables)
        if "--disable-userns" in tried.stderr:
            return "bubblewrap is older than 0.8, and cannot keep a run from making user namespaces of its own."
        return "" if tried.returncode == 0 else f"bubblewrap does not work here: {_last_line(tried.stderr)}"
    if os.geteuid() != 0:
        return "changing to another user needs root."
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        tried = subprocess.run(probe, capture_output=True, text=True, env=variables, cwd="/", **other)
    except OSError as error:
        return f"another user cannot run this Python: {error}"
    return "" if tried.returncode == 0 else f"another user cannot run this Python: {_last_line(tried.stderr)}"


def _last_line(text: str) -> str:
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
