"""Files and folders: written whole or not at all, removed whatever is in them, kept where the user wants them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs


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


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary folder for a run, removed afterwards whatever the run has made of it."""
    # mkdtemp and not TemporaryDirectory: the learner's files may be unreadable, which must not break the clean-up.
    folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    try:
        yield folder
    finally:
        remove(folder)


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
