"""150 MiB in a daemon that has left its parent and its session.

bwrap, user, process, process by procfs: out_of_memory
"""

import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        held = bytearray(150 * 2**20)
        held[::4096] = b"1" * len(held[::4096])
        time.sleep(5)
    os._exit(0)
time.sleep(5)
