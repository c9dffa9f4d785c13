"""What a stranger's code may not ask of the kernel, refused by a filter that neither it nor its children can take off.

The numbers are Linux's own (``asm/unistd.h``), the format that of ``linux/filter.h``: the library that would know both,
libseccomp, has no Python package that is kept up. Everything else stays allowed: this only takes away what no honest
answer uses, and what could hide memory, leave a sandbox, or strain the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

KEYCTL = {"x86_64": 250, "aarch64": 219}
# In this order: msgget semget add_key request_key keyctl; ptrace process_vm_readv process_vm_writev; unshare
# setns mount umount2 pivot_root chroot move_mount fsopen fsmount open_tree; bpf perf_event_open userfaultfd
# io_uring_setup; open_by_handle_at name_to_handle_at; kexec_load init_module finit_module delete_module; quotactl acct
# swapon reboot syslog clock_settime settimeofday.
NUMBERS = {
    "x86_64": (
        *(68, 64, 248, 249, 250, 101, 310, 311, 272, 308, 165, 166, 155, 161, 429, 430, 432, 428),
        *(321, 298, 323, 425, 304, 303, 246, 175, 313, 176, 179, 163, 167, 169, 103, 227, 164),
    ),
    "aarch64": (
        *(186, 190, 217, 218, 219, 117, 270, 271, 97, 268, 40, 39, 41, 51, 429, 430, 432, 428),
        *(280, 241, 282, 425, 265, 264, 104, 105, 273, 106, 60, 89, 224, 142, 116, 112, 170),
    ),
}
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOWED, REFUSED = 0x7FFF0000, 0x00050000 | errno.EPERM
OTHER_CALLS = 0x40000000  # the same calls under other numbers: x32
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2
JOIN_SESSION_KEYRING = 1


def program(machine: str) -> bytes:
    """Return the filter for a machine, as instructions of the kernel's packet filter."""
    refused = [(AT_LEAST, OTHER_CALLS), *((EQUAL, number) for number in NUMBERS[machine])]
    code = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, ARCHITECTURE[machine]), (RETURN, 0, 0, REFUSED), (LOAD, 0, 0, 0)]
    code += [(test, len(refused) - index, 0, value) for index, (test, value) in enumerate(refused)]
    code += [(RETURN, 0, 0, ALLOWED), (RETURN, 0, 0, REFUSED)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def forbid() -> None:
    """Put the filter on this thread and all that it starts, with a keyring of its own; on other machines do nothing."""
    machine, library = platform.machine(), ctypes.CDLL(None)
    if machine not in NUMBERS:
        return
    library.syscall(KEYCTL[machine], JOIN_SESSION_KEYRING, None)
    code = ctypes.create_string_buffer(program(machine))
    described = struct.pack("HxxxxxxP", (len(code) - 1) // 8, ctypes.addressof(code))
    library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    library.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.c_char_p(described), 0, 0)
