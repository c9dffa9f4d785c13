"""Fill the disk through a file that the owner has opened.

bwrap, user, process: out_of_disk
disk_mib: 32
"""

import os
import stat
import time

for name in os.listdir("/proc/self/fd"):
    try:
        found = os.stat(f"/proc/self/fd/{name}")
        if stat.S_ISREG(found.st_mode) and not found.st_nlink:
            for _ in range(64):
                os.pwrite(int(name), bytes(2**20), os.fstat(int(name)).st_size)
    except OSError:
        pass
time.sleep(10)
