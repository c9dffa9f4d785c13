"""Ask the kernel through its newest door, of which many escapes came.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 425, "aarch64": 425}[platform.machine()]
print("refused" if ctypes.CDLL(None).syscall(number, 1, ctypes.create_string_buffer(128)) < 0 else "done")
