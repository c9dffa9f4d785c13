"""Hold the kernel up at a moment of its choice.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 323, "aarch64": 282}[platform.machine()]
print("refused" if ctypes.CDLL(None).syscall(number, 0) < 0 else "done")
