"""Message queues of System V, whose content belongs to no process.

bwrap, user: refused
"""

import ctypes

print("refused" if ctypes.CDLL(None).msgget(0, 0o1600) < 0 else "done")
