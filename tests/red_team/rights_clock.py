"""Set the clock of the machine.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 227, "aarch64": 112}[platform.machine()]
print("refused" if ctypes.CDLL(None).syscall(number, 0, (ctypes.c_long * 2)(1, 0)) < 0 else "done")
