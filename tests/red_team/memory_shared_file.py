"""150 MiB in a file in /dev/shm that has no name any more.

bwrap, user, process, bwrap by procfs, user by procfs: out_of_memory
process by procfs: unseen
holds_mib: 100
"""

import os
import time

with open(f"/dev/shm/{MARK}", "wb", buffering=0) as file:
    os.unlink(f"/dev/shm/{MARK}")
    for _ in range(150):
        file.write(bytes(2**20))
    time.sleep(1)
