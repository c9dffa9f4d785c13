"""200 MiB for 30 ms, several times.

bwrap, user, process, process by procfs: out_of_memory
"""

import mmap
import time

for _ in range(10):
    block = mmap.mmap(-1, 200 * 2**20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, len(block), 4096):
        block[at] = 1
    time.sleep(0.03)
    block.close()
    time.sleep(0.1)
