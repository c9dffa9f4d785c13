"""Fill the disk with files.

bwrap, user, process: out_of_disk
disk_mib: 32
"""

import time

for number in range(64):
    with open(str(number), "wb") as file:
        file.write(bytes(2**20))
time.sleep(10)
