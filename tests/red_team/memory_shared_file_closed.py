"""150 MiB in a file in /dev/shm that nobody has open.

bwrap, user, process, bwrap by procfs, user by procfs: out_of_memory
process by procfs: unseen
holds_mib: 100
budget_mib: 64
"""

import time

with open(f"/dev/shm/{MARK}", "wb", buffering=0) as file:
    for _ in range(100):
        file.write(bytes(2**20))
time.sleep(1)
