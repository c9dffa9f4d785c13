"""Fill the disk with a file that is deleted and still open.

bwrap, user, process: out_of_disk
disk_mib: 32
"""

import os
import time

file = open("gone", "wb", buffering=0)
os.unlink("gone")
for _ in range(64):
    file.write(bytes(2**20))
time.sleep(10)
