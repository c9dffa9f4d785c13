"""Give up root's rights for good, then become another program.

The only code of a sandbox that runs as root, before anything else of it. It is a program by itself, started with
``python -I -S unprivileged.py PLAN COMMAND...``; it needs only the standard library and reads nobody's files. PLAN is
JSON:

    uid        the user and group that it becomes: no process and no entry of the password file has it
    needed     [path, whether it may be written] of every file and folder that the program has to reach
    scratch    folders that the program gets for itself, empty and in memory, and their size in bytes
    folder     where the program starts

It arranges this in a mount namespace of its own, which ends with the program. A folder on the way to a needed one that
other users may not enter, such as ``/root``, is covered by one that holds the needed folders and nothing else. A
container that allows no mounts goes without: what lies in such a folder is then out of reach.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWNET = 0x20000, 0x8000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
CAPABILITY_VERSION_3 = 0x20080522
OTHERS_MAY_ENTER = 0o001

library = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "none", flags: int = 0, options: str = "") -> None:
    """Call ``mount``; raises OSError."""
    if library.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)} while mounting", target)


def own_mounts() -> bool:
    """Give this process mounts, System V memory and an empty network of its own; return whether that is allowed."""
    if library.unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET):
        return False
    try:
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
    except OSError:
        return False
    return True


def bind(descriptor: int, target: str, writable: bool) -> None:
    """Show an open file or folder at another place too."""
    mount(f"/proc/self/fd/{descriptor}", target, flags=MS_BIND | MS_REC)
    read_only = 0 if writable else MS_RDONLY
    mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | read_only)


def arrange(needed: list[tuple[str, bool]], scratch: dict[str, int]) -> None:
    """Cover what the program must not see or cannot pass through, and put back what it needs."""
    opened = [(path, os.open(path, os.O_PATH), writable) for path, writable in sorted(needed)]
    for folder, size in scratch.items():
        mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,size={size}")
    for path, descriptor, writable in opened:
        ancestors = [path[:end] for end in range(1, len(path)) if path[end] == "/"]
        for folder in ancestors:
            if not os.path.isdir(folder):
                os.mkdir(folder, 0o755)  # it lies in a covered folder
            elif not os.stat(folder).st_mode & OTHERS_MAY_ENTER:
                mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
        missing = not os.path.exists(path)
        if missing and os.path.isdir(f"/proc/self/fd/{descriptor}"):
            os.mkdir(path)
        elif missing:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        if missing or writable:
            bind(descriptor, path, writable)


def give_up_rights(uid: int) -> None:
    """Become the user and group ``uid``, without any capability and any way to get one; raises OSError."""
    library.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(64):
        library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if library.capset(header, none) or library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the rights of root could not be given up")
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (uid, uid, uid) or os.getgroups():
        raise OSError(f"the user id could not be changed to {uid}")


def main() -> None:
    plan, command = json.loads(sys.argv[1]), sys.argv[2:]
    os.umask(0o022)
    if own_mounts():
        arrange(plan["needed"], plan["scratch"])
        if command[0] != "bwrap":  # which does it too, and can mount no /proc where part of this one is covered
            with contextlib.suppress(OSError):
                bind(os.open("/proc/sys", os.O_PATH), "/proc/sys", False)
    give_up_rights(plan["uid"])
    os.chdir(plan["folder"])
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
