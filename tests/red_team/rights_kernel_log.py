"""Read the kernel's log.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 103, "aarch64": 116}[platform.machine()]
print("refused" if ctypes.CDLL(None).syscall(number, 3, ctypes.create_string_buffer(64), 64) < 0 else "done")
