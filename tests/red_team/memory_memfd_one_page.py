"""150 MiB in a memfd of which one page is mapped.

bwrap, user, process, process by procfs: out_of_memory
"""

import mmap
import os
import time

file = os.memfd_create("nothing")
for _ in range(150):
    os.write(file, bytes(2**20))
page = mmap.mmap(file, mmap.PAGESIZE)
page[0] = 1
time.sleep(5)
