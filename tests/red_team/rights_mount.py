"""Mount a folder in memory, without a limit.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 165, "aarch64": 40}[platform.machine()]
print("refused" if ctypes.CDLL(None).syscall(number, b"none", b"/tmp", b"tmpfs", 0, None) < 0 else "done")
