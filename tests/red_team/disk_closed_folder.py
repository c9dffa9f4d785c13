"""Files in a folder that its owner has closed.

bwrap, user, process: out_of_disk
disk_mib: 32
"""

import os
import time

os.mkdir("closed")
for number in range(64):
    with open(f"closed/{number}", "wb") as file:
        file.write(bytes(2**20))
os.chmod("closed", 0)
time.sleep(10)
