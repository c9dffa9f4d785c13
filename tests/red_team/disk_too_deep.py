"""Files so deep that nobody can name them.

bwrap, user, process: out_of_disk
"""

import os
import time

for _ in range(2500):
    os.mkdir("a")
    os.chdir("a")
time.sleep(10)
