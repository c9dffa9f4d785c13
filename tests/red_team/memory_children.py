"""Three children with 60 MiB each, none of which is too large by itself.

bwrap, user, process, process by procfs: out_of_memory
"""

import os
import time

for _ in range(3):
    if os.fork() == 0:
        held = bytearray(60 * 2**20)
        held[::4096] = b"1" * len(held[::4096])
        time.sleep(5)
        os._exit(0)
for _ in range(3):
    os.wait()
