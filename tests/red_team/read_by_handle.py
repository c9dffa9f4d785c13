"""Open a file by its number, past every folder.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 303, "aarch64": 264}[platform.machine()]
handle, mount = ctypes.create_string_buffer(136), ctypes.c_int()
handle[0:4] = (128).to_bytes(4, "little")
came = ctypes.CDLL(None).syscall(number, -100, b"/", handle, ctypes.byref(mount), 0)
print("refused" if came < 0 else "done")
