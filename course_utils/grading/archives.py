"""Zip files, unpacked without trust: nothing leaves the folder, and neither size nor number can grow beyond a limit."""

from __future__ import annotations

import errno
import os
import stat
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from course_utils.grading.seed import CannotGrade
from course_utils.grading.submission import FILE_LIMIT, MIB, SUFFIXES

DEPTH = 3  # a zip in a zip in a zip
LARGEST_CLASS = 4096  # MiB on disk


class BadArchive(Exception):
    """One sentence on why a zip file is not unpacked."""


@dataclass
class Room:
    """What all the zip files of one student, or of a class, may take when they are unpacked."""

    mib: int = 64
    files: int = 1000

    def __post_init__(self) -> None:
        self.bytes = self.mib * MIB


def of_class() -> Room:
    """The room for a zip file that the instructor names, from a course platform."""
    return Room(LARGEST_CLASS, 50_000)


def unpack(archive: Path, folder: Path, room: Room, root: Path | None = None) -> None:
    """Unpack the notebooks, the scripts and the inner zip files; of any other file an empty one, for its name.

    Args:
        archive: The zip file. It may be anything.
        folder: Is made.
        room: Is made smaller by what was unpacked.
        root: A link must not lead out of this folder.

    Raises:
        BadArchive: it is not a whole zip file, or not a harmless one.
        CannotGrade: the disk is full.
    """
    name = archive.name
    try:
        if root and archive.is_symlink() and not archive.resolve().is_relative_to(root.resolve()):
            raise BadArchive(f"{name} is a link to somewhere else: hand in the file itself.")
        if not stat.S_ISREG(os.stat(archive).st_mode):
            raise BadArchive(f"{name} is not a regular file: hand in the notebook itself.")
        folder.mkdir(parents=True)
        with zipfile.ZipFile(archive) as packed:
            if len(packed.infolist()) > room.files:
                raise BadArchive(f"{name} holds more than {room.files:,} files: hand in the notebook itself.")
            for one in packed.infolist():
                if not one.is_dir():
                    _unpack_one(packed, one, folder, room, name)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CannotGrade(f"The disk is full, so {archive} cannot be unpacked: free some space.") from None
        raise BadArchive(f"{name} cannot be unpacked ({error.strerror}): hand in the notebook itself.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, RuntimeError) as error:
        reason = "is locked with a password" if "password" in str(error) else "is not a whole zip file"
        raise BadArchive(f"{name} {reason}: hand in the notebook itself.") from None


def _unpack_one(packed: zipfile.ZipFile, one: zipfile.ZipInfo, folder: Path, room: Room, name: str) -> None:
    inside = PurePosixPath(one.filename.replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts or ":" in one.filename[:2]:
        raise BadArchive(f"{name} holds a path that leads out of it ({one.filename[:80]!r}): zip your own folder.")
    if stat.S_ISLNK(one.external_attr >> 16):
        raise BadArchive(f"{name} holds a link ({one.filename[:80]!r}): hand in the file itself.")
    target = folder / inside
    target.parent.mkdir(parents=True, exist_ok=True)
    room.files -= 1
    data = b""
    suffix = inside.suffix.lower()
    if suffix in (*SUFFIXES, ".zip"):
        if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadArchive(f"{name} is packed in an unusual way: hand in the notebook itself.")
        # The size that the file claims is not believed. A notebook is read no further than it may be long.
        limit = room.bytes if suffix == ".zip" else min(room.bytes, FILE_LIMIT)
        with packed.open(one) as source:
            data = source.read(limit + 1)
        room.bytes -= len(data)
    if room.bytes < 0 or room.files < 0:
        raise BadArchive(f"{name} grows beyond {room.mib:,} MiB when it is unpacked: hand in the notebook itself.")
    with open(target, "xb") as file:
        file.write(data)
    moment = time.mktime((*one.date_time, 0, 0, -1))
    os.utime(target, (moment, moment))
