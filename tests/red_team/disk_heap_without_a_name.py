"""A heap of 400 MiB in a file that is mapped, deleted and closed.

bwrap, user, process: out_of_disk
"""

import mmap
import os
import time

with open("heap", "w+b") as file:
    os.unlink("heap")
    file.truncate(400 * 2**20)
    heap = mmap.mmap(file.fileno(), 400 * 2**20)
time.sleep(10)
