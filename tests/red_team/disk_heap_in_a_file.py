"""A heap of 400 MiB in a file that is mapped for writing.

bwrap, user, process: out_of_disk
"""

import mmap
import time

with open("heap", "w+b") as file:
    file.truncate(400 * 2**20)
    heap = mmap.mmap(file.fileno(), 400 * 2**20)
for at in range(0, 40 * 2**20, 4096):
    heap[at] = 1
time.sleep(10)
