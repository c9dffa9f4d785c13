"""What the processes of a run hold besides their own memory: files in memory, deleted files, sockets, mapped files.

Read from ``/proc``, where an open file leads to its size without being opened, whatever its name is or was.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

BLOCK = 512
MIB = 1024 * 1024
File = tuple[int, int]
"""Device and number of a file."""


@dataclass
class Held:
    """Sizes in MiB, each file once."""

    in_memory: dict[File, float] = field(default_factory=dict)
    """Open files that lie in memory: memfd, and whatever folder is a tmpfs."""
    deleted: dict[File, float] = field(default_factory=dict)
    """Open files on a disk that have no name any more."""
    mapped: dict[File, float] = field(default_factory=dict)
    """Files on a disk, mapped for writing and shared: the length of the mappings."""
    channels: int = 0
    """Sockets and pipes."""


@functools.cache
def nameless_device() -> int:
    """Return the device of memfd and of anonymous shared memory."""
    descriptor = os.memfd_create("course-utils")
    try:
        return os.fstat(descriptor).st_dev
    finally:
        os.close(descriptor)


def memory_folders(pid: int) -> dict[int, str]:
    """Return the folders that lie in memory, as a process sees them, by their device."""
    found = {}
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mountinfo", "rb") as file:
        for line in file:
            fields, _, kind = line.partition(b" - ")
            if kind.split()[0] in (b"tmpfs", b"ramfs", b"devtmpfs"):  # the last: devices, such as a GPU's memory
                major, minor = map(int, fields.split()[2].split(b":"))
                found[os.makedev(major, minor)] = os.fsdecode(fields.split()[4])
    return found


def held(pids: Iterable[int], in_memory: set[int]) -> Held:
    """Return what some processes hold; ``in_memory`` are the devices that lie in memory."""
    found = Held()
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{name}")
                    found.channels += stat.S_ISSOCK(status.st_mode) or stat.S_ISFIFO(status.st_mode)
                    if stat.S_ISREG(status.st_mode):
                        kind = found.in_memory if status.st_dev in in_memory else found.deleted
                        if status.st_dev in in_memory or not status.st_nlink:
                            kind[status.st_dev, status.st_ino] = status.st_blocks * BLOCK / MIB
        own: dict[File, float] = {}
        for file, permissions, length, _ in mappings(pid, "maps"):
            if permissions[1:4:2] == b"ws" and file[0] not in in_memory:
                own[file] = own.get(file, 0.0) + length
        for file, length in own.items():
            found.mapped[file] = max(found.mapped.get(file, 0.0), length)
    return found


def mappings(pid: int, name: str) -> Iterator[tuple[File, bytes, float, float]]:
    """Yield the file, the permissions, the length and, from ``smaps``, the proportional size of each mapped file."""
    file, permissions, length = (0, 0), b"", 0.0
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as lines:
        for line in lines:
            fields = line.split(None, 5)
            if b"-" in fields[0] and not fields[0].endswith(b":"):
                start, end = (int(address, 16) for address in fields[0].split(b"-"))
                major, minor = (int(number, 16) for number in fields[3].split(b":"))
                file, permissions, length = (os.makedev(major, minor), int(fields[4])), fields[1], (end - start) / MIB
                if name == "maps" and file[1]:
                    yield file, permissions, length, 0.0
            elif fields[0] == b"Pss:" and file[1]:
                yield file, permissions, length, int(fields[1]) / 1024
