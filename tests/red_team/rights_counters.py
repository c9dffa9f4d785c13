"""Watch others through the processor's counters.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 298, "aarch64": 241}[platform.machine()]
print(
    "refused"
    if ctypes.CDLL(None).syscall(number, ctypes.create_string_buffer(b"\x01\x00\x00\x00\x80", 128), 0, -1, -1, 0) < 0
    else "done"
)
