"""Take hold of the process that started it.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 101, "aarch64": 117}[platform.machine()]
print("refused" if ctypes.CDLL(None).syscall(number, 16, __import__("os").getppid(), 0, 0) < 0 else "done")
