"""Fill the disk from the home folder.

bwrap, user: out_of_disk
disk_mib: 32
"""

import time
from pathlib import Path

for number in range(64):
    Path.home().joinpath(str(number)).write_bytes(bytes(2**20))
time.sleep(10)
