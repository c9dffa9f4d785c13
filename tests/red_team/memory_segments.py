"""150 MiB of shared memory of System V, which belongs to no process.

bwrap, user: out_of_memory
bwrap by procfs, user by procfs: unseen
holds_mib: 100
"""

import ctypes
import time

library = ctypes.CDLL(None)
library.shmat.restype = ctypes.c_void_p
segment = library.shmget(0, 150 << 20, 0o1600)
for part in range(15):  # each time only a tenth of it is in sight
    place = library.shmat(segment, None, 0)
    ctypes.memset(place + part * 10 * 2**20, 1, 10 * 2**20)
    library.shmdt(ctypes.c_void_p(place))
time.sleep(1)
print("done")
