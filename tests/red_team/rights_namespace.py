"""Enter the namespaces of another process.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 308, "aarch64": 268}[platform.machine()]
print("refused" if ctypes.CDLL(None).syscall(number, __import__("os").open("/proc/self/ns/net", 0), 0) < 0 else "done")
