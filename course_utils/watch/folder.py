"""Where recordings lie: in a hidden folder beside the notebook, or in the cache where that cannot be written."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

from course_utils import recordings
from course_utils.files import cache_folder

NAME, SHOWN = ".course-watch", ".shown"
LARGEST_BYTES = 4 * 2**20
NEWEST = 200  # lines of a type that are kept when a recording has become too long, and every other one before them
MOST_SHOWN = 5


def folders(beside: Path) -> list[Path]:
    """Return where recordings of notebooks in a folder may lie, the best place first."""
    name = hashlib.sha256(bytes(beside.resolve())).hexdigest()[:16]
    try:
        return [beside / NAME, cache_folder() / "watch" / name]
    except RuntimeError:  # no home
        return [beside / NAME]


def new_path(beside: Path, pid: int) -> Path:
    """Return the path of a new, empty recording. Raises OSError where none of the folders can be written."""
    *others, last = folders(beside)
    for folder in others:
        with contextlib.suppress(OSError):
            return _made(folder, pid)
    return _made(last, pid)


def _made(folder: Path, pid: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y-%m-%d-%H%M%S')}-{pid}.jsonl"
    path.touch(exist_ok=False)
    return path


def unseen(beside: Path) -> list[Path]:
    """Return the recordings of a folder that nobody has been shown, the oldest first."""
    paths = [path for folder in folders(beside) for path in folder.glob("*.jsonl") if SHOWN not in path.suffixes]
    return sorted(paths, key=lambda path: path.name)


def put_away(path: Path) -> None:
    """Keep a recording that has been shown, and of all of these only the newest."""
    path.rename(path.with_suffix(f"{SHOWN}.jsonl"))
    for old in sorted(path.parent.glob(f"*{SHOWN}.jsonl"))[:-MOST_SHOWN]:
        old.unlink()


def discard(path: Path) -> None:
    """Remove a recording that tells of no death, and its folder where nothing else is in it."""
    with contextlib.suppress(OSError):
        path.unlink()
        path.parent.rmdir()


def compact(path: Path, recording: recordings.Recorder) -> None:
    """Write a recording that has become too long again, without half of what is long ago."""
    if os.fstat(recording.file.fileno()).st_size < LARGEST_BYTES:
        return
    old, shorter = recordings.read(path), path.with_suffix(".tmp")
    new = recordings.Recorder(shorter, old.header)
    for name, source in list(old.cells.items())[-NEWEST:]:
        new.write(recordings.Cell(name=name, source=source))
    seen = [recordings.Sighting(seconds=at, mib=mib, stack=stack) for at, mib, stack in old.sightings]
    lines = [line for kind in (old.samples, seen, old.events) for line in (*kind[:-NEWEST:2], *kind[-NEWEST:])]
    for line in sorted([*lines, old.ledger], key=lambda line: line.seconds):
        new.write(line)
    shorter.replace(path)
    recording.file = new.file
