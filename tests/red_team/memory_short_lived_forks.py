"""150 MiB behind processes that come and go all the time, so that no reading of them is whole.

bwrap, user, process, process by procfs: out_of_memory
"""

import os
import time

held = bytearray(150 * 2**20)
held[::4096] = b"1" * len(held[::4096])
until = time.monotonic() + 5
while time.monotonic() < until:
    for _ in range(20):
        if os.fork() == 0:
            os._exit(0)
    for _ in range(20):
        os.wait()
