"""Use up the disk's places for files, with empty ones.

bwrap, process: out_of_disk
"""

import os
import time

for number in range(30_000):
    os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY))
time.sleep(10)
