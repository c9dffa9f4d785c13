"""Memory in the kernel's keyrings.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 248, "aarch64": 217}[platform.machine()]
came = ctypes.CDLL(None).syscall(number, b"user", b"red-team", b"x" * 1000, 1000, -2)
print("refused" if came < 0 else "done")
