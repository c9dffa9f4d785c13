"""Files and folders: written whole or not at all, removed whatever is in them, kept where the user wants them."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

TMPFS = 0x01021994


def cache_folder() -> Path:
    """Return where files are kept: ``$COURSE_UTILS_CACHE``, or ``course-utils`` in the user's cache folder.

    Raises RuntimeError where the user has no home folder.
    """
    chosen = os.environ.get("COURSE_UTILS_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    folder = platformdirs.user_cache_path("course-utils")
    if not folder.is_absolute():  # some versions leave the "~" in front of it
        raise RuntimeError("This user has no home folder.")
    return folder


SCRATCH = "course-utils-"


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary folder for a run, removed afterwards whatever the run has made of it.

    It is locked as long as this process lives, so that `remove_leftovers` knows those of killed processes.
    """
    for _ in range(3):
        # mkdtemp and not TemporaryDirectory: the learner's files may be unreadable, which must not break the clean-up.
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH + prefix, dir=disk_folder())).resolve()
        lock = _lock(folder)
        if lock is not None and folder.exists():
            break  # it was not taken for a leftover in between
    try:
        yield folder
    finally:
        remove(folder)
        if lock is not None:  # some network folders cannot be locked
            os.close(lock)


def remove_leftovers() -> int:
    """Remove the temporary folders of killed processes, and what is mounted in them; return how many there were."""
    count = 0
    for folder in Path(disk_folder()).resolve().glob(f"{SCRATCH}*"):
        lock = _lock(folder)
        if lock is None:
            continue
        with contextlib.suppress(OSError):
            mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
            for place in reversed([place for place in mounted if place.startswith(f"{folder}/")]):
                subprocess.run(["umount", "-l", place], stderr=subprocess.DEVNULL, check=False)
        remove(folder)
        os.close(lock)
        count += 1
    return count


def _lock(folder: Path) -> int | None:
    """Lock a folder of this user's; None if another process has done so, or it is not one."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.geteuid() in (0, os.fstat(descriptor).st_uid):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def disk_folder() -> str:
    """Return the temporary folder, or ``/var/tmp`` where that one lies in memory: a run's files would be memory too."""
    chosen = tempfile.gettempdir()
    better = in_memory(chosen) and os.access("/var/tmp", os.W_OK) and not in_memory("/var/tmp")
    return "/var/tmp" if better else chosen


def in_memory(folder: str) -> bool:
    """Whether a folder is a tmpfs."""
    status = ctypes.create_string_buffer(256)
    known = ctypes.CDLL(None).statfs(folder.encode(), status) == 0
    return known and int.from_bytes(status[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) == TMPFS


def remove(folder: Path) -> None:
    """Remove a folder that a run has written: too deep for shutil.rmtree, or closed, must not break the clean-up."""
    with contextlib.suppress(OSError, RecursionError):
        shutil.rmtree(folder)  # enough for nearly every folder, and needs no program in PATH
    for command in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        if not os.path.lexists(folder):
            return
        subprocess.run([*command, "--", str(folder)], stderr=subprocess.DEVNULL, check=False)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new, also when this process is killed.

    Raises:
        OSError: the folder cannot be written, or the disk is full. The old file is then still there.
    """
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(file.fileno(), 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
