"""150 MiB in a memfd that only a child has open.

bwrap, user, process, process by procfs: out_of_memory
"""

import os
import time

if os.fork() == 0:
    file = os.memfd_create("nothing")
    for _ in range(150):
        os.write(file, bytes(2**20))
    time.sleep(5)
    os._exit(0)
os.wait()
