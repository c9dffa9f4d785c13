"""Read the keyring of the owner's session.

bwrap, user: refused
"""

import ctypes
import platform

number = {"x86_64": 250, "aarch64": 219}[platform.machine()]
print("refused" if ctypes.CDLL(None).syscall(number, 0, -3, 0) < 0 else "read")
