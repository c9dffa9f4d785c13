"""150 MiB in a memfd that no process has mapped.

bwrap, user, process, process by procfs: out_of_memory
"""

import os
import time

file = os.memfd_create("nothing")
for _ in range(150):
    os.write(file, bytes(2**20))
time.sleep(5)
