"""Load a program into the kernel.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
print("refused" if ctypes.CDLL(None).syscall(number, 0, ctypes.create_string_buffer(128), 128) < 0 else "done")
