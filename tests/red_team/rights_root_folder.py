"""Choose another root folder.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 161, "aarch64": 51}[platform.machine()]
print("refused" if ctypes.CDLL(None).syscall(number, b"/tmp") < 0 else "done")
